"""Findings about an endpoint before any agent needs it: one line each, with the flag or variable that sets it.

OpenAI's own address is only asked which models it has, which costs nothing. Of servers in the own network, whose tokens
are free, one small call is made as well, which must call a tool. So is one of a model that its server does not list.
"""

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from headway.domain.diagnostic import Diagnostic, FindingState
from headway.domain.errors import HeadwayError
from headway.domain.ids import AgentId
from headway.models.adapter import Request, ToolSchema
from headway.models.cache_watch import NO_CACHE
from headway.models.client import Model, names_in
from headway.models.endpoint import Endpoint
from headway.models.failures import NO_TOOLS, Refused, failure_of_body
from headway.models.http_client import HttpAnswer
from headway.models.lenient_json import Unreadable
from headway.models.turn import UserMessage

TOOL_S = 60.0
"""Longest duration of the small call, in seconds: a run waits no longer for it before it starts."""
REHEARSAL_HEADER = "x-headway-rehearsal"
TOPIC = "model"
WHY_CHARS = 200
SMALL_WINDOW = 32_000
"""Below this an agent's prompt, tools and a few files fill the window."""

_TOOL = ToolSchema("ready", "Says that you are ready.", {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class Probe:
    """An endpoint's answers to the probe.

    Attributes:
        models: Names that it serves, in its own order.
        rehearsal: True if it is scripted; people are told whenever it is.
        findings: Results of the checks. A good one says that it answers, and stands where nothing is broken.
        refusal: The one of them that only the user can remove; None where agents may come through.
    """

    models: tuple[str, ...] = ()
    rehearsal: bool = False
    findings: tuple[Diagnostic, ...] = ()
    refusal: Diagnostic | None = None

    @property
    def problem(self) -> str | None:
        """The reason why it cannot be used now, in words; None when it can."""
        broken = next((each for each in self.findings if each.state == "broken"), None)
        return None if broken is None else f"{broken.says}\n{broken.remedy}".strip()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for a reader of a run, a line each."""
        return tuple(each.words for each in self.findings if each.state != "good")


async def probe(model: Model, wanted: tuple[str, ...] = (), *, deep: bool = True) -> Probe:
    """Look at an endpoint. Its failures are findings and raise nothing.

    `wanted` are the models that the run uses there; without any, the first that it lists. With `deep` the small call is
    made as well, where it is free.
    """
    endpoint = model.endpoint
    try:
        said = await model.http.get("/models", model.at(""))
        names = names_in(said)
        if not names and said.body.get("error"):  # LM Studio answers so, with 200, to a path that it does not know
            raise failure_of_body(said.body["error"], model.at(""))
    except HeadwayError as error:
        found = _not_usable(endpoint, error)
        refusal = found if found.state == "broken" and _lasting(error) else None
        if found.state == "lacking" and deep:
            refusal = await _first_refused(model, wanted)
        return Probe(findings=(found,), refusal=refusal)
    rehearsal = REHEARSAL_HEADER in said.headers
    findings = [_reached(endpoint, names, rehearsal=rehearsal)]
    chosen = wanted or tuple(names[:1])
    unlisted = tuple(name for name in chosen if name not in names)
    findings += [_unknown(endpoint, name, names) for name in unlisted if names]
    refusal = None if names or wanted else findings[0]
    if deep and not rehearsal:
        # Some gateways list fewer models than they serve: only a call tells.
        refusal = refusal or await _first_refused(model, unlisted)
    if endpoint.local and not rehearsal:
        served = [name for name in chosen if name in names or not names]
        told = [lack for name in served if deep and (lack := await _tools(model, name))]
        # After the small call: Ollama tells the window of a model only once it is loaded.
        findings += await _window(model, said, served)
        refusal = refusal or next((each for each in told if each.state == "broken"), None)
        findings += told
    findings += [each for name in chosen for each in _left_out(model, name)]
    if any(each.state == "broken" for each in findings):
        # It answers and does not work: "ok" beside that would contradict it.
        findings = [each for each in findings if each.state != "good"]
    return Probe(tuple(names), rehearsal, tuple(findings), refusal)


def _lasting(error: HeadwayError) -> bool:
    """True if a refusal ends only when the user acts: too many calls and a quota pass."""
    return isinstance(error, Refused) and error.kind not in {"rate", "quota", "failing"}


async def _first_refused(model: Model, names: tuple[str, ...]) -> Diagnostic | None:
    """The first refusal among models that the server does not list, each found by a small call; else None."""
    for name in names:
        found = await _tools(model, name)
        if found is not None and found.state == "broken":
            return found
    return None


def _reached(endpoint: Endpoint, names: list[str], *, rehearsal: bool) -> Diagnostic:
    if not names:
        remedy = "Load one: `ollama pull NAME`, `vllm serve NAME`, `llama-server -m FILE`."
        return Diagnostic(topic=TOPIC, state="broken", says=f"{endpoint.shown} lists no models", remedy=remedy)
    what = "a rehearsal answers" if rehearsal else f"{len(names)} model{'s' if len(names) > 1 else ''}"
    return Diagnostic(topic=TOPIC, state="good", says=f"{endpoint.shown} ({endpoint.api}): {what}")


def _not_usable(endpoint: Endpoint, error: HeadwayError) -> Diagnostic:
    remedy = error.remedy if isinstance(error, Refused) else ""
    if not remedy or (isinstance(error, Refused) and error.kind == "model"):
        remedy = f"Start that server, or correct {endpoint.names.url}, which mostly ends in /v1."
    if isinstance(error, Refused) and error.kind == "model":
        # Some gateways keep no list; that alone keeps no agent from working.
        says = f"{endpoint.shown} does not tell which models it has"
        return Diagnostic(topic=TOPIC, state="lacking", says=says, remedy=remedy)
    says = error.why if isinstance(error, Refused) else str(error)
    return Diagnostic(topic=TOPIC, state="broken", says=says, remedy=remedy)


def _unknown(endpoint: Endpoint, name: str, names: list[str]) -> Diagnostic:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")  # noqa: PLR2004
    return Diagnostic(
        topic=TOPIC,
        state="broken",
        says=f"{endpoint.shown} does not list model '{name}', but {shown}",
        remedy=f"Set {endpoint.names.models}, or models.ROLE.model of the run.",
    )


async def _window(model: Model, said: HttpAnswer, names: list[str]) -> list[Diagnostic]:
    """Check that the server really takes `window` tokens; each kind of server tells it in another place."""
    endpoint, found = model.endpoint, []
    for name in names:
        size, flag = await _served_window(model, said, name)
        variable = endpoint.names["WINDOW"]
        if size is not None and size < endpoint.window:
            remedy = f"Set {variable}={size}" + (f", or raise it: {flag}." if flag else ".")
            says = f"model '{name}' takes {size:,} tokens, and {variable} says {endpoint.window:,}"
            found.append(Diagnostic(topic=TOPIC, state="lacking", says=says, remedy=remedy))
        if size is not None and size < SMALL_WINDOW:
            says = f"a window of {size:,} tokens is small for an agent"
            found.append(
                Diagnostic(topic=TOPIC, state="lacking", says=says, remedy=f"Raise it: {flag}." if flag else "")
            )
    return found


async def _served_window(model: Model, said: HttpAnswer, name: str) -> tuple[int | None, str]:
    listed = said.body.get("data")
    entries = listed if isinstance(listed, list) else []
    entry = next((each for each in entries if isinstance(each, dict) and each.get("id") == name), {})
    if (size := _count(entry.get("max_model_len"))) is not None:
        return size, "`vllm serve --max-model-len N`"
    if entry.get("owned_by") == "llamacpp":
        props = await _asked(model, "/props")
        settings = props.get("default_generation_settings")
        size = _count(settings.get("n_ctx")) if isinstance(settings, dict) else None
        return size, "`llama-server -c N` (it is shared by the slots of `-np`)"
    for loaded in _list(await _asked(model, "/api/ps"), "models"):
        if name in {loaded.get("name"), loaded.get("model")}:
            return _count(loaded.get("context_length")), "OLLAMA_CONTEXT_LENGTH of `ollama serve`"
    return None, ""


def _left_out(model: Model, name: str) -> list[Diagnostic]:
    """The parts that are left out of requests to a model, because its server refused them."""
    return [
        Diagnostic(topic=TOPIC, state="lacking", says=f"model '{name}' is asked without {part}: {why[:WHY_CHARS]}")
        for part, why in model.left_out(name).items()
        if part != NO_CACHE
    ]


async def _tools(model: Model, name: str) -> Diagnostic | None:
    ask = model.encode(UserMessage("Call the tool `ready` now."))
    agent = AgentId("probe")
    request = Request(model=name, system="You call tools.", items=(ask,), agent=agent, tools=(_TOOL,), max_output=512)
    body = model.adapter.body(request)
    try:
        async with asyncio.timeout(TOOL_S):
            said = await model.http.post(
                model.adapter.path, body, {"X-Headway-Agent": agent}, model.at(name), model.adapter.pieces()
            )
        turn = model.adapter.decode(said.body)
    except Refused as error:
        state: FindingState = "broken" if _lasting(error) else "lacking"
        return Diagnostic(topic=TOPIC, state=state, says=error.why, remedy=error.remedy)
    except TimeoutError:
        says = f"model '{name}' did not answer a first call within {TOOL_S:g} s"
        return Diagnostic(topic=TOPIC, state="lacking", says=says, remedy="It may still be loading.")
    except (HeadwayError, Unreadable) as error:
        return Diagnostic(topic=TOPIC, state="lacking", says=f"model '{name}' did not answer a first call: {error}")
    if turn.calls:
        return None
    says = f"model '{name}' was asked to call a tool and did not: it said {turn.text[:80]!r}"
    return Diagnostic(topic=TOPIC, state="lacking", says=says, remedy=NO_TOOLS)


async def _asked(model: Model, path: str) -> dict[str, Any]:
    """A question beside the API, at the server's root; nothing where it is not understood."""
    parts = urlsplit(model.endpoint.base_url)
    try:
        said = await model.http.get(urlunsplit((parts.scheme, parts.netloc, path, "", "")), model.at(""))
    except HeadwayError:
        return {}
    return said.body


def _list(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
