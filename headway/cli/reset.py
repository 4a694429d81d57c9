"""`headway reset`: a planner plans anew from one of its turns, and keeps all work that was done."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headway.cli.console import say
from headway.cli.running import run_async
from headway.domain.errors import UserError
from headway.domain.ids import AgentId, parent_of
from headway.host.home import home_from
from headway.runs.short_ids import short_id

if TYPE_CHECKING:
    from temporalio.client import Client

    from headway.runs.run_lookup import KnownRun
    from headway.runs.turn_history import PastTurn

NAMED = 20
PARKED = "needs_attention"
DECISION_S = 20.0
"""Seconds that the run has for the answer on which a reset depends: a look may do without one, a reset cannot."""


def reset(
    name: Annotated[str, typer.Argument(help="The run's name.")],
    *,
    planner: Annotated[str | None, typer.Option(help="A planner, by id or title; default: the root planner.")] = None,
    turn: Annotated[int | None, typer.Option(min=1, help="The turn to take again; default: the last one.")] = None,
    why: Annotated[str, typer.Option(help="The reason; the run keeps it.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Have a planner plan anew from one of its turns. No work is lost.

    The planner gets the children that it asked for since, and their handoffs, again.
    """
    raise typer.Exit(run_async(_reset(home_from(), name, planner, turn, why, yes=yes)))


async def _reset(home: Path, name: str, given: str | None, wanted: int | None, why: str, *, yes: bool) -> int:
    from headway.host.connection import connect, target_of
    from headway.runs.run_lookup import need_own_run
    from headway.runs.turn_history import find_turn, go_back

    client = await connect(target_of(home))
    run = await need_own_run(client, home, name)
    if not run.is_open:
        raise UserError(
            f"The run '{name}' is closed ({run.status}): no run would take the handoffs of its planners.",
            f"`headway continue {name}` starts a new run on its trunk, with its notes.",
        )
    planner = await _planner(client, home, run, given)
    turn, known = await find_turn(client, planner, wanted)
    if turn is None:
        raise _no_turn(planner, wanted, known)
    for line in _shown(planner, turn, known):
        say(line)
    if not _agreed(yes=yes):
        say("Nothing was changed.")
        return 1
    run_id = await go_back(client, planner, turn, why)
    say(f"{planner} plans anew from turn {turn.turn} (workflow run {run_id}).")
    return 0


async def _planner(client: "Client", home: Path, run: "KnownRun", given: str | None) -> AgentId:
    """The planner that is meant, if its word still counts.

    Raises:
        UserError: There is no such planner, or it has handed up already.
    """
    from headway.runs.find_agent import find_agent
    from headway.runs.run_lookup import PLANNER_TYPE, describe, open_planners, root_planners

    roots = await root_planners(client, run)
    if given is None and not roots:
        raise UserError(f"The run '{run.name}' has no root planner yet.", f"`headway status {run.name}` shows it.")
    planner = roots[-1] if given is None else await find_agent(client, home, run, given)
    described = await describe(client, planner)
    if described is None or described.workflow_type != PLANNER_TYPE:
        known = await open_planners(client, run.name, NAMED + 1)
        more = "\n  and more" if len(known) > NAMED else ""
        listed = "".join(f"\n  {short_id(AgentId(other))}" for other in known[:NAMED]) + more
        raise UserError(f"'{given}' is not a planner of run '{run.name}'.", f"At work are:{listed or ' none'}")
    if described.close_time is None or (planner in roots[-1:] and await _is_parked(client, run)):
        return planner
    raise _handed_up(run, planner)


async def _is_parked(client: "Client", run: "KnownRun") -> bool:
    from temporalio.client import WorkflowQueryFailedError
    from temporalio.service import RPCError

    from headway.runs.live_tree import ask

    try:
        status = await ask(client, run.name, "status", DECISION_S)
    except (TimeoutError, RPCError, WorkflowQueryFailedError) as error:
        raise UserError(
            f"The root planner of '{run.name}' has handed off, and the run does not say what it waits for: {error}",
            "Start its worker processes with `headway up` or `headway worker`, and try again.",
        ) from error
    return isinstance(status, dict) and status.get("phase") == PARKED


def _handed_up(run: "KnownRun", planner: AgentId) -> UserError:
    above = parent_of(planner)
    if above == AgentId(run.name):
        return UserError(
            f"The root planner of '{run.name}' has handed off, and the run is about to close.",
            f"`headway continue {run.name}` then starts a new run on its trunk, with its notes.",
        )
    return UserError(
        f"The planner {planner} has handed off already, and the run takes no second handoff of it.",
        f"Reset the planner above it: headway reset {run.name} --planner {short_id(above)}",
    )


def _no_turn(planner: AgentId, wanted: int | None, known: list[int]) -> UserError:
    if wanted is None or not known:
        return UserError(f"The planner {planner} has taken no turn yet.", "There is no turn to go back to.")
    return UserError(
        f"The planner {planner} has no turn {wanted} in the histories that the service has kept.",
        f"It has the turns {known[0]} to {known[-1]}.",
    )


def _shown(planner: AgentId, turn: "PastTurn", known: list[int]) -> list[str]:
    later = len([number for number in known if number > turn.turn])
    lines = [f"planner   {planner}", f"turn      {turn.turn}, asked {turn.at.astimezone():%Y-%m-%d %H:%M:%S}"]
    lines += [f"decided   {line}" for line in _decided(turn)]
    if later:
        lines.append(f"after it  {later} turn{'s' if later > 1 else ''}, which the planner forgets too")
    lines.append("It is asked for this turn anew, at the newest trunk. Commits and open tasks stay as they are;")
    lines.append("handoffs that came in since then come in again.")
    return lines


def _decided(turn: "PastTurn") -> list[str]:
    outcome = turn.outcome
    if outcome is None:
        return ["nothing yet: it is still running"]
    said = str(outcome.decision)
    if outcome.finish is not None:
        said += f" as {outcome.finish.status}: {outcome.finish.summary.partition(chr(10))[0][:200]}"
    lines = [said]
    if outcome.spawned:
        titles = ", ".join(f"'{spawned.title}'" for spawned in outcome.spawned[:NAMED])
        more = f" and {len(outcome.spawned) - NAMED} more" if len(outcome.spawned) > NAMED else ""
        lines.append(f"{len(outcome.spawned)} asked for: {titles}{more}")
    if outcome.cancelled:
        lines.append(f"{len(outcome.cancelled)} cancelled: {', '.join(outcome.cancelled)}")
    return lines


def _agreed(*, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UserError("Not a terminal, cannot ask for confirmation.", "Give --yes to go ahead without a question.")
    return typer.confirm("Go back to it?", default=False)
