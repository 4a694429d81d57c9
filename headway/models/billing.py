"""The usage of a call: a server's own counts made plausible, estimates in place of missing ones, a gateway's price."""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from typing import Any

from headway.models.http_client import HttpAnswer
from headway.models.lenient_json import count_in
from headway.models.token_estimate import MODELS_KEPT, TokenEstimate
from headway.models.turn import Turn, Usage
from headway.system.cache import BoundedCache

LITELLM_COST = "x-litellm-response-cost"

MICRO = 1_000_000
MAX_COST = 1_000 * MICRO
"""Micro-dollars of one call. A larger price is none: the largest windows cost a tenth of it."""


class Billing:
    """Adds to replies what they cost. One per endpoint and process.

    Args:
        estimate: Tokens of bytes, for servers that report no plausible count.
        tell: Called with a line, once for each model whose server reports none.
    """

    def __init__(self, estimate: TokenEstimate, tell: Callable[[str], None]) -> None:
        self._estimate = estimate
        self._tell = tell
        self._uncounted: BoundedCache[str, bool] = BoundedCache(MODELS_KEPT)

    def with_figures(self, turn: Turn, said: HttpAnswer, sent: int, model: str) -> Turn:
        """The reply with its tokens and its price; `sent` is the length of the request in bytes."""
        usage = turn.usage
        given = self._estimate.estimate(sent, model) if usage.input is None else usage.input
        made = self._estimate.estimate(said.nbytes, model) if usage.output is None else usage.output
        if None in {usage.input, usage.output} and self._uncounted.get(model) is None:
            self._uncounted.put(model, True)
            self._tell(f"model {model}: the server reports no plausible count of tokens, so they are estimated")
        counted = usage.model_copy(update={"input": given, "output": made})
        figures = {"counted": counted, "tokens": max(given + made, 1), "cost": cost_in(said.body, said.headers)}
        return turn.model_copy(update=figures)


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
