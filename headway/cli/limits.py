"""`headway limits`: changes a run's limits while it goes on.

Its options are made from the table of limits: one for each limit that may change.
"""

import inspect
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.limit_table import CHANGEABLE, LIMITS, Value, is_whole
from headway.host.home import home_from

if TYPE_CHECKING:
    from temporalio.client import Client

    from headway.runs.run_lookup import KnownRun

UNITS = {"K": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def limits(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    *,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
    **given: str | None,
) -> None:
    """Change the limits of a whole run, up or down. A run that holds at its limit goes on after a raise."""
    from headway.cli.control_client import give
    from headway.domain.orders.set_limits import SetLimits

    order = {limit: _value(limit, text) for limit, text in given.items() if text is not None}
    if not order:
        named = ", ".join(map(_option, CHANGEABLE))
        raise UserError("No limit is named.", f"Name at least one of {named}.")
    otherwise = f"`headway continue {name}` starts a new run on what it landed."
    check = partial(_in_the_future, order.get("hours"))
    asked = partial(give, home_from(), SetLimits, name, words="to change its limits", otherwise=otherwise, check=check)
    say(run_async(asked(fields={**order, "why": why})))


async def _in_the_future(hours: Value | None, client: "Client", run: "KnownRun", _: AgentId) -> None:
    """Refuse a deadline that is over: the run would end at once.

    Raises:
        UserError: It is.
    """
    from headway.runs.run_lookup import describe

    described = await describe(client, run.name)
    if described is None or not isinstance(hours, float):
        return
    passed = (datetime.now(UTC) - described.start_time).total_seconds() / 3600
    if hours <= passed:
        raise UserError(
            f"--hours: {hours:g} hours from the start of the run are over; {passed:.2f} have passed.",
            f"Give more, or end the run with `headway cancel {run.name}`.",
        )


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
