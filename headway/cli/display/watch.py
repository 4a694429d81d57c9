"""Looks at a run while it goes on: its own answers, its agents' logs, and its commits."""

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError
from temporalio.client import Client, WorkflowQueryFailedError
from temporalio.service import RPCError

from headway.cli.agent_tools import results
from headway.domain.figures import RunFigures
from headway.domain.ids import RunName
from headway.domain.state.budget import Bill
from headway.domain.state.control import Control
from headway.domain.tree import TreeNode
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.figures import FiguresReader
from headway.runs.landed_commits import Landings, RunCommit
from headway.runs.live_tree import ask, failing, live_tree, root_failing
from headway.runs.preparation import QUEUED, Preparation, preparation_of
from headway.runs.run_end import RunEnd, run_end_of
from headway.runs.run_lookup import describe

EVERY_S = 1.0
NOWHERE = Path("/nonexistent")
"""The state folder of a watcher that reads no logs."""
NO_WORKER = "no worker process answers"


@dataclass(frozen=True)
class Look:
    """A run at one moment.

    Attributes:
        status: Its answer to the query `status`; empty where it does not answer.
        control: Its control record; None where it does not answer.
        figures: Usage and results of its agents, from their logs on this machine.
        preparation: The step of its preparation, or the reason why it fails; None once it is prepared.
        problem: Reason why a part of this look is missing, in words.
    """

    name: RunName
    status: dict[str, Any] = field(default_factory=dict)
    tree: TreeNode | None = None
    commits: tuple[RunCommit, ...] = ()
    control: Control | None = None
    figures: RunFigures = field(default_factory=lambda: RunFigures(run=RunName(""), at=0.0))
    preparation: Preparation | None = None
    problem: str = ""

    @property
    def spent(self) -> Bill:
        """Usage of the whole run, from the logs; from the workflow when the logs lie on another machine."""
        told = Bill.model_validate(self.status.get("spent") or {})
        if self.tree is not None and self.tree.spent.tokens > told.tokens:
            told = self.tree.spent
        own = Bill.of(self.figures.total.spent)
        return own if own.tokens > told.tokens else told


class View(Protocol):
    """Shows a run that goes on."""

    def show(self, look: Look) -> None: ...


class Watcher:
    """Looks at one run again and again; of its logs and commits it reads only the new part."""

    def __init__(self, client: Client, name: RunName, home: Path) -> None:
        self._client = client
        self._name = name
        self._landings = Landings(home, name)
        self._figures = FiguresReader(LocalStore(home, results=results()), name)
        self._last = Look(name)

    async def look(self, *, answers: bool = True) -> Look:
        """The run as it stands, within a few seconds. An error of a look is its `problem`, and the rest stays.

        Args:
            answers: Ask the run itself; without a worker process that would only run into its timeout.
        """
        try:
            self._last = await self._look(answers=answers)
        except Exception as error:  # noqa: BLE001 - a look that fails never ends the view of a run that goes on
            problem = f"this look failed, the next one follows: {type(error).__name__}: {error}"
            return replace(self._last, problem=problem)
        return self._last

    async def state(self) -> Look:
        """The run's own answers alone, for a list of many."""
        try:
            return await self._answers(Look(self._name))
        except Exception as error:  # noqa: BLE001 - one run that cannot be shown hides no other
            return Look(self._name, problem=f"{type(error).__name__}: {error}")

    async def _look(self, *, answers: bool) -> Look:
        commits = await asyncio.to_thread(self._landings.all)
        figures = await asyncio.to_thread(self._figures.look)
        look = Look(self._name, commits=commits, figures=figures)
        if not answers:
            return replace(look, problem=NO_WORKER, preparation=await self._preparation())
        look = await self._answers(look)
        if not look.status or look.preparation is not None:
            return look
        tree = await live_tree(self._client, self._name)
        return replace(look, tree=tree, problem="" if tree else await root_failing(self._client, self._name))

    async def _answers(self, look: Look) -> Look:
        try:
            status = await ask(self._client, self._name, "status")
            control = Control.model_validate(await ask(self._client, self._name, "control"))
        except (TimeoutError, RPCError, ValidationError):
            problem = await failing(self._client, self._name) or NO_WORKER
            return replace(look, problem=problem, preparation=await self._preparation())
        except WorkflowQueryFailedError as error:
            return replace(look, problem=f"the run cannot answer: {error}")
        look = replace(look, status=status if isinstance(status, dict) else {}, control=control)
        if look.status.get("phase") == "preparing":
            return replace(look, preparation=await self._preparation() or QUEUED)
        return look

    async def _preparation(self) -> Preparation | None:
        described = await describe(self._client, self._name)
        return preparation_of(described) if described is not None else None


async def follow(client: Client, name: RunName, home: Path, view: View) -> RunEnd:
    """Show the run once a second until it ends, through restarts of the service and of the worker processes."""
    ended = asyncio.create_task(run_end_of(client, name))
    watcher = Watcher(client, name, home)
    try:
        while not ended.done():
            view.show(await watcher.look())
            await asyncio.wait([ended], timeout=EVERY_S)
    finally:
        ended.cancel()
    view.show(await watcher.look())
    return await ended
