"""Every way in which a model call fails, and who reacts: one table.

TransientError    the activity is tried again; with a delay where the server or the table names one
  Unusable        the same, but only `UNUSABLE_AT_MOST` times in a row: waiting does not change what a server answers
  Refused         the fleet is parked: too many calls, no quota left, or what only the user can correct (key, address,
                  model name, flags of the server). No task fails for it.
ContextOverflow   the agent compacts its conversation
FatalModelError   the agent hands off as failed
  NoUsableReply   the attempt has failed; another one may do better
  Unsupported     first the parameter that the server does not take is left out, for this model on this machine
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
import orjson

from headway.domain.errors import HeadwayError, TransientError
from headway.model.editing import PATCH_TOOL
from headway.model.flow import Kind
from headway.model.reading import Unreadable
from headway.model.reply_bounds import Encoded, TooLarge
from headway.model.resets import reset_in

# Loaded with the first exchange; see there.
if TYPE_CHECKING:
    from openai import APIConnectionError, APIStatusError, OpenAIError

PARK_S = 60.0
"""Seconds between two tries of what only the user can set right, where nobody else counts."""

MAX_SERVER_WORDS = 500
MAX_WORDS_READ = 10_000
"""Characters of a server's words that are searched: each pattern looks at up to 80 of them at every one."""

UNUSABLE_AT_MOST = 3
"""Replies in a row that an agent cannot use. After the last one it hands off."""

NO_TOOLS = (
    "Agents need tools. vLLM: start it with --enable-auto-tool-choice --tool-call-parser NAME; llama.cpp: with "
    "--jinja; Ollama and gateways: take a model that has tools."
)

