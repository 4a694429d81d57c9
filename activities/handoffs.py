"""`store_handoff` and `describe_children`: no agent ends without a stored handoff."""

from typing import Protocol

from temporalio import activity

from activities.pulse import pulse, told_to_temporal
from headway.domain.budget import Amount
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id, key_of
from headway.domain.work import DescribeChildren, StoredHandoff, StoreHandoff


class HandoffStore(Protocol):
    """Stores a handoff in its agent's log, once, and says where it lies."""

    async def store(self, order: StoreHandoff) -> StoredHandoff: ...

    async def spent(self, agent: AgentId) -> Amount:
        """What an agent and everything below it used up, by their logs."""
        ...


class Service(Protocol):
    """The Temporal service, as far as activities look at it."""

    async def closed_as(self, agent: AgentId) -> str | None:
        """How a workflow ended, in Temporal's words; None while it runs. `unknown` when the service has no record."""
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
    @told_to_temporal
    async def store_handoff(self, order: StoreHandoff) -> StoredHandoff:
        """Store the handoff of a planner, or of an agent that cannot speak for itself."""
        async with pulse():
            return await self._store.store(order)

    @activity.defn
    @told_to_temporal
    async def describe_children(self, order: DescribeChildren) -> list[HandoffNotice]:
        """Find the children that are closed without having told: a terminate in the Web UI signals nobody."""
        closed: list[HandoffNotice] = []
        async with pulse() as beat:
            for role, keys in (("worker", order.tasks), ("planner", order.planners)):
                for key in keys:
                    beat(f"looks at {key}")
                    notice = await self._closed(order, key, planner=role == "planner")
                    closed += [notice] if notice else []
        return closed

    async def _closed(self, order: DescribeChildren, key: ChildKey, *, planner: bool) -> HandoffNotice | None:
        agent = child_id(order.me, key)
        how = await self._service.closed_as(agent)
        if how is None:
            return None
        stored = await self._store.store(
            StoreHandoff(
                context=order.context,
                me=agent,
                title="",
                role="planner" if planner else "worker",
                status=HandoffStatus.FAILED,
                why=f"its workflow was found {how} without a handoff",
                whole=planner,
            )
        )
        # A planner that was closed told nobody of what its own children used up.
        spent = await self._store.spent(agent) if planner else stored.spent
        return HandoffNotice(child=key_of(agent), status=stored.status, seq=stored.ref.seq, spent=spent)
