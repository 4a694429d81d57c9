"""Sends a user's order to a run: the common part of `headway pause`, `resume`, `limits` and `amend`."""

import asyncio
import getpass
import socket
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import FailureError

from headway.cli.display.watch import NOWHERE, Watcher
from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.state.control import Amend, SetLimits
from headway.host.connection import connect, has_worker, target_of
from headway.runs.find_agent import find_agent
from headway.runs.run_lookup import KnownRun, describe, need_own_run
from headway.runs.short_ids import short_id

Verb = Literal["pause", "resume", "set_limits", "amend"]

ANSWER_S = 15.0


async def tell_run(home: Path, verb: Verb, name: str, agent: str | None, **more: Any) -> str:
    """Tell the run, and return its answer in words.

    Without a worker process to answer, the order is left with the service and takes effect when one starts.

    Raises:
        UserError: There is no such run or agent at work, or the run refuses.
    """
    client = await connect(target_of(home))
    run = await _open_run(client, home, name, f"There is nothing to {verb}.")
    target = await _target(client, home, run, agent, verb)
    if verb == "resume":
        await _refuse_idle(client, run, target)
    return await _tell(client, run, verb, f"to {verb} {target}", {"target": target, **more})


async def order_of_run(home: Path, verb: Verb, name: str, words: str, **order: Any) -> str:
    """Give an order to a whole run, and return its answer in words; as `tell_run`.

    Raises:
        UserError: There is no such run at work, or it refuses.
    """
    kind = SetLimits if verb == "set_limits" else Amend
    try:
        # Before it is sent: a signal with invalid content would be dropped without a word.
        kind.model_validate({"request": "-", "who": _who(), **order})
    except ValidationError as error:
        raise UserError("; ".join(_refusal(each) for each in error.errors())) from error
    client = await connect(target_of(home))
    run = await _open_run(client, home, name, f"`headway continue {name}` starts a new run on what it landed.")
    await _refuse_the_past(client, run, order.get("hours"))
    return await _tell(client, run, verb, words, order)


async def _open_run(client: Client, home: Path, name: str, otherwise: str) -> KnownRun:
    run = await need_own_run(client, home, name)
    if not run.is_open:
        raise UserError(f"The run '{name}' is closed ({run.status}).", otherwise)
    return run


async def _tell(client: Client, run: KnownRun, verb: Verb, words: str, fields: dict[str, Any]) -> str:
    order = {"request": str(uuid.uuid4()), "who": _who(), **fields}
    handle = client.get_workflow_handle(run.name)
    if await has_worker(client):
        try:
            async with asyncio.timeout(ANSWER_S):
                return str(await handle.execute_update(verb, order, id=order["request"], result_type=str))
        except TimeoutError:
            pass  # told again below under the same request, which is carried out once
        except WorkflowUpdateFailedError as error:
            raise UserError(_words(error)) from error
    await handle.signal(verb, order)
    return f"No worker process answers. The service keeps the order {words} until one starts."


async def _target(client: Client, home: Path, run: KnownRun, agent: str | None, verb: Verb) -> AgentId:
    if agent is None or agent == run.name:
        return AgentId(run.name)
    target = await find_agent(client, home, run, agent)
    described = await describe(client, target)
    if described is not None and described.close_time is not None and verb == "pause":
        raise UserError(f"The agent {short_id(target)} has ended already.", "There is nothing to pause.")
    return target


async def _refuse_the_past(client: Client, run: KnownRun, hours: float | str | None) -> None:
    """Refuse a deadline that is over: the run would end at once.

    Raises:
        UserError: It is.
    """
    described = await describe(client, run.name)
    if described is None or not isinstance(hours, float):
        return
    passed = (datetime.now(UTC) - described.start_time).total_seconds() / 3600
    if hours <= passed:
        raise UserError(
            f"--hours: {hours:g} hours from the start of the run are over; {passed:.2f} have passed.",
            f"Give more, or end the run with `headway cancel {run.name}`.",
        )


def _refusal(error: ErrorDetails) -> str:
    field = ".".join(map(str, error["loc"][:1]))
    match error["type"]:
        case "string_too_short":
            return f"{field}: must not be empty"
        case "string_too_long":
            return f"{field}: must have at most {error['ctx']['max_length']:,} characters"
        case _:
            return f"{field}: {error['msg'][:1].lower()}{error['msg'][1:]}"


async def _refuse_idle(client: Client, run: KnownRun, target: AgentId) -> None:
    """Refuse to resume what something else holds: the answer would sound as if it went on.

    Raises:
        UserError: A pause above the target, or the run's limit, keeps it from going on.
    """
    look = await Watcher(client, run.name, NOWHERE).state()
    if look.control is None or target in look.control.paused:
        return
    above = look.control.hold_on(target)
    if above is not None:
        reason = f" ({above.why})" if above.why else ""
        raise UserError(
            f"{short_id(target)} is not paused itself: something above it is{reason}.",
            f"`headway resume {run.name}` resumes the whole run; `headway status {run.name}` shows each pause.",
        )
    if look.status.get("phase") == "hold":
        raise UserError("The run is on hold, not paused: its budget is exhausted.", *look.status.get("attention", ()))


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user database has no entry of this user
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _words(error: WorkflowUpdateFailedError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, FailureError) else str(cause)
