"""The rules of a task: its worker runs until there is a handoff, which is stored first and then told, once."""

from headway.domain.commands import (
    Abandon,
    Call,
    Command,
    End,
    Launch,
    ListAs,
    Record,
    SignalAbove,
    Sleep,
)
from headway.domain.handoff import HandoffStatus
from headway.domain.messages import EndWorker, StoreHandoff, WorkOrder
from headway.domain.state.task import END_TRIES, GivesBack, TaskEnds, TaskState
from headway.domain.state.waits import WHY_CHARS


def decide(state: TaskState, now: float) -> list[Command]:
    """The commands that are due."""
    stands, _ = state.stands
    shown: list[Command] = [] if stands == state.listed_as else [ListAs(stands)]
    return shown + _decide(state, now)


def _decide(state: TaskState, now: float) -> list[Command]:
    if state.done is not None:
        return _deliver(state)
    if state.working:
        stop = state.cancelled and not state.stopping
        return [Abandon(awaited=True)] if stop else [Sleep()]  # the worker writes until it has heard
    if state.ends is not None:
        return _end(state, state.ends, now)
    if state.cancelled:
        return [Record(TaskEnds(status=HandoffStatus.CANCELLED, why="cancelled"))]
    if state.owes:
        return [Record(GivesBack())]
    if state.ask is not None:
        # Asked again now and then: an ask may have found its parent in the middle of a reset.
        return [SignalAbove(state.ask)] if now >= state.ask_at else [Sleep(state.ask_at)]
    if state.control.hold_on(state.order.me) is not None:
        if state.deadline is not None and now >= state.deadline:
            why = "the run's hours ended while the task was paused"
            return [Record(TaskEnds(status=HandoffStatus.PARTIAL, why=why))]
        return [Sleep(state.deadline)]
    if now < state.not_before:
        return [Sleep(state.not_before)]
    order = state.order
    return [Launch(work_order(state), order.title, priority=order.priority, resumed=state.resumed)]


def work_order(state: TaskState) -> WorkOrder:
    """The argument of the worker's activity."""
    order, control = state.order, state.control
    # A worker that has yet to give back, and did not say what it used up, is stopped at its next step to say it.
    owes = state.grant.owes(control.recall)
    return WorkOrder(
        context=control.in_force(order.context),
        me=order.me,
        task=order.task,
        title=order.title,
        attempt=state.attempt,
        granted=state.grant.total,
        more=not state.grant.final,
        renewed=control.renewed - owes,
        amendments=tuple(amended.seq for amended in control.amendments),
    )


def _end(state: TaskState, ends: TaskEnds, now: float) -> list[Command]:
    """End the worker by the harness's word. Its handoff is stored whatever keeps its work from being kept."""
    if now < state.retry.at:
        return [Sleep(state.retry.at)]
    if state.end_tries < END_TRIES:
        order = EndWorker(order=work_order(state), status=ends.status, why=ends.why[:WHY_CHARS])
        return [Call(order, f"ends: {ends.why}")]
    why = f"{ends.why}; what it had not landed could not be kept: {state.not_kept}"
    store = StoreHandoff(
        context=state.order.context,
        me=state.order.me,
        title=state.order.title,
        role="worker",
        status=ends.status,
        why=why[:WHY_CHARS],
        attempt=state.attempt,
    )
    return [Call(store, f"handoff: {ends.status}")]


def _deliver(state: TaskState) -> list[Command]:
    if state.notice is not None and not state.told:
        return [SignalAbove(state.notice)]
    return [End(state.result)]
