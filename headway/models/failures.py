"""Every way in which a model call fails, and the one who reacts. The table of `refusals` judges the server's words.

TransientError    the activity is tried again; with a delay where the server or the table names one
  Failing         the same, with waits that grow; the fleet is parked when it lasts
  Unusable        the same, but only `UNUSABLE_AT_MOST` times in a row: waiting does not change what a server answers
  Refused         the fleet is parked: too many calls, no quota left, or what only the user can correct (key, address,
                  model name, flags of the server). No task fails for it.
ContextOverflow   the agent compacts its conversation
FatalModelError   the attempt has failed; another one has a new conversation
  NoUsableReply   the attempt has failed; another one may do better
  Unsupported     first the parameter that the server does not take is left out, for this model on this machine
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from headway.domain.errors import HeadwayError, TransientError
from headway.models.breaker_state import Kind
from headway.models.endpoint import Names
from headway.models.lenient_json import Unreadable, json_in
from headway.models.refusals import MAX_SERVER_WORDS, MAX_WORDS_READ, UNTOLD, Told, plain, told_in
from headway.models.reply_bounds import Encoded, TooLarge
from headway.models.turn import Turn

# Loaded with the first exchange; see there.
if TYPE_CHECKING:
    from openai import APIConnectionError, OpenAIError

PARK_S = 60.0
"""Seconds between two tries after an error that only the user can solve, where the server names no time."""

UNUSABLE_AT_MOST = 3
"""Replies in a row that an agent cannot use. After the last one it hands off."""

NO_TOOLS = (
    "Agents need tools. vLLM: start it with --enable-auto-tool-choice --tool-call-parser NAME; llama.cpp: with "
    "--jinja; Ollama and gateways: take a model that has tools."
)

THOUGHTS = "reasoning items"
"""The reasoning of earlier replies, as something of a request that a server may not take."""

_KEYLIKE = re.compile(r"\b(sk|rk|pk|gsk|xai|key)-[A-Za-z0-9_*.\-]{6,}|(?<=Bearer )\S+", re.IGNORECASE)
_MIN_SECRET = 6
_ERRORS = 400
_NOT_HTTP = "illegal status line"
_LOST = re.compile("disconnected|peer closed")
"""In the words of h11 and httpcore: a connection that was lost, in contrast to bytes that are no HTTP."""
_NEVER_SENT = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,  # it refuses the tunnel
    httpx2.LocalProtocolError,
    httpx2.UnsupportedProtocol,
)


class ContextOverflow(HeadwayError):
    """The request does not fit into the model's window."""


class FatalModelError(HeadwayError):
    """The server refuses this request and would refuse it again.

    Attributes:
        billed: Usage of a call that told so, where one was made for that.
    """

    billed: Turn | None = None


class NoUsableReply(FatalModelError):
    """`UNUSABLE_AT_MOST` replies in a row were `Unusable`."""


class Unsupported(FatalModelError):
    """The server does not take something in this request.

    Attributes:
        param: The parameter, as the server names it; may be empty.
        words: The server's words.
    """

    def __init__(self, message: str, param: str, words: str) -> None:
        super().__init__(message)
        self.param = param
        self.words = words


class Unusable(TransientError):
    """The server answered, and the answer is none: no JSON, too large, too deep, or without its main part.

    Attributes:
        billed: Usage of the call, where the answer says it all the same.
    """

    billed: Turn | None = None

    def __init__(self, message: str) -> None:
        super().__init__(message, cut_off=True)


class Failing(TransientError):
    """The server failed, and not the request: an error of its own, of which nothing says when it passes."""


class Refused(TransientError):
    """The server would refuse every other agent too.

    Attributes:
        is_doubtful: It may refuse this request alone, or this once; another request tells.
        reset_s: Seconds until the end of the refusal by the server's word; None where it does not say.
        remedy: The user's remedy.
    """

    def __init__(
        self,
        kind: Kind,
        told: str,
        remedy: str,
        reset_s: float | None,
        *,
        cut_off: bool = False,
        is_doubtful: bool = False,
    ) -> None:
        by_table = None if kind == "rate" else PARK_S
        delay_s = by_table if reset_s is None else reset_s
        super().__init__(f"{told}\n{remedy}" if remedy else told, delay_s, cut_off=cut_off)
        self.kind: Kind = kind
        self.why = told
        self.remedy = remedy
        self.reset_s = reset_s
        self.is_doubtful = is_doubtful


Failure = TransientError | ContextOverflow | FatalModelError


@dataclass(frozen=True, slots=True)
class Circumstance:
    """The facts for a failure's message, apart from the server's words.

    Attributes:
        address: The endpoint, without credentials.
        model: The model that was asked, or empty.
        names: The environment variables that describe the endpoint; a remedy names no other.
        forms: The endpoint's secrets as texts may write them, the longest first. They are taken out of every text.
    """

    address: str
    model: str = ""
    names: Names = field(default_factory=Names)
    forms: tuple[str, ...] = ()

    @property
    def key_remedy(self) -> str:
        """The remedy for a key that is refused."""
        return f"Set {self.names.key} to a key that this address accepts, and start the worker process again."

    def clean(self, text: str) -> str:
        """`text` without secrets, on one line, cut."""
        for form in self.forms:
            if len(form) >= _MIN_SECRET:
                text = text.replace(form, "[key]")
        text = " ".join(_KEYLIKE.sub("[key]", text[:MAX_WORDS_READ]).split())
        return text if len(text) <= MAX_SERVER_WORDS else text[: MAX_SERVER_WORDS - 1] + "…"


