"""The world of a workflow: the port of the interpreter, made of Temporal."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow

from headway.domain.commands import Call, Cancelled, Launch, Observed, StartChild, Upward
from headway.domain.ids import AgentId, key_below
from headway.domain.run import RunContext
from workflows import children, effects, execution, options, signals
from workflows.reconcile import Reconciler

T = TypeVar("T")


class TemporalWorld:
    """The effects of one workflow.

    Args:
        run: Tells the facts of its run, once they are known.
        caller: Tells the planner on whose account its activities are.
    """

    def __init__(self, run: Callable[[], RunContext], caller: Callable[[], options.Caller]) -> None:
        self._run = run
        self._caller = caller
        self._launched: asyncio.Task[None] | None = None

    def now(self) -> float:
        """Its time."""
        return execution.now()

    def observed(self) -> Observed:
        """Facts about its history. A cancellation that comes just before continue-as-new would be lost."""
        settled = workflow.all_handlers_finished() and workflow.cancellation_reason() is None
        return Observed(long=workflow.info().is_continue_as_new_suggested(), settled=settled)

    async def start(self, child: StartChild) -> bool:
        """Start a child. True when it was there already and is adopted."""
        return await children.start(child, self._run())

    async def signal(self, to: AgentId, message: signals.Message) -> bool:
        """Send a message to a workflow. False when it is closed."""
        return await signals.tell(to, message)

    async def signal_above(self, message: Upward) -> bool:
        """Send a message to the nearest workflow above that is open. False when all are closed."""
        me = execution.me()
        return await signals.tell_above(me, lambda above: message.under(key_below(above, me)))

    async def cancel(self, agent: AgentId) -> bool:
        """Ask a workflow to cancel. False when it is closed."""
        return await signals.cancel(agent)

    async def call(self, call: Call) -> Any:
        """The result of an activity, or `Failed`."""
        return await effects.perform(call, self._caller())

    def launch(self, call: Launch, done: Callable[[Any], None]) -> None:
        """Begin an activity."""

        async def until_done() -> None:
            result = await effects.perform(call, self._caller())
            if self._launched is task:
                done(result)
                self._launched = None  # after that: an error of it is raised by the next wait

        task = asyncio.ensure_future(until_done())
        self._launched = task

    def abandon(self, *, awaited: bool) -> None:
        """Ask the launched activity to cancel."""
        task = self._launched
        if task is not None:
            task.cancel()
            self._launched = task if awaited else None

    def list_as(self, state: str) -> None:
        """Set the search attribute by which lists show the state."""
        children.list_as(state, self._run())

    async def together(self, lanes: Sequence[Awaitable[None]]) -> None:
        """Finish all of them."""
        if len(lanes) == 1:
            await lanes[0]
        else:
            await asyncio.gather(*lanes)

    async def wait(self, awake: Callable[[], bool], until: float | None) -> None:
        """Return when `awake` says so, or at `until`."""
        limit = None if until is None else timedelta(seconds=max(until - self.now(), 0.1))
        task = self._launched
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: awake() or _has_failed(task), timeout=limit)
        if task is not None and _has_failed(task):
            task.result()

    def continue_as_new(self, argument: object) -> None:
        """Close this history."""
        workflow.continue_as_new(argument)


def _has_failed(task: asyncio.Task[None] | None) -> bool:
    """True if an error of ours ended the task, which must fail the workflow task."""
    return task is not None and task.done() and not task.cancelled() and task.exception() is not None


async def run_to_the_end(loop: Reconciler[Any]) -> Any:
    """The result of a workflow. A cancellation is an event of its state: what is under way is never torn apart by it.

    Raises:
        asyncio.CancelledError: This workflow was asked to cancel, and has come to its end.
    """

    def cancelled(error: asyncio.CancelledError) -> None:
        signals.taken_as_cancelled(error)
        loop.apply(Cancelled())

    return await to_the_end(loop.run(), cancelled)


async def to_the_end(work: Coroutine[Any, Any, T], at_cancel: Callable[[asyncio.CancelledError], None]) -> T:
    """Finish `work` even when its caller is cancelled meanwhile; `at_cancel` hears of it, and it is raised afterwards.

    An error of `work` is raised in its place: it is ours, and must not be lost.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            at_cancel(error)
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
