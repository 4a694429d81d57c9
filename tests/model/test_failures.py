"""The failure table, over real HTTP and the real client."""

import socket
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.model.adapter import Request
from headway.model.client import Model
from headway.model.endpoint import endpoint_from
from headway.model.failures import PARK_S, ContextOverflow, FatalModelError
from headway.model.resets import reset_in
from tests.model.conftest import SECRET, Ask
from tests.model.servers import Answer, Server


def problem(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None} | more}


OVERFLOWS = [
    (400, problem("Your input exceeds the context window of this model.", code="context_length_exceeded")),
    (400, {"object": "error", "message": "This model's maximum context length is 16384 tokens.", "code": 400}),
    (400, problem("'max_tokens' is too large: 9. This model's maximum context length is 8 tokens", param="max_tokens")),
    (400, problem("the request exceeds the available context size, try increasing it", code=400)),
    (500, problem("the request exceeds the available context size", type="exceed_context_size_error", code=500)),
    (400, problem("the input length exceeds the context length")),
    (400, problem("prompt too long; exceeded max context length by 12 tokens")),
    (400, problem("prompt is too long: 210000 tokens > 200000 maximum")),
    (400, problem("input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000")),
    (400, problem("The input token count (200000) exceeds the maximum number of tokens allowed (100000).")),
    (429, problem("Request too large for gpt on tokens per min (TPM): Limit 30000, Requested 45000", type="tokens")),
    (413, "<html>413 Request Entity Too Large</html>"),
]

TRANSIENTS: list[tuple[Answer, float | None]] = [
    (Answer(problem("slow"), 408), None),
    (Answer(problem("busy"), 409), None),
    (Answer(problem("Rate limit reached"), 429), None),
    (Answer(problem("Rate limit reached"), 429, {"retry-after": "17"}), 17.0),
    (Answer(problem("Rate limit reached"), 429, {"retry-after": "2", "retry-after-ms": "1500"}), 1.5),
    (Answer(problem("Rate limit reached"), 429, {"retry-after": "999999"}), 3600.0),
    (Answer(problem("oops"), 500), None),
    (Answer("<html>Bad Gateway</html>", 502), None),
    (Answer(problem("Loading model", type="unavailable_error"), 503, {"retry-after": "5"}), 5.0),
    (Answer(problem("overloaded"), 529), None),
    (Answer("", 200), None),
    (Answer("[]", 200), None),
    (Answer('{"choices": [{"message": {"content": "Hel', 200), None),
    (Answer('{"choices": [{"mess', 200, length=4096), None),
    (Answer(problem("upstream is down", code=502), 200), None),
    (Answer(problem("Rate limit reached", code=429), 200), None),
    (Answer(problem("slow"), 429, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s"}), 90.0),
    (Answer(problem("slow"), 429, {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "1m30s"}), None),
    (
        Answer(problem("slow"), 429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "250ms"}),
        0.25,
    ),
]

PARKED = [
    (401, problem(f"Incorrect API key provided: {SECRET}."), "OPENAI_API_KEY"),
    (403, problem("Country not supported"), "OPENAI_API_KEY"),
    (429, problem("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"), "quota"),
    (402, problem("Insufficient credits"), "quota"),
    (404, problem("The model `some-model` does not exist", code="model_not_found"), "'some-model'"),
    (404, "404 page not found", "OPENAI_BASE_URL"),
    (400, problem("some-model is not a valid model ID", code=400), "HEADWAY_WORKER_MODEL"),
    (400, problem('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'), "vLLM"),
    (500, problem("tools param requires --jinja flag", code=500, type="server_error"), "llama.cpp"),
    (400, problem("registry.ollama.ai/library/old:latest does not support tools"), "Ollama"),
    (200, "<html><body>Sign in</body></html>", "this is not the API.*\nCorrect OPENAI_BASE_URL"),
    (405, "<html>Method Not Allowed</html>", "takes no POST"),
    (400, problem("Function tools with reasoning_effort are not supported. Use /v1/responses."), "HEADWAY_API=resp"),
]

FATALS = [
    (400, problem("Unsupported value: 'max'", param="reasoning.effort", code="unsupported_value"), "reasoning.effort"),
    (422, {"detail": [{"msg": "field required"}]}, "422"),
    (400, problem("x" * 10_000), "xxx…"),
]


@pytest.mark.parametrize(("status", "body"), OVERFLOWS)
async def test_what_does_not_fit_asks_for_compaction(status: int, body: Any, ask: Ask) -> None:
    with pytest.raises(ContextOverflow):
        await ask(Answer(body, status))


@pytest.mark.parametrize(("answer", "delay"), TRANSIENTS)
async def test_what_may_pass_is_tried_again_when_the_server_says(
    answer: Answer, delay: float | None, server: Server, ask: Ask
) -> None:
    with pytest.raises(TransientError) as caught:
        await ask(answer)
    assert caught.value.delay_s == delay
    assert len(server.asked) == 1, "the client itself tries nothing twice"


@pytest.mark.parametrize(("status", "body", "told"), PARKED)
async def test_what_only_the_user_can_mend_waits_and_says_how(
    status: int, body: Any, told: str, server: Server, ask: Ask
) -> None:
    with pytest.raises(TransientError, match=told) as caught:
        await ask(Answer(body, status))
    assert caught.value.delay_s == PARK_S
    assert server.url in str(caught.value)


@pytest.mark.parametrize(("status", "body", "told"), FATALS)
async def test_what_would_be_refused_again_is_fatal(status: int, body: Any, told: str, ask: Ask) -> None:
    with pytest.raises(FatalModelError, match=told) as caught:
        await ask(Answer(body, status))
    assert len(str(caught.value)) < 700


async def test_nobody_listens(request_: Request) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with Model(endpoint_from({"OPENAI_BASE_URL": url})) as model:
            with pytest.raises(TransientError, match="cannot be reached"):
                await model.answer(request_)


async def test_silence_ends_after_the_time_allowed(server: Server, request_: Request) -> None:
    server.answer = Answer(hang=True)
    endpoint = endpoint_from({"OPENAI_BASE_URL": server.url}).model_copy(update={"timeout_s": 0.2})
    async with Model(endpoint) as model:
        with pytest.raises(TransientError, match="no answer in time"):
            await model.answer(request_)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 200])
