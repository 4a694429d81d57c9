"""Numbers as people read them: tokens, dollars, durations."""

from headway.domain.state.budget import Bill, Ceiling
from headway.domain.words import limit_words

_ROUNDS_UP = 0.9995
"""From this part of a unit on, three digits would round to a thousand of the smaller one."""
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def short(count: int) -> str:
    """A large number in at most five characters: 950, 12.3k, 4.1M."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size * _ROUNDS_UP:
            amount = count / size
            return f"{amount:.0f}{unit}" if amount >= 100 else f"{amount:.1f}{unit}"  # noqa: PLR2004 - 3 digits
    return str(count)


def lasting(seconds: float) -> str:
    """A duration: 0:42, 12:05, 3:20:11, 2d 04:11."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, _DAY)
    hours, rest = divmod(rest, _HOUR)
    minutes, left = divmod(rest, _MINUTE)
    if days:
        return f"{days}d {hours:02d}:{minutes:02d}"
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def used_of(spent: Bill, granted: Ceiling | None) -> str:
    """Usage with its limit: "12.3k of 20.0M tokens, $0.20 of $20.00"."""
    tokens = f"{short(spent.tokens)}" + ("" if granted is None or granted.tokens == "none" else _of(granted.tokens))
    limit = "none" if granted is None else granted.usd
    if not spent.tokens and limit == "none":
        return f"{tokens} tokens"  # with nothing spent, it cannot be told whether the model has a price
    usd = "" if limit == "none" or spent.usd is None else f" of ${limit:,.2f}"
    return f"{tokens} tokens, {spent.dollars}{usd}"


def allowed(granted: Ceiling) -> str:
    """The limits of a run: "20,000,000 tokens, 1,000 tasks, $20.00"."""
    tokens, tasks = limit_words(granted.tokens, "token"), limit_words(granted.tasks, "task")
    return f"{tokens}, {tasks}, {'no limit in dollars' if granted.usd == 'none' else f'${granted.usd:,.2f}'}"


def _of(tokens: int) -> str:
    return f" of {short(tokens)}"