def failure_of(error: "OpenAIError", at: Circumstance) -> Failure:
    """The reaction to an exception of the openai client."""
    from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError

    match error:
        case APITimeoutError():
            return TransientError(f"{at.address}: no answer in time", cut_off=_was_sent(error))
        case APIConnectionError() if isinstance(error.__cause__, Exception) and _was_sent(error):
            return failure_of_reading(error.__cause__, at)
        case APIConnectionError():
            why = at.clean(str(error.__cause__ or error) or type(error.__cause__).__name__)
            told = f"{at.address}: cannot be reached: {why}"
            # An address at which nothing listens is closed to every agent.
            return Refused("unreachable", told, "", None) if _nobody_there(error) else TransientError(told)
        case APIStatusError() if error.status_code < _ERRORS:
            return redirected(error.status_code, error.response.headers.get("location", ""), at)
        case APIStatusError():
            # The client reads a body that is a list as none.
            body = error.body if error.body is not None else _json_of(error.response)
            return failure_of_told(told_in(error.status_code, body, error.response.headers, error.message), at)
        case APIError():
            return TransientError(f"{at.address}: {at.clean(error.message)}")
        case _:
            return FatalModelError(f"{at.address}: {at.clean(str(error))}")


def failure_of_reading(error: Exception, at: Circumstance) -> Failure:
    """The reaction to an error after a request had begun to leave: it may have been paid for."""
    why = at.clean(str(error) or type(error).__name__)
    match error:
        case Encoded():
            remedy = f"Turn compression off at the server or the gateway before it, or correct {at.names.url}."
            return Refused("address", f"{at.address}: {why}, unasked", remedy, None, cut_off=True)
        case httpx2.RemoteProtocolError() if _NOT_HTTP in str(error):
            return not_the_api("answers something that is not HTTP", at, cut_off=True)
        case httpx2.RemoteProtocolError() if not _LOST.search(str(error)):
            return Unusable(f"{at.address}: the answer breaks the rules of HTTP: {why}")
        case TooLarge() | Unreadable():
            return Unusable(f"{at.address}: {why}")
        case RecursionError():
            return Unusable(f"{at.address}: the answer is nested too deeply")
        case _:
            return TransientError(f"{at.address}: the answer broke off: {why}", cut_off=True)


def redirected(status: int, location: str, at: Circumstance) -> Refused:
    """No redirect is followed: neither the key nor the conversation goes to an address that the user did not set."""
    to = at.clean(location) or "an address that it does not name"
    remedy = f"Set {at.names.url} to the address that answers without a redirect, mostly with https:// and /v1."
    return Refused("address", f"{at.address}: redirects to {to} ({status}), which is not followed", remedy, None)


def not_the_api(what: str, at: Circumstance, *, cut_off: bool = False, is_doubtful: bool = False) -> Refused:
    """Another program than a model's server answers at this address."""
    told = f"{at.address}: {what}: this is not the API of a model's server"
    remedy = f"Correct {at.names.url}, which mostly ends in /v1."
    return Refused("address", told, remedy, None, cut_off=cut_off, is_doubtful=is_doubtful)


def _was_sent(error: "APIConnectionError") -> bool:
    """True if the request may have reached the model: after all failures but those to connect or to ask at all."""
    return not isinstance(error.__cause__, _NEVER_SENT)


def failure_of_body(error: Any, at: Circumstance) -> Failure:
    """The reaction to an error that came with status 200, as gateways and failed responses send it."""
    code = plain(error.get("code")) if isinstance(error, dict) else ""
    return failure_of_told(told_in(UNTOLD, error, {}, code), at)


def failure_of_told(told: Told, at: Circumstance) -> Failure:  # noqa: C901, PLR0912 - a case for each kind
    """The reaction to a server's words."""
    said = f"{at.address}: {told.status or 'an error'}: {at.clean(told.words)}"
    match told.kind:
        case "quota":
            remedy = "The account has no quota left; raise it. Nothing fails: agents wait."
            return Refused("quota", said, remedy, told.reset_s)
        case "overflow":
            return ContextOverflow(said)
        case "blocked":
            return FatalModelError(said)
        case "chance":
            return Unusable(said)
        case "thoughts":
            return Unsupported(said, THOUGHTS, told.words)
        case "key":
            return Refused("key", said, at.key_remedy, None)
        case "key or request":
            return Refused("key", said, at.key_remedy, None, is_doubtful=True)
        case "tools":
            return Refused("tools", said, NO_TOOLS, None)
        case "api":
            return Refused("tools", said, f"Set {at.names['API']}=responses and start the worker process again.", None)
        case "no api":
            what = "takes no POST (405)" if told.status else at.clean(told.words)
            return not_the_api(what, at, is_doubtful=told.status > 0)
        case "model":
            return Refused("model", said, _no_such_model(at), None)
        case "rate":
            return Refused("rate", said, "", told.reset_s)
        case "failing":
            return Failing(said, told.reset_s)
        case "passing":
            return TransientError(said, told.reset_s)
        case "request":
            param = at.clean(told.param)
            return Unsupported(f"{said} (parameter {param})" if param else said, param, told.words)


def _no_such_model(at: Circumstance) -> str:
    return (
        f"Model '{at.model}' is not known at this address: set models.planner.model / models.worker.model of the run, "
        f"or {at.names.models}; or correct {at.names.url}, which mostly ends in /v1."
    )


def _nobody_there(error: "APIConnectionError") -> bool:
    return isinstance(error.__cause__, httpx2.ConnectError)


def _json_of(response: httpx2.Response) -> Any:
    try:
        return json_in(response.content)
    except (Unreadable, httpx2.HTTPError):
        return None