@pytest.mark.parametrize("echo", [f"key {SECRET} is bad", "Incorrect API key provided: sk-liv***mnop"])
async def test_a_key_that_the_server_repeats_is_in_no_text(
    status: int, echo: str, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(problem(echo, param=SECRET) if status != 200 else echo, status)
    model = model_of()
    with pytest.raises((TransientError, FatalModelError)) as caught:
        await model.answer(request_)
    shown = "".join(traceback.format_exception(caught.value)) + repr(model) + repr(model.endpoint) + repr(caught.value)
    assert SECRET not in shown
    assert "sk-liv" not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_password_in_the_address_is_in_no_text(server: Server, request_: Request) -> None:
    server.answer = Answer(problem("no"), 500)
    url = server.url.replace("http://", "http://me:hunter2@")
    async with Model(endpoint_from({"OPENAI_BASE_URL": url})) as model:
        with pytest.raises(TransientError) as caught:
            await model.answer(request_)
        assert "hunter2" not in str(caught.value) + repr(model)


def test_a_gateway_tells_the_reset_as_a_time() -> None:
    now = 1_800_000_000.0
    assert reset_in({"x-ratelimit-reset": str(int(now) + 40)}, now) == 40
    assert reset_in({"x-ratelimit-reset": str(int(now * 1000) + 40_000)}, now) == 40
    assert reset_in({"x-ratelimit-reset": "12"}, now) == 12
    assert reset_in({"x-ratelimit-reset": "whenever"}, now) is None


def test_a_wait_may_be_told_as_a_date() -> None:
    now = 1_800_000_000.0
    assert reset_in({"retry-after": formatdate(now + 90, usegmt=True)}, now) == 90
    assert reset_in({"retry-after": formatdate(now - 90, usegmt=True)}, now) == 0
    assert reset_in({"retry-after": "soon"}, now) is None
    assert reset_in({"retry-after": "nan"}, now) is None
    assert reset_in({}, now) is None