_OVERFLOW_CODES = {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_credits"}
_OVERFLOW_WORDS = re.compile(
    r"maximum (context|model) length|context[^.]{0,60}exceed|exceed[^.]{0,60}context|prompt (is )?too long"
    r"|input token count[^.]{0,40}exceeds|input is too long|too large for model|request too large"
    r"|reduce the length of the (messages|input|prompt)",
    re.IGNORECASE,
)
_BROKEN_MODEL = re.compile(
    r"model\b.{0,80}\b(not found|does not exist|not a valid model)|not a valid model", re.IGNORECASE | re.DOTALL
)
_NO_TOOLS = re.compile(
    r"--enable-auto-tool-choice|--tool-call-parser|requires --jinja|does not support (tools|function)"
    r"|support tool use|tools? (is|are) not supported",
    re.IGNORECASE,
)
_OTHER_API = re.compile(r"/v1/responses", re.IGNORECASE)
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
    """The server refuses this request and would refuse it again."""


class NoUsableReply(FatalModelError):
    """`UNUSABLE_AT_MOST` replies in a row were `Unusable`."""


class Unsupported(FatalModelError):
    """The server does not take something in this request.

    Attributes:
        param: What it names, as it names it; may be empty.
        words: What it says.
    """

    def __init__(self, message: str, param: str, words: str) -> None:
        super().__init__(message)
        self.param = param
        self.words = words


class Unusable(TransientError):
    """The server answered, and the answer is none: no JSON, too large, too deep, or without its main part."""

    def __init__(self, message: str) -> None:
        super().__init__(message, cut_off=True)


class Refused(TransientError):
    """The server would refuse every other agent too.

    Attributes:
        reset_s: Seconds until the server says that it will not; None where it does not say.
        remedy: What the user can do.
    """

    def __init__(self, kind: Kind, told: str, remedy: str, reset_s: float | None, *, cut_off: bool = False) -> None:
        by_table = None if kind == "rate" else PARK_S
        delay_s = by_table if reset_s is None else reset_s
        super().__init__(f"{told}\n{remedy}" if remedy else told, delay_s, cut_off=cut_off)
        self.kind: Kind = kind
        self.why = told
        self.remedy = remedy
        self.reset_s = reset_s


Failure = TransientError | ContextOverflow | FatalModelError


@dataclass(frozen=True, slots=True)
class Circumstance:
    """The facts for a failure's message, apart from the server's words.

    Attributes:
        address: The endpoint, without credentials.
        secret: Taken out of every text.
        model: The model that was asked, or empty.
        key_name: The environment variable that holds the key.
        url_name: The environment variable that holds the address.
    """

    address: str
    secret: str = ""
    model: str = ""
    key_name: str = "OPENAI_API_KEY"
    url_name: str = "OPENAI_BASE_URL"

    @property
    def key_remedy(self) -> str:
        """What to do about a key that is refused."""
        return f"Set {self.key_name} to a key that this address accepts, and start the worker process again."

    def clean(self, text: str) -> str:
        """`text` without secrets, on one line, cut."""
        if len(self.secret) >= _MIN_SECRET:
            text = text.replace(self.secret, "[key]")
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
            words = _words_of(error.body, error.message)
            return failure_of_status(error.status_code, error, words, at, reset_in(error.response.headers))
        case APIError():
            return TransientError(f"{at.address}: {at.clean(error.message)}")
        case _:
            return FatalModelError(f"{at.address}: {at.clean(str(error))}")


def failure_of_reading(error: Exception, at: Circumstance) -> Failure:
    """The reaction to what went wrong after a request had begun to leave: it may have been paid for."""
    why = at.clean(str(error) or type(error).__name__)
    match error:
        case Encoded():
            remedy = f"Turn compression off at the server or the gateway before it, or correct {at.url_name}."
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
    remedy = f"Set {at.url_name} to the address that answers without a redirect, mostly with https:// and /v1."
    return Refused("address", f"{at.address}: redirects to {to} ({status}), which is not followed", remedy, None)


def not_the_api(what: str, at: Circumstance, *, cut_off: bool = False) -> Refused:
    """Another program than a model's server answers at this address."""
    told = f"{at.address}: {what}: this is not the API of a model's server"
    return Refused("address", told, f"Correct {at.url_name}, which mostly ends in /v1.", None, cut_off=cut_off)


def _was_sent(error: "APIConnectionError") -> bool:
    """Whether the request may have reached the model: every failure but those to get a connection, or to ask at all."""
    return not isinstance(error.__cause__, _NEVER_SENT)


def failure_of_body(error: Any, at: Circumstance) -> Failure:
    """The reaction to an error object that came with status 200, as gateways and failed responses send it."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code = fields.get("code")
    status = code if isinstance(code, int) else {"server_error": 500, "rate_limit_exceeded": 429}.get(_plain(code), 400)
    known = _Named(_plain(code), _plain(fields.get("type")), _plain(fields.get("param")))
    return failure_of_status(status, known, _words_of(fields, _plain(code)), at, None)


@dataclass(frozen=True, slots=True)
class _Named:
    code: str | None
    type: str | None
    param: str | None


def failure_of_status(
    status: int, error: "APIStatusError | _Named", words: str, at: Circumstance, delay: float | None
) -> Failure:
    """The table over statuses, codes and the words of servers that send no code."""
    words = words[:MAX_WORDS_READ]
    names = {_plain(error.code), _plain(error.type)}
    said = at.clean(words)
    told = f"{at.address}: {status}: {said}"
    if names & _QUOTA_CODES or status == 402:  # noqa: PLR2004
        return Refused("quota", told, "The account has no quota left; raise it. Nothing fails: agents wait.", delay)
    if names & _OVERFLOW_CODES or (400 <= status <= 500 and _OVERFLOW_WORDS.search(words)) or status == 413:  # noqa: PLR2004
        return ContextOverflow(told)
    if status in {401, 403}:
        return Refused("key", told, at.key_remedy, None)
    # A tool of the API that a server lacks is offered as a function from then on: that is no reason to wait.
    if status >= 400 and _NO_TOOLS.search(words) and PATCH_TOOL not in words:  # noqa: PLR2004
        return Refused("tools", told, NO_TOOLS, None)
    if status == 400 and _OTHER_API.search(words):  # noqa: PLR2004
        return Refused("tools", told, "Set HEADWAY_API=responses and start the worker process again.", None)
    if status == 405:  # noqa: PLR2004
        return not_the_api("takes no POST (405)", at)
    if status == 404 or "model_not_found" in names or (status == 400 and _BROKEN_MODEL.search(words)):  # noqa: PLR2004
        return Refused("model", told, _no_such_model(at), None)
    if status == 429:  # noqa: PLR2004
        return Refused("rate", told, "", delay)
    if status in {408, 409} or status >= 500:  # noqa: PLR2004
        return TransientError(told, delay)
    param = at.clean(_plain(error.param))
    return Unsupported(f"{told} (parameter {param})" if param else told, param, words)


def _no_such_model(at: Circumstance) -> str:
    return (
        f"Model '{at.model}' is not known at this address: set models.planner.model / models.worker.model of the run, "
        f"or HEADWAY_PLANNER_MODEL / HEADWAY_WORKER_MODEL; or correct {at.url_name}, which mostly ends in /v1."
    )


def _plain(value: object) -> str:
    """A word or number of a server; empty where it sends a structure in its place."""
    return str(value)[:MAX_SERVER_WORDS] if isinstance(value, str | int | float) and value else ""


def _nobody_there(error: "APIConnectionError") -> bool:
    return isinstance(error.__cause__, httpx2.ConnectError)


def _words_of(body: object, otherwise: str) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    if isinstance(message, str) and message:
        return message
    if isinstance(body, str) and body:
        return body
    # Servers built on pydantic put a list of what they mind below `detail`, others something of their own.
    try:
        return orjson.dumps(body).decode() if isinstance(body, dict) and body else otherwise
    except orjson.JSONEncodeError:  # nested too deeply, or half a surrogate pair
        return otherwise
