"""`headway limits`: changes a run's limits while it goes on."""

from typing import Annotated

import typer

from headway.cli.console import say
from headway.cli.home import home_from
from headway.cli.running import run_async
from headway.domain.errors import UserError

UNITS = {"K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
NONE = "'none' for no limit"


def limits(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    *,
    tokens: Annotated[str | None, typer.Option(help=f"Tokens of the whole run, or {NONE}.")] = None,
    usd: Annotated[str | None, typer.Option(help=f"Dollars of the whole run, or {NONE}.")] = None,
    usd_per_hour: Annotated[str | None, typer.Option(help=f"Dollars in any hour on each machine, or {NONE}.")] = None,
    tasks: Annotated[str | None, typer.Option(help=f"Worker tasks of the whole run, or {NONE}.")] = None,
    hours: Annotated[str | None, typer.Option(help=f"Hours from the start of the run, or {NONE}.")] = None,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
) -> None:
    """Change the limits of a whole run, up or down; a run that holds at its limit goes on when it is raised."""
    from headway.cli.holding import order_of_run

    said = {"tokens": _whole("--tokens", tokens), "tasks": _whole("--tasks", tasks)}
    order = said | {"usd": _number("--usd", usd), "hours": _number("--hours", hours)}
    order |= {"usd_per_hour": _number("--usd-per-hour", usd_per_hour)}
    given = {key: value for key, value in order.items() if value is not None}
    if not given:
        raise UserError("No limit is named.", "Name at least one of --tokens, --usd, --usd-per-hour, --tasks, --hours.")
    say(run_async(order_of_run(home_from(), "set_limits", name, "to change its limits", why=why, **given)))


def _whole(option: str, text: str | None) -> int | str | None:
    value = _number(option, text)
    if isinstance(value, float) and not value.is_integer():
        raise UserError(f"{option}: '{text}' is not a whole number.")
    return int(value) if isinstance(value, float) else value


def _number(option: str, text: str | None) -> float | str | None:
    if text is None or text == "none":
        return text
    plain = text.strip().replace(",", "").replace("_", "")
    unit = UNITS.get(plain[-1:].upper(), 1)
    try:
        value = float(plain if unit == 1 else plain[:-1]) * unit
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UserError(f"{option}: '{text}' is not a number above 0, nor 'none'; 40M and 500k are numbers.")
    return value
