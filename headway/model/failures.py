"""Every way in which a model call fails, and who reacts: one table.

TransientError    the activity is tried again; with a delay where the server or the table names one. What only the user
                  can mend (key, quota, model name) is of this kind too: the fleet waits, and no task fails for it.
ContextOverflow   the agent compacts its conversation
FatalModelError   the agent hands off as failed
"""

import email.utils
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openai import APIConnectionError, APIError, APIStatusError, APITimeoutError, OpenAIError

from headway.domain.errors import HeadwayError, TransientError

PARK_S = 60.0
"""Seconds between two tries of what only the user can set right."""

MAX_DELAY_S = 3600.0
MAX_SERVER_WORDS = 500

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
_KEYLIKE = re.compile(r"\b(sk|rk|pk|gsk|xai|key)-[A-Za-z0-9_*.\-]{6,}|(?<=Bearer )\S+", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(\.\d*)?")
_MIN_SECRET = 6


class ContextOverflow(HeadwayError):
    """The request does not fit into the model's window."""


class FatalModelError(HeadwayError):
    """The server refuses this request and would refuse it again."""


Failure = TransientError | ContextOverflow | FatalModelError


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What a failure's message tells besides the server's words.

    Attributes:
        address: The endpoint, without credentials.
        secret: Taken out of every text.
        model: The model that was asked, or empty.
    """

    address: str
    secret: str = ""
    model: str = ""

    def clean(self, text: str) -> str:
        """`text` without secrets, on one line, cut."""
        if len(self.secret) >= _MIN_SECRET:
            text = text.replace(self.secret, "[key]")
        text = " ".join(_KEYLIKE.sub("[key]", text).split())
        return text if len(text) <= MAX_SERVER_WORDS else text[: MAX_SERVER_WORDS - 1] + "…"


def failure_of(error: OpenAIError, at: Circumstance) -> Failure:
    """The reaction to an exception of the openai client."""
    match error:
        case APITimeoutError():
            return TransientError(f"{at.address}: no answer in time")
        case APIConnectionError():
            why = at.clean(str(error.__cause__ or error) or type(error.__cause__).__name__)
            return TransientError(f"{at.address}: cannot be reached: {why}")
        case APIStatusError():
            words = _words_of(error.body, error.message)
            return failure_of_status(error.status_code, error, words, at, delay_in(error.response.headers))
        case APIError():
            return TransientError(f"{at.address}: {at.clean(error.message)}")
        case _:
            return FatalModelError(f"{at.address}: {at.clean(str(error))}")


def failure_of_body(error: Any, at: Circumstance) -> Failure:
    """The reaction to an error object that came with status 200, as gateways and failed responses send it."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code = fields.get("code")
    status = code if isinstance(code, int) else {"server_error": 500, "rate_limit_exceeded": 429}.get(str(code), 400)
    known = _Named(str(code or ""), str(fields.get("type") or ""), str(fields.get("param") or ""))
    return failure_of_status(status, known, _words_of(fields, str(code)), at, None)


@dataclass(frozen=True, slots=True)
class _Named:
    code: str | None
    type: str | None
    param: str | None


def failure_of_status(
    status: int, error: APIStatusError | _Named, words: str, at: Circumstance, delay: float | None
) -> Failure:
    """The table over statuses, codes and the words of servers that send no code."""
    names = {str(error.code or ""), str(error.type or "")}
    said = at.clean(words)
    told = f"{at.address}: {status}: {said}"
    if names & _QUOTA_CODES or status == 402:  # noqa: PLR2004
        return _park(told, "The account has no quota left; raise it. Nothing fails: every agent waits.")
    if names & _OVERFLOW_CODES or (400 <= status <= 500 and _OVERFLOW_WORDS.search(words)) or status == 413:  # noqa: PLR2004
        return ContextOverflow(told)
    if status in {401, 403}:
        return _park(told, "Set OPENAI_API_KEY to a key that this address accepts, and start the worker process again.")
    if status == 404 or "model_not_found" in names or (status == 400 and _BROKEN_MODEL.search(words)):  # noqa: PLR2004
        return _park(told, _no_such_model(at))
    if status in {408, 409, 429} or status >= 500:  # noqa: PLR2004
        return TransientError(told, delay)
    if error.param:
        return FatalModelError(f"{told} (parameter {at.clean(str(error.param))})")
    return FatalModelError(told)


def _no_such_model(at: Circumstance) -> str:
    return (
        f"Model '{at.model}' is not known at this address: set models.planner.model / models.worker.model of the run, "
        "or HEADWAY_PLANNER_MODEL / HEADWAY_WORKER_MODEL; or mend OPENAI_BASE_URL, which mostly ends in /v1."
    )


def _park(told: str, remedy: str) -> TransientError:
    return TransientError(f"{told}\n{remedy}", PARK_S)


def _words_of(body: object, otherwise: str) -> str:
    message = body.get("message") if isinstance(body, dict) else None
    if isinstance(message, str) and message:
        return message
    if isinstance(body, str) and body:
        return body
    return otherwise


def delay_in(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds that the server asks to wait for: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if _NUMBER.fullmatch(headers.get(name, "").strip()):
            return min(float(headers[name]) / unit, MAX_DELAY_S)
    parsed = email.utils.parsedate_tz(headers.get("retry-after", ""))
    if parsed is None:
        return None
    seconds = email.utils.mktime_tz(parsed) - (time.time() if now is None else now)
    return min(max(seconds, 0.0), MAX_DELAY_S)
