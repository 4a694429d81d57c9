"""`store_handoff` and `describe_children`: no agent ends without a stored handoff."""

from collections.abc import Collection, Sequence
from typing import Protocol

from temporalio import activity

from activities.heartbeat import as_application_error, heartbeat
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id, key_below
from headway.domain.messages import DescribeChildren, FoundClosed, Orphan, StoredHandoff, StoreHandoff
from headway.domain.planner_turn import ChildKind, Spawned
from headway.domain.state.budget import Amount

ORPHANS_AT_ONCE = 200
"""Agents below one closed planner that one audit hands over, so that its result stays small."""


class HandoffStore(Protocol):
    """Stores a handoff in its agent's log, once, and says where it lies."""

    async def store(self, order: StoreHandoff) -> StoredHandoff: ...

    async def spent(self, agent: AgentId, apart: Collection[AgentId] = ()) -> Amount:
        """The use of an agent and of everything below it, by their logs, without `apart` and everything below those."""
        ...

    async def children(self, planner: AgentId) -> Sequence[Spawned]:
        """Every child that a planner's log asks for."""
        ...


class Service(Protocol):
    """The Temporal service, as far as activities look at it."""

    async def closed_as(self, agent: AgentId) -> str | None:
        """The end of a workflow, in Temporal's words; None while it runs. `unknown` when the service has no record."""
        ...

    async def held(self, agent: AgentId) -> Amount | None:
        """All that an open agent was granted; None when nothing answers for it now."""
        ...

    async def attributes(self) -> tuple[str, ...]:
        """The names of the search attributes that the service knows."""
        ...


class Handoffs:
    """The activities that make every end known."""

    def __init__(self, store: HandoffStore, service: Service) -> None:
        self._store = store
        self._service = service

    @activity.defn
    @as_application_error
    async def store_handoff(self, order: StoreHandoff) -> StoredHandoff:
        """Store the handoff of a planner, or of an agent that cannot speak for itself."""
        async with heartbeat():
            return await self._store.store(order)

    @activity.defn
    @as_application_error
    async def describe_children(self, order: DescribeChildren) -> list[FoundClosed]:
        """Find the children that closed without a handoff, and the agents that work on below them.

        A terminate in the Web UI signals nothing, and ends nothing else.
        """
        closed: list[FoundClosed] = []
        async with heartbeat() as progress:
            for role, keys in (("worker", order.tasks), ("planner", order.planners)):
                for key in keys:
                    progress(f"looks at {key}")
                    notice = await self._closed(order, key, planner=role == "planner")
                    closed += [notice] if notice else []
        return closed

    async def _closed(self, order: DescribeChildren, key: ChildKey, *, planner: bool) -> FoundClosed | None:
        agent = child_id(order.me, key)
        how = await self._service.closed_as(agent)
        if how is None:
            return None
        orphans = await self._orphans(order, agent) if planner else []
        below = f"; {len(orphans)} agents below it work on" if orphans else ""
        stored = await self._store.store(
            StoreHandoff(
                context=order.context,
                me=agent,
                title="",
                role="planner" if planner else "worker",
                status=HandoffStatus.FAILED,
                why=f"its workflow was found {how} without a handoff{below}",
            )
        )
        found = FoundClosed(child=key, status=stored.status, seq=stored.ref.seq, spent=stored.spent)
        if not planner:
            return found
        told = [*(orphan.key for orphan in orphans), *(known for known in order.known if known.startswith(f"{key}/"))]
        # A closed planner told nothing of the usage of its own children. Children that work on tell theirs at their
        # end.
        spent = await self._store.spent(agent, [child_id(order.me, path) for path in told])
        part, more = tuple(orphans[:ORPHANS_AT_ONCE]), len(orphans) > ORPHANS_AT_ONCE
        return found.model_copy(update={"spent": spent, "orphans": part, "more": more})

    async def _orphans(self, order: DescribeChildren, planner: AgentId) -> list[Orphan]:
        """The nearest open agents below a closed planner that are not known yet."""
        found: list[Orphan] = []
        for spawned in await self._store.children(planner):
            agent = child_id(planner, spawned.key)
            path = key_below(order.me, agent)
            if path in order.known:
                continue
            if await self._service.closed_as(agent) is None:
                held = await self._service.held(agent)
                priced = None if held is None else _priced(held)
                found.append(Orphan(key=path, kind=spawned.kind, title=spawned.title, held=priced))
            elif spawned.kind is ChildKind.PLANNER:
                found += await self._orphans(order, agent)
        return found


def _priced(held: Amount) -> Amount:
    return held.model_copy(update={"unpriced": 0})
