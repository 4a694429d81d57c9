"""Tells a run to hold a part of itself, or to let it go on: what `headway pause` and `headway resume` share."""

import asyncio
import getpass
import socket
import uuid
from pathlib import Path
from typing import Any, Literal

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import FailureError

from headway.cli.connect import connect, has_worker, target_of
from headway.cli.known_run import KnownRun, describe, need_run
from headway.domain.errors import UserError
from headway.domain.ids import AgentId

Verb = Literal["pause", "resume"]

ANSWER_S = 15.0


async def tell_run(home: Path, verb: Verb, name: str, agent: str | None, **more: Any) -> str:
    """Tell the run, and return its answer in words.

    Without a worker process to answer, the order is left with the service and takes effect when one starts.

    Raises:
        UserError: There is no such run or agent at work, or the run refuses.
    """
    client = await connect(target_of(home))
    run = await need_run(client, name)
    if not run.is_open:
        raise UserError(f"The run '{name}' is closed ({run.status}).", f"There is nothing to {verb}.")
    target = await _target(client, run, agent, verb)
    order = {"request": str(uuid.uuid4()), "target": target, "who": _who(), **more}
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
    return f"No worker process answers. The service keeps the order to {verb} {target} until one starts."


async def _target(client: Client, run: KnownRun, agent: str | None, verb: Verb) -> AgentId:
    if agent is None or agent == run.name:
        return AgentId(run.name)
    target = AgentId(agent if agent.startswith(f"{run.name}/") else f"{run.name}/{agent}")
    described = await describe(client, target)
    if described is None:
        raise UserError(f"The run '{run.name}' has no agent '{agent}'.", f"`headway status {run.name}` shows them.")
    if described.close_time is not None and verb == "pause":
        raise UserError(f"The agent {target} has ended already.", "There is nothing to pause.")
    return target


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # nobody's entry in the user database
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def _words(error: WorkflowUpdateFailedError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, FailureError) else str(cause)
