"""The user's control record, brought into running activities: each process asks the runs that it serves every 2 s."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from activities.outage_reporter import OutageReporter
from headway.domain.errors import HeldBack, Parked
from headway.domain.ids import AgentId, RunName, run_of
from headway.domain.messages import WorkerSuspended
from headway.domain.planner_turn import Decision, TurnOutcome
from headway.domain.progress import Progress
from headway.domain.state.control import Control
from headway.system.tasks import until_ended

T = TypeVar("T")

ASK_EVERY_S = 2.0

logger = logging.getLogger(__name__)


class ControlSource(Protocol):
    """The interface to ask a run for its control record."""

    async def control(self, run: RunName) -> Control | None:
        """The record; None when the run is closed, or no worker process answers the query now."""
        ...

    async def has_ended(self, run: RunName) -> bool:
        """True when the run is closed; False while it is open or unknown, or the service cannot be asked."""
        ...

    async def cancel(self, agent: AgentId) -> None:
        """Ask a workflow to cancel."""
        ...


@dataclass
class _Watched:
    """A run's state here, while agents of it run in this process."""

    agents: int = 0
    control: Control = field(default_factory=Control)
    closed: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    asking: asyncio.Task[None] | None = None


class ControlWatch:
    """Stops agents at their next step, or at once, when their run says so. One per process.

    Args:
        ways: Tells the runs, on the same round, of models that refuse their agents.
    """

    def __init__(self, source: ControlSource, ways: OutageReporter | None = None, every_s: float = ASK_EVERY_S) -> None:
        self._source = source
        self._ways = ways
        self._every_s = every_s
        self._runs: dict[RunName, _Watched] = {}

    async def held_to(
        self,
        agent: AgentId,
        progress: Progress,
        work: Callable[[Progress], Awaitable[T]],
        suspended: T,
        *,
        renewed: int = 0,
    ) -> T:
        """The result of `work`, or `suspended` when the agent is held: its log and workspace stay as they are.

        It is stopped also when the record was `renewed` since it was asked to work; the result says which it was.

        `work` tells each step to the `Progress` it is given, which raises `HeldBack` there. A hold that cannot wait
        cancels it instead, which kills a running command. So does the end of the run, and the agent's workflow is then
        cancelled: a terminate tells no workflow below, and no workflow would use the results that the agent pays for.
        """
        async with self._watched(run_of(agent)) as run:

            def step(what: str) -> None:
                progress(what)
                if run.closed or run.control.hold_on(agent) is not None or run.control.renewed > renewed:
                    raise HeldBack(agent)

            if run.closed:
                await self._source.cancel(agent)
                return suspended
            task = asyncio.ensure_future(work(step))
            stop = asyncio.create_task(_until_stopped(run, agent))
            try:
                result = await _unless_stopped(task, stop, suspended)
            except Parked:
                await self._tell(run_of(agent))  # the round may end with this agent
                raise
            finally:
                stop.cancel()
            if run.closed and result is suspended:
                await self._source.cancel(agent)
            return _as_happened(result, run.control, held=run.closed or run.control.hold_on(agent) is not None)

    @asynccontextmanager
    async def _watched(self, name: RunName) -> AsyncIterator[_Watched]:
        run = self._runs.setdefault(name, _Watched())
        run.agents += 1
        try:
            if run.asking is None:
                # The first answer before the first step: an agent that is picked up while it is paused does not start.
                await self._look(name, run)
                run.asking = run.asking or asyncio.create_task(self._ask(name, run))
            yield run
        finally:
            run.agents -= 1
            if run.agents == 0 and self._runs.get(name) is run:
                del self._runs[name]
                if run.asking is not None:
                    run.asking.cancel()
                if self._ways is not None:
                    self._ways.forget(name)

    async def _ask(self, name: RunName, run: _Watched) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            await self._tell(name)
            await self._look(name, run)

    async def _look(self, name: RunName, run: _Watched) -> None:
        """Read the record. A read that fails is repeated with the next round; until then the last record holds."""
        try:
            found = await self._source.control(name)
            # A reset opens a run again that was closed.
            run.closed = found is None and await self._source.has_ended(name)
        except Exception:
            # Of whatever kind: without this loop no agent of the run would hear of a pause again.
            logger.warning("the control record of run %s cannot be read; it is read again", name, exc_info=True)
            return
        if found is not None and found.version > run.control.version:
            run.control = found
        async with run.changed:
            run.changed.notify_all()

    async def _tell(self, name: RunName) -> None:
        """Tell the run of its models. A failure is repeated with the next round, and never keeps back the record."""
        try:
            if self._ways is not None:
                await self._ways.tell(name)
        except Exception:
            logger.warning("run %s cannot be told of its models; it is told again", name, exc_info=True)


async def _unless_stopped(task: asyncio.Future[T], stop: asyncio.Task[None], suspended: T) -> T:
    """The result of the task; `suspended` if it is held back, or if `stop` is done first, which cancels the task.

    A cancel of this call cancels the task as well, and waits for its end.
    """
    both: set[asyncio.Future[Any]] = {task, stop}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        return suspended if task.cancelled() else task.result()
    except HeldBack:
        return suspended
    except asyncio.CancelledError:
        task.cancel()
        await until_ended(task)
        raise


def _as_happened(result: T, control: Control, *, held: bool) -> T:
    """The result of an agent that was stopped: what stopped it, and the record that did, because the signal that tells
    its workflow of the record may never come.
    """
    match result:
        case WorkerSuspended(why="held") if control.version:
            why = "held" if held else "renewed"
            return cast("T", result.model_copy(update={"why": why, "control": control}))
        case TurnOutcome(decision=Decision.SUSPENDED) if control.version:
            decision = Decision.SUSPENDED if held else Decision.RENEWED
            return cast("T", result.model_copy(update={"decision": decision, "control": control}))
        case _:
            return result


async def _until_stopped(run: _Watched, agent: AgentId) -> None:
    async with run.changed:
        await run.changed.wait_for(lambda: run.closed or run.control.stops_now(agent))
