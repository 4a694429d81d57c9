"""A server that says back what it was sent: no secret of an endpoint is in any failure, wherever it stands."""

import asyncio
import base64
import json
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import pytest

from headway.domain.errors import HeadwayError, UserError
from headway.domain.ids import AgentId
from headway.models.adapter import Request
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.endpoint_variables import endpoint_from
from headway.models.reachable import check_reachable
from headway.models.turn import UserMessage
from tests.models.listeners import Talk, http, listening, request_on

SECRET = "q7/Zx+9Kd2mPw=="
IN_URL = "q7%2FZx%2B9Kd2mPw%3D%3D"
PLACES: dict[str, tuple[str, dict[str, str]]] = {
    "the key": ("", {"OPENAI_API_KEY": SECRET}),
    "a header": ("", {"HEADWAY_HEADERS": json.dumps({"api-key": SECRET})}),
    "a header behind its scheme": ("", {"HEADWAY_HEADERS": json.dumps({"Authorization": f"Bearer {SECRET}"})}),
    "the query": (f"?api-version=2025-01-01&api-key={IN_URL}", {}),
    "the query as it is": ("?api-key=q7/Zx%2B9Kd2mPw==", {}),
    "the password": (f"//ada:{IN_URL}@", {}),
    "the user name": (f"//{IN_URL}@", {}),
}

Echo = Callable[[str, str], bytes]


def told(message: str, status: str) -> bytes:
    return http({"error": {"message": message, "param": message[:200]}}, status=status)


ECHOES: dict[str, Echo] = {
    "a redirect": lambda path, _: http(b"", f"location: https://other.example.org{path}", status="307 Moved"),
    "not found": lambda path, head: told(f"no such path: {path} {head}", "404 Not Found"),
    "not found, decoded": lambda path, _: told(f"no such path: {unquote(path)}", "404 Not Found"),
    "the key is refused": lambda path, head: told(f"who are you? {path} {head}", "401 Unauthorized"),
    "a parameter is refused": lambda path, head: told(f"{path} {head}", "400 Bad Request"),
    "it fails": lambda path, head: told(f"{path} {head}", "500 Internal Server Error"),
    "an error in a 200": lambda path, head: http({"error": {"message": f"{path} {head}", "code": path}}),
    "no JSON": lambda path, head: http(f"{path} {head}".encode()),
    "an error of another form": lambda path, head: http({"detail": [{"url": path, "head": head}]}, status="422 No"),
}


def endpoint_at(url: str, place: str) -> Endpoint:
    part, env = PLACES[place]
    parts = urlsplit(url)
    if part.startswith("//"):
        url = f"http://{part[2:]}{parts.netloc}{parts.path}"
    elif part:
        url += part
    return endpoint_from({"OPENAI_BASE_URL": url, **env})


def echoing(echo: Echo) -> Talk:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = (await request_on(reader)).decode()
            first, _, rest = request.partition("\r\n")
            heads = "; ".join(line for line in rest.split("\r\n") if line.lower().startswith(("authorization", "api-")))
            assert any(form in request for form in shown_as()), "the server was given no secret"
            writer.write(echo(first.split(" ")[1], heads))
            await writer.drain()

    return conversation


def shown_as() -> set[str]:
    """How the secret may come back."""
    basic = {base64.b64encode(f"{name}:{word}".encode()).decode() for name, word in (("ada", SECRET), (SECRET, ""))}
    return {SECRET, IN_URL, IN_URL.lower(), SECRET.replace("+", "%2B"), json.dumps(SECRET)[1:-1], *basic}


def request(model: Model) -> Request:
    return Request(model="m", system="You work.", items=(model.encode(UserMessage("Go.")),), agent=AgentId("r/a"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("echo", ECHOES)
async def test_no_failure_tells_a_secret_that_the_server_says_back(place: str, echo: str) -> None:
    async with listening(echoing(ECHOES[echo])) as at, Model(endpoint_at(at.url, place)) as model:
        for ask in (lambda: model.answer(request(model)), model.models):
            try:
                await ask()
            except HeadwayError as error:
                said = f"{error} {getattr(error, 'why', '')} {getattr(error, 'remedy', '')} {error.__context__!r}"
                assert not [form for form in shown_as() if form in said], said
                assert "2025-01-01" in said or "api-version" not in said, "what is no secret is told"


@pytest.mark.parametrize("place", PLACES)
def test_the_log_is_told_of_every_secret(place: str) -> None:
    endpoint = endpoint_at("http://127.0.0.1:1/v1", place)
    assert SECRET in endpoint.secrets
    assert "2025-01-01" not in endpoint.secrets, "it would vanish from all that agents write"
    assert not [form for form in shown_as() if form in f"{endpoint.shown} {endpoint!r} {endpoint}"]


@pytest.mark.parametrize(
    "url",
    [
        *(f"ftp://ada:{IN_URL}@box/v1", f"http://ada:{IN_URL}@/v1", f"http://ada:{IN_URL}/v1", f"ada:{IN_URL}@box/v1"),
        *(f"http://ada:{IN_URL}@box:80a/v1", f"http://ada:{IN_URL}@[::1/v1", f"http://box:99999/v1?key={IN_URL}"),
        *(f"http://ada:{IN_URL}@1.2.3.999/v1", f"http://ada:{IN_URL}@box\x07/v1", f"http://ada:{IN_URL}@bo x/v1"),
        f"http://\u202e.org/v1?key={IN_URL}",
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secrets(url: str) -> None:
    with pytest.raises(UserError, match="OPENAI_BASE_URL: is no address") as refused:
        check_reachable((endpoint_from({"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "k" * 20}),), {})
    assert IN_URL not in str(refused.value)
    assert str(refused.value).replace("\n", "").isprintable()


async def test_what_ends_in_a_slash_is_sent_whole() -> None:
    heard: list[bytes] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await request_on(reader))
        writer.write(http({"data": []}))

    async with (
        listening(conversation) as at,
        Model(endpoint_from({"OPENAI_BASE_URL": f"{at.url}/?code=abcdef/"})) as model,
    ):
        await model.models()
    assert heard[0].startswith(b"GET /v1/models?code=abcdef/ ")


@pytest.mark.parametrize(
    "headers", ['{"api-key": " k"}', '{"api-key": "k "}', '{"Content-Length": "5"}', '{"a": "1", "A": "2"}']
)
def test_headers_that_no_request_could_have_are_refused(headers: str) -> None:
    with pytest.raises(UserError, match="HEADWAY_HEADERS"):
        endpoint_from({"OPENAI_BASE_URL": "http://box/v1", "HEADWAY_HEADERS": headers})


async def test_two_accounts_at_one_address_have_a_gate_each() -> None:
    ways = [
        *({"HEADWAY_HEADERS": json.dumps({"api-key": key})} for key in ("first", "second")),
        *({"OPENAI_BASE_URL": f"http://box/v1?api-key={key}"} for key in ("first", "second")),
        *({"OPENAI_BASE_URL": f"http://{key}@box/v1"} for key in ("first", "second")),
        *({"OPENAI_API_KEY": key} for key in ("first", "second")),
    ]
    accounts = [endpoint_from({"OPENAI_BASE_URL": "http://box/v1"} | env).account for env in ways]
    assert len(set(accounts)) == len(ways)
