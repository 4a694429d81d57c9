"""The time at which a server that refused wants to be asked again, by the headers, body or words of its answer."""

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

MAX_DELAY_S = 3600.0
MAX_VALUE = 64
"""Characters of a header that are looked at. A header may have 100 KB, and a span is searched in quadratic time."""

_NUMBER = re.compile(r"\d++(\.\d*+)?")
_SPAN = re.compile(r"(?<![\d.])(\d++(?:\.\d++)?+)(ms|h|m|s)")
_IN_WORDS = re.compile(
    r"\b(?:again|retry|retrying|wait|resets?)(?: in| after| for)? "
    r"(\d[\d.]{0,12}) ?([a-z]{1,12})((?:[\d.]{1,12}[a-z]{1,2}){0,2})",
    re.IGNORECASE,
)
"""`Please try again in 7m12.5s` (OpenAI, Groq), `retry in 34.07s` (Gemini), `retry after 6 seconds` (Azure)."""

_PASSED_ON = "llm_provider-"
"""LiteLLM hands on the headers of the server behind it with this before their names."""

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_EPOCH, _EPOCH_MS = 1e9, 1e12


def reset_in(
    headers: Mapping[str, str], now: float | None = None, *, words: str = "", details: Any = None
) -> float | None:
    """Seconds until the reset: `retry-after-ms`, `retry-after` in seconds or as a date, else `x-ratelimit-reset-*`.

    Of the latter only those count of which nothing remains; gateways name one without a kind. Where no header tells,
    Gemini's `details` of the error do, and else the words of the error.
    """
    now = time.time() if now is None else now
    asked = _retry_after(headers, now)
    if asked is not None:
        return asked
    spans = [_span(value, now) for kind in ("-requests", "-tokens", "") if (value := _used_up(headers, kind))]
    known = [span for span in spans if span is not None]
    if known:
        return min(max(known), MAX_DELAY_S)
    told = _in_details(details, now)
    told = _in_words(words) if told is None else told
    return None if told is None else min(told, MAX_DELAY_S)


def _in_details(details: Any, now: float) -> float | None:
    for each in details[:10] if isinstance(details, list) else []:
        delay = each.get("retryDelay") if isinstance(each, dict) else None
        if isinstance(delay, str) and (span := _span(delay[:MAX_VALUE], now)) is not None:
            return span
    return None


def _in_words(words: str) -> float | None:
    found = _IN_WORDS.search(words)
    if found is None:
        return None
    total = 0.0
    parts = [(found[1], found[2].lower()), *re.findall(r"([\d.]{1,12})([a-z]{1,2})", found[3].lower())]
    for number, unit in parts:
        short = "ms" if unit.startswith(("ms", "milli")) else unit[0]
        if short not in _UNITS or not _NUMBER.fullmatch(number.rstrip(".")):
            return None
        total += float(number.rstrip(".")) * _UNITS[short]
    return total


def _retry_after(headers: Mapping[str, str], now: float) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if _NUMBER.fullmatch(value := _value(headers, name)):
            return min(float(value) / unit, MAX_DELAY_S)
    try:
        parsed = email.utils.parsedate_tz(_value(headers, "retry-after"))
        return None if parsed is None else min(max(email.utils.mktime_tz(parsed) - now, 0.0), MAX_DELAY_S)
    except (ValueError, OverflowError, IndexError):  # a date that is none
        return None


def _used_up(headers: Mapping[str, str], kind: str) -> str:
    remaining = _value(headers, f"x-ratelimit-remaining{kind}") or ("" if kind else "0")
    return _value(headers, f"x-ratelimit-reset{kind}") if remaining in {"0", "0.0"} else ""


def _value(headers: Mapping[str, str], name: str) -> str:
    return (headers.get(name) or headers.get(_PASSED_ON + name) or "").strip()[:MAX_VALUE]


def _span(text: str, now: float) -> float | None:
    """`1m30s`, `250ms`, a number of seconds, or a time in seconds or milliseconds since the epoch."""
    if _NUMBER.fullmatch(text):
        value = float(text)
        if value >= _EPOCH_MS:
            return max(value / 1000 - now, 0.0)
        return max(value - now, 0.0) if value >= _EPOCH else value
    parts = _SPAN.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
