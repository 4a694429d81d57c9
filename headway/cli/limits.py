"""`headway limits`: changes a run's limits while it goes on.

Its options are made from the table of limits: one for each limit that may change.
"""

import inspect
from typing import Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.limit_table import CHANGEABLE, LIMITS, Value, is_whole
from headway.host.home import home_from

UNITS = {"K": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def limits(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    *,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
    **given: str | None,
) -> None:
    """Change the limits of a whole run, up or down; a run that holds at its limit goes on when it is raised."""
    from headway.cli.control_client import order_of_run

    order = {limit: _value(limit, text) for limit, text in given.items() if text is not None}
    if not order:
        named = ", ".join(map(_option, CHANGEABLE))
        raise UserError("No limit is named.", f"Name at least one of {named}.")
    say(run_async(order_of_run(home_from(), "set_limits", name, "to change its limits", why=why, **order)))


def _with_options_of_limits() -> inspect.Signature:
    keyword = inspect.Parameter.KEYWORD_ONLY
    name, why, _ = inspect.signature(limits).parameters.values()
    options = [
        inspect.Parameter(
            limit,
            keyword,
            default=None,
            annotation=Annotated[str | None, typer.Option(help=f"{LIMITS[limit].option}, or 'none' for no limit.")],
        )
        for limit in CHANGEABLE
    ]
    return inspect.Signature([name, *options, why])


def _option(limit: str) -> str:
    return f"--{limit.replace('_', '-')}"


def _value(limit: str, text: str) -> Value:
    if text == "none":
        return "none"
    option, plain = _option(limit), text.strip().replace(",", "").replace("_", "")
    unit = UNITS.get(plain[-1:].upper(), 1)
    try:
        value = float(plain if unit == 1 else plain[:-1]) * unit
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UserError(f"{option}: '{text}' is not a number above 0, nor 'none'; 40M and 500k are numbers.")
    if is_whole(limit) and not value.is_integer():
        raise UserError(f"{option}: '{text}' is not a whole number.")
    return int(value) if is_whole(limit) else value


# typer reads the options from the signature and the annotations of the function.
SIGNATURE = _with_options_of_limits()
limits.__signature__ = SIGNATURE  # type: ignore[attr-defined]
limits.__annotations__ |= {name: parameter.annotation for name, parameter in SIGNATURE.parameters.items()}
