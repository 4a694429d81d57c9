"""A run that is being prepared: its present step, the reason of its wait, and its refusal."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from headway.domain.errors import UserError
from headway.domain.ids import RunName
from headway.runs.live_tree import ask
from headway.runs.run_end import run_end_of

PREPARE = "prepare_run"
LOOK_EVERY_S = 0.25
DETACHED_WAITS_S = 60.0
"""Seconds of failing tries after which a detached start leaves the preparation to the worker processes."""


@dataclass(frozen=True)
class Preparation:
    """The activity that prepares a run.

    Attributes:
        doing: The step under way, in a few words.
        failure: Reason why its newest try failed, in words; empty where none did.
        tries: Tries so far.
    """

    doing: str
    failure: str
    tries: int

    @property
    def words(self) -> str:
        """The preparation in one line."""
        if not self.failure:
            return self.doing
        return f"{' '.join(self.failure.split())} (try {self.tries}; it is tried again)"


QUEUED = Preparation("queued", "", 0)


def preparation_of(described: WorkflowExecutionDescription) -> Preparation | None:
    """The preparation of a run; None where it is over, or has not begun."""
    for pending in described.raw_description.pending_activities:
        if pending.activity_type.name != PREPARE:
            continue
        beats = pending.heartbeat_details.payloads
        doing = str(beats[0].data, "utf-8", "replace").strip('"') if beats else "waiting for a worker process"
        failed = pending.HasField("last_failure")
        return Preparation(doing, pending.last_failure.message if failed else "", pending.attempt)
    return None


async def until_prepared(client: Client, name: RunName, tell: Callable[[str], None], *, patience_s: float) -> bool:
    """Wait until a run that was just started has passed its preflight; `tell` hears its steps.

    Returns:
        False when its preparation still failed after `patience_s` seconds of tries; it goes on without us.

    Raises:
        UserError: The run was refused. Nothing of it is left, and its name is free.
    """
    said, failing_since = "", None
    while True:
        described = await client.get_workflow_handle(name).describe()
        if described.status is not WorkflowExecutionStatus.RUNNING:
            await _refuse(client, name, described)
            return True
        found = preparation_of(described)
        if found is None and await _is_prepared(client, name):
            return True
        if found is not None and found.words != said:
            said = found.words
            tell(f"preparing: {said}")
        failing_since = (failing_since or time.monotonic()) if found is not None and found.failure else None
        if failing_since is not None and time.monotonic() - failing_since > patience_s:
            return False
        await asyncio.sleep(LOOK_EVERY_S)


async def _refuse(client: Client, name: RunName, described: WorkflowExecutionDescription) -> None:
    if described.status is not WorkflowExecutionStatus.FAILED:
        return
    ending = await run_end_of(client, name)
    if ending.report is None:
        raise UserError(f"{ending.failure}\nNothing was started, and the name '{name}' is free.")


async def _is_prepared(client: Client, name: RunName) -> bool:
    try:
        status = await ask(client, name, "status")
    except (TimeoutError, RPCError, WorkflowQueryFailedError):
        return False
    return isinstance(status, dict) and status.get("phase") != "preparing"
