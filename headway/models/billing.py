"""The usage of a call: a server's own counts made plausible, estimates in place of missing ones, a gateway's price."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from headway.models.lenient_json import count_in
from headway.models.turn import Turn, Usage

LITELLM_COST = "x-litellm-response-cost"

MICRO = 1_000_000
MAX_COST = 1_000 * MICRO
"""Micro-dollars of one call. A larger price is none: the largest windows cost a tenth of it."""


def believed(turn: Turn, sent: int) -> Usage:
    """A server's counts of tokens, made plausible: no request is empty, and a part is at most its whole.

    Some gateways do not count the cached tokens as input, but next to it. A request of `sent` bytes has at most so many
    tokens.
    """
    usage = turn.usage
    input_ = usage.input or None
    beside = (usage.cached or 0) + (usage.written or 0)
    if input_ is not None and input_ < beside and input_ + beside <= sent:
        input_ += beside
    output = None if usage.output == 0 and turn.items else usage.output
    parts = {
        "cached": _at_most(usage.cached, input_),
        "written": _at_most(usage.written, input_),
        "reasoning": _at_most(usage.reasoning, output),
    }
    return Usage(input=input_, output=output, **parts)


def reported(body: Any) -> Usage | None:
    """The counts that an answer without a reply holds; None where they are not there, or are zeros."""
    usage = body.get("usage") if isinstance(body, dict) else None
    given = count_in(usage, "prompt_tokens") or count_in(usage, "input_tokens")
    made = count_in(usage, "completion_tokens") or count_in(usage, "output_tokens")
    return Usage(input=given, output=made) if given and made else None


def cost_in(body: Any, headers: Mapping[str, str]) -> int | None:
    """Micro-dollars of a call by a gateway's own word: OpenRouter's `usage.cost`, or LiteLLM's header.

    Nothing, and zero, say that it knows no price.
    """
    usage = body.get("usage") if isinstance(body, dict) else None
    usage = usage if isinstance(usage, dict) else {}
    dollars = _dollars(usage.get("cost"))
    details = usage.get("cost_details")
    if usage.get("is_byok") and isinstance(details, dict):  # with a key of one's own, the provider's bill comes apart
        dollars += _dollars(details.get("upstream_inference_cost"))
    dollars = dollars or _dollars(headers.get(LITELLM_COST))
    micro = int((dollars * MICRO).to_integral_value(ROUND_CEILING))
    return micro if 0 < micro <= MAX_COST else None


def _dollars(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return Decimal(0)
    try:
        number = Decimal(str(value)[:40])
    except InvalidOperation:
        return Decimal(0)
    return number if number.is_finite() and 0 < number <= MAX_COST else Decimal(0)


def _at_most(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)
