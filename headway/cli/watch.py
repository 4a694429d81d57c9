"""Looks at a run while it goes on: its own answers, and its commits."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from temporalio.client import Client, WorkflowFailureError, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError, CancelledError, FailureError, TerminatedError
from temporalio.service import RPCError

from headway.cli.commits import Commit, landed
from headway.cli.live_tree import ask, failing, live_tree, root_failing
from headway.domain.ids import RunName
from headway.domain.run import Outcome, RunReport
from headway.domain.tree import TreeNode

EVERY_S = 1.0

EXIT_CODES = {Outcome.DONE: 0, Outcome.DONE_UNPROVEN: 3, Outcome.PARTIAL: 4, Outcome.FAILED: 1, Outcome.CANCELLED: 1}


@dataclass(frozen=True)
class Look:
    """A run at one moment.

    Attributes:
        status: Its answer to the query `status`; empty when nobody answered.
        problem: Why nobody did, in words.
    """

    status: dict[str, Any] = field(default_factory=dict)
    tree: TreeNode | None = None
    commits: tuple[Commit, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Ending:
    """How a run ended: its report, or why there is none."""

    report: RunReport | None = None
    failure: str = ""

    @property
    def exit_code(self) -> int:
        """What `headway run` ends with."""
        return EXIT_CODES[self.report.outcome] if self.report else 1


class View(Protocol):
    """Whoever shows a run that goes on."""

    def show(self, look: Look) -> None: ...


async def look_at(client: Client, name: RunName, home: Path) -> Look:
    """The run as it says it stands, within a few seconds."""
    commits = tuple(await asyncio.to_thread(landed, home, name))
    try:
        status = await ask(client, name, "status")
    except (TimeoutError, RPCError):
        return Look(commits=commits, problem=await failing(client, name) or "no worker process answers")
    except WorkflowQueryFailedError as error:
        return Look(commits=commits, problem=f"the run cannot answer: {error}")
    tree = await live_tree(client, name)
    problem = "" if tree is not None else await root_failing(client, name)
    return Look(status if isinstance(status, dict) else {}, tree, commits, problem)


async def follow(client: Client, name: RunName, home: Path, view: View) -> Ending:
    """Show the run once a second until it ends, through restarts of the service and of the worker processes."""
    ended = asyncio.create_task(ending_of(client, name))
    try:
        while not ended.done():
            view.show(await look_at(client, name, home))
            await asyncio.wait([ended], timeout=EVERY_S)
    finally:
        ended.cancel()
    view.show(await look_at(client, name, home))
    return await ended


async def ending_of(client: Client, name: RunName) -> Ending:
    """Wait for the run's end."""
    while True:
        handle = client.get_workflow_handle(name, result_type=RunReport)
        try:
            return Ending(report=await handle.result())
        except WorkflowFailureError as error:
            return Ending(failure=_words(error.cause))
        except RPCError:
            await asyncio.sleep(EVERY_S)


def _words(cause: BaseException) -> str:
    match cause:
        case TerminatedError():
            return f"terminated: {cause.message}"
        case CancelledError():
            return "cancelled"
        case ApplicationError() | FailureError():
            inner = cause
            while isinstance(inner.__cause__, FailureError):
                inner = inner.__cause__
            return inner.message
        case _:
            return str(cause)
