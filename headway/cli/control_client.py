"""Sends a user's order to a run: the common part of `headway pause`, `resume`, `limits` and `amend`."""

import asyncio
import getpass
import socket
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import FailureError

from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.order import Order
from headway.host.connection import connect, has_worker, target_of
from headway.runs.find_agent import find_agent
from headway.runs.run_lookup import KnownRun, need_own_run

Check = Callable[[Client, KnownRun, AgentId], Awaitable[None]]
"""Refuses an order that a run would take and its user would not mean, with a `UserError`."""

ANSWER_S = 15.0


async def _anything(client: Client, run: KnownRun, target: AgentId) -> None:
    """Refuse nothing."""
    del client, run, target


async def give(
    home: Path,
    kind: type[Order],
    name: str,
    agent: str | None = None,
    *,
    words: str,
    otherwise: str,
    fields: dict[str, Any],
    check: Check = _anything,
) -> str:
    """Give an order to a run, and return its answer in words.

    Without a worker process to answer, the order is left with the service and takes effect when one starts.

    Args:
        home: The state folder.
        kind: The order. Where it has a target, that is `agent`, or the run.
        name: The run's name.
        agent: The agent as the user names it.
        words: The order in words; `{}` stands for its target.
        otherwise: The user's next step where the run is closed.
        fields: The order's own fields.
        check: See there.

    Raises:
        UserError: There is no such run or agent at work, or the run refuses.
    """
    aims = "target" in kind.model_fields
    _refuse_invalid(kind, fields | ({"target": name} if aims else {}))
    client = await connect(target_of(home))
    run = await need_own_run(client, home, name)
    if not run.is_open:
        raise UserError(f"The run '{name}' is closed ({run.status}).", otherwise)
    target = AgentId(run.name)
    if agent is not None and agent != run.name:
        target = await find_agent(client, home, run, agent)
    await check(client, run, target)
    return await _send(client, run, kind.name, words.format(target), fields | ({"target": target} if aims else {}))


def _refuse_invalid(kind: type[Order], fields: dict[str, Any]) -> None:
    """Validate an order before it is sent: a signal with invalid content would be dropped without a word."""
    try:
        kind.model_validate({"request": "-", "who": _who(), **fields})
    except ValidationError as error:
        raise UserError("; ".join(_refusal(each) for each in error.errors())) from error


async def _send(client: Client, run: KnownRun, name: str, words: str, fields: dict[str, Any]) -> str:
    order = {"request": str(uuid.uuid4()), "who": _who(), **fields}
    handle = client.get_workflow_handle(run.name)
    if await has_worker(client):
        try:
            async with asyncio.timeout(ANSWER_S):
                return str(await handle.execute_update(name, order, id=order["request"], result_type=str))
        except TimeoutError:
            pass  # told again below under the same request, which is carried out once
        except WorkflowUpdateFailedError as error:
            raise UserError(_words(error)) from error
    await handle.signal(name, order)
    return f"No worker process answers. The service keeps the order {words} until one starts."


def _refusal(error: ErrorDetails) -> str:
    field = ".".join(map(str, error["loc"][:1]))
    match error["type"]:
        case "string_too_short":
            return f"{field}: must not be empty"
        case "string_too_long":
            return f"{field}: must have at most {error['ctx']['max_length']:,} characters"
        case _:
            return f"{field}: {error['msg'][:1].lower()}{error['msg'][1:]}"


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user database has no entry of this user
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _words(error: WorkflowUpdateFailedError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, FailureError) else str(cause)
