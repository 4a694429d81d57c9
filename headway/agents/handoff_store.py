"""Storing handoffs: every agent ends with one, in its own log, synced before any other agent is told of it."""

from collections.abc import Callable, Collection, Iterable

from headway.agents.handoff_facts import files_of, work_facts
from headway.domain.errors import HeadwayError
from headway.domain.handoff import Handoff, HandoffReport, HandoffStatus
from headway.domain.ids import AgentId, RunName
from headway.domain.messages import StoredHandoff, StoreHandoff
from headway.domain.planner_turn import Spawned
from headway.domain.refs import Ref
from headway.domain.results import Finished
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import ToolResult
from headway.eventlog.events.envelope import AnyEvent, Event
from headway.eventlog.events.life import HandedOff
from headway.eventlog.spent import spent_below, spent_by
from headway.eventlog.store import AgentLog, LogStore
from headway.eventlog.views.attempt import AttemptRecord
from headway.eventlog.views.children import Past
from headway.git.hub import Hub
from headway.git.workspace.snapshot import newest
from headway.system.excerpt import cut
from headway.system.threads import in_thread

SUMMARY_CHARS = 1_000
REPORT_CHARS = 20_000


class HandoffStore:
    """Stores the handoff of a planner, or of an agent that cannot speak for itself."""

    def __init__(self, store: LogStore, hubs: Callable[[RunName], Hub]) -> None:
        self._store = store
        self._hubs = hubs

    async def store(self, order: StoreHandoff) -> StoredHandoff:
        """Store it, once: a log whose live line ends in a handoff keeps that one. An earlier holder can write no more.

        Raises:
            LeaseLost: A newer holder took over meanwhile.
        """
        return await in_thread(self._store_now, order)

    async def spent(self, agent: AgentId, apart: Collection[AgentId] = ()) -> Amount:
        """The usage of an agent and everything below it, by their logs: a planner that was closed cannot tell.

        Without `apart` and everything below those.
        """
        return await in_thread(spent_below, self._store, agent, apart)

    async def children(self, planner: AgentId) -> tuple[Spawned, ...]:
        """Every child that a planner's log asks for, also in pasts that a reset abandoned."""
        return await in_thread(self._children, planner)

    def _children(self, planner: AgentId) -> tuple[Spawned, ...]:
        past = Past()
        for event in self._store.stream(planner):
            past.apply(event)
        return tuple(asked.spawned for asked in past.asked.values())

    def _store_now(self, order: StoreHandoff) -> StoredHandoff:
        self._store.expect(order.context.run, order.context.incarnation)
        task = order.me if order.role == "worker" else None
        log = self._store.open(order.me, role=order.role, task=task)
        try:
            attempt = AttemptRecord(order.attempt)
            log.follow(attempt)
            physical = self._store.stream(order.me)
            event = attempt.ended or self._write(order, log, physical, attempt.title)
            log.sync()
        finally:
            log.close()
        handoff = event.body.handoff
        return StoredHandoff(
            ref=Ref(log=order.me, seq=event.seq),
            status=handoff.report.status,
            summary=cut(handoff.report.summary, SUMMARY_CHARS),
            spent=spent_by(physical, is_task=order.role == "worker"),
        )

    def _write(self, order: StoreHandoff, log: AgentLog, physical: Iterable[AnyEvent], title: str) -> Event[HandedOff]:
        hub = self._hubs(order.context.run)
        landed = tuple(hub.landed_by(order.me)) if order.role == "worker" else ()
        kept = newest(hub, order.me) if order.role == "worker" else None
        handoff = Handoff(
            agent=order.me,
            # The title as the agent was asked with it; its own log tells, if it has begun.
            title=order.title or title or order.me.rpartition("/")[2],
            report=_report(order, self._store),
            facts=work_facts(
                physical,
                landed=landed,
                files_changed=files_of(hub, landed),
                wip=kept.ref if kept else None,
                attempt=order.attempt,
                harness_made="" if order.report is not None else order.why,
                children=order.children,
            ),
        )
        return append_handoff(log, handoff, attempt=order.attempt)


def append_handoff(
    log: AgentLog, handoff: Handoff, *, attempt: int, retry: bool = False, epoch: int = 0
) -> Event[HandedOff]:
    """The last event of an agent, or of one attempt; on disk when this returns."""
    return log.append(HandedOff(handoff=handoff, attempt=attempt, retry=retry), epoch=epoch, sync=True)


def made_by_harness(status: HandoffStatus, why: str) -> HandoffReport:
    """The report on an agent that cannot speak for itself."""
    return HandoffReport(status=status, summary=cut(why or str(status), REPORT_CHARS))


def _report(order: StoreHandoff, store: LogStore) -> HandoffReport:
    if order.report is None:
        return made_by_harness(order.status, order.why)
    said = store.said(Ref(log=order.me, seq=order.report), ToolResult).result
    if not isinstance(said, Finished) or said.report is None:
        raise HeadwayError(f"event {order.report} of {order.me} hands nothing off")
    return said.report.model_copy(update={"status": order.status})
