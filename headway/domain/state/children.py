"""A planner's children from the request for them until their handoff is taken in, and the amounts lent to them."""

from collections.abc import Iterable

from pydantic import BaseModel

from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, ChildKey, is_adopted, key_of, place_of
from headway.domain.messages import Ask, Grant, Orphan
from headway.domain.planner_turn import ChildKind, Spawned
from headway.domain.state.budget import Account, Amount, Sizes
from headway.domain.state.child import Child, Closed, EarlyAsk

MAX_OUTSTANDING = 1000
MAX_FOREIGN = 1000
RECENT = 40
"""Closed children that the state still names, for the tree; the rest are counted."""


class Children(BaseModel):
    """The children and the account.

    Attributes:
        sizes: The sizes of slices.
        received: A bit per (turn, index) of the children whose handoff was taken in.
        settled: Every child of a turn before this one was received, unless it is still outstanding.
        foreign: Children of another past that handed off, by their whole key: their place says nothing here.
        early: Asks of children that asked for more before this history asked for them.
        no_more: The parent said that nothing more will be granted.
    """

    account: Account
    sizes: Sizes
    open: dict[ChildKey, Child] = {}
    received: dict[int, int] = {}
    settled: int = 0
    foreign: list[ChildKey] = []
    early: dict[ChildKey, EarlyAsk] = {}
    recent: list[Closed] = []
    tally: dict[str, int] = {}
    no_more: bool = False

    @property
    def lendable(self) -> Amount:
        """The amount that children may still get."""
        return self.account.lendable

    @property
    def stuck(self) -> bool:
        """True if nothing below goes on by itself: each started child waits for more, and all below it too."""
        started = (child for child in self.open.values() if child.granted is not None)
        return all(child.stuck for child in started)

    @property
    def tasks_open(self) -> int:
        """Worker tasks among the children."""
        return sum(1 for child in self.open.values() if child.kind is ChildKind.TASK)

    @property
    def started(self) -> tuple[ChildKey, ...]:
        """The children that were started."""
        return tuple(key for key, child in self.open.items() if child.granted is not None)

    @property
    def waiting(self) -> int:
        """Tasks that have no slice yet."""
        return sum(1 for c in self.open.values() if c.granted is None and c.kind is ChildKind.TASK)

    def ask_for(self, spawned: Spawned, *, recovered: bool = False) -> None:
        """A child was asked for; it is outstanding unless its handoff is here already."""
        key = spawned.key
        if key in self.open or key in self.foreign or (not recovered and self._was_received(key)):
            return
        self.open[key] = Child(
            kind=spawned.kind,
            title=spawned.title,
            seq=spawned.seq,
            item=spawned.item,
            priority=spawned.priority,
            recovered=recovered,
        )
        if key in self.early:
            self.take_ask(self.early.pop(key).by(key))

    def adopt(self, orphan: Orphan, closed: ChildKey | None = None) -> bool:
        """Take over an agent whose planner is closed, with the amount that it holds. False when it is known already.

        An agent that did not say what it holds is booked with all that its `closed` planner held, until it asks.
        """
        if orphan.key in self.open or orphan.key in self.foreign:
            return False
        above = self.open.get(closed) if closed is not None else None
        bound = (above.granted if above is not None else None) or Amount()
        held, unsure = (bound, True) if orphan.held is None else (orphan.held, False)
        self.open[orphan.key] = Child(
            kind=orphan.kind, title=orphan.title, seq=0, granted=held, unsure=unsure, recovered=True
        )
        self.account.delegated += held
        if orphan.key in self.early:
            self.take_ask(self.early.pop(orphan.key).by(orphan.key))
        return True

    def known_below(self, planners: Iterable[ChildKey]) -> tuple[ChildKey, ...]:
        """The agents below these planners that were adopted, or that handed off here in their place."""
        starts = tuple(f"{key}/" for key in planners)
        return tuple(key for key in (*self.open, *self.foreign) if key.startswith(starts))

    def take(self, notice: HandoffNotice) -> bool:
        """Book a handoff. False when it was taken in before."""
        child = self.open.pop(notice.child, None)
        self.early.pop(notice.child, None)
        if child is not None:
            self._mark_received(notice.child, recovered=child.recovered)
            self.account.delegated -= child.granted or Amount()
            closed = Closed(key=notice.child, kind=child.kind, title=child.title, status=notice.status)
            self.recent = [*self.recent, closed][-RECENT:]
        elif self._was_received(notice.child) or notice.child in self.foreign:
            return False
        else:
            # After a reset the server delivers later signals again: this child was asked for in a past that the history
            # no longer has. It counts all the same, and a turn that asks for it again finds it done.
            self._mark_foreign(notice.child)
        self.account.below += notice.spent
        self.tally[notice.status] = self.tally.get(notice.status, 0) + 1
        return True

    def take_ask(self, ask: Ask) -> None:
        """Note that a child's slice is used up. The amount that it says it holds is booked: a reset may have forgotten
        it.

        With a newer version it holds less than it was lent, because it gave back its unneeded budget.
        """
        key, granted, need, version = ask.child, ask.granted, ask.need, ask.grant_version
        if key not in self.open and self._has_lost_its_planner(key):
            self.adopt(Orphan(key=key, kind=ChildKind.TASK, title=key_of(AgentId(key)), held=granted))
        child = self.open.get(key)
        if child is None:
            if not self._was_received(key) and key not in self.foreign and len(self.early) < MAX_FOREIGN:
                # It asks only once. A turn after the reset asks for this child, or takes it over, and answers it then.
                self.early[key] = EarlyAsk.of(ask)
            return
        held = child.granted or Amount()
        child.called = False
        newer, same = version > child.grant_version, version == child.grant_version
        if child.unsure or newer or (same and granted.covers(held)):
            # A child that gives back may need nothing. Another child that needs nothing wants to be told again what it
            # holds.
            child.need = need if need or same else None
            self.account.delegated += granted - held
            child.granted, child.grant_version, child.unsure = granted, version, False
            child.stuck_below = ask.stuck and child.kind is ChildKind.PLANNER
        else:
            child.need = Amount()

    def _has_lost_its_planner(self, key: ChildKey) -> bool:
        """True if an agent's planner was taken in without the agent, because the agent began at that moment."""
        top = ChildKey(key.partition("/")[0])
        return is_adopted(key) and top not in self.open and (self._was_received(top) or top in self.foreign)

    def mark_cancelled(self, keys: tuple[ChildKey, ...]) -> tuple[ChildKey, ...]:
        """Note which children to cancel. Returns those that run or may run, and must be told."""
        told = []
        for key in keys:
            child = self.open.get(key)
            if child is not None and not child.cancelled:
                child.cancelled = True
                told += [key] if child.granted is not None or child.recovered else []
        return tuple(told)

    def start(self, key: ChildKey, granted: Amount) -> None:
        """Book the first grant of a child that starts now."""
        self.open[key].granted = granted
        self.account.delegated += granted

    def answer(self, key: ChildKey, grant: Grant) -> None:
        """Book the answer to a child that asked for more."""
        child = self.open[key]
        self.account.delegated += grant.total - (child.granted or Amount())
        child.granted, child.need, child.stuck_below = grant.total, None, False

    def call_again(self) -> None:
        """Forget which sub-planners were asked to give back: a reset may have taken back that one heard of it."""
        for child in self.open.values():
            child.called = False

    def settled_before(self, turn: int) -> "Children":
        """The children without a bit for each child of earlier turns: every such child was received, unless it is
        outstanding.

        A planner may live for tens of thousands of turns.
        """
        return self.model_copy(update={"settled": turn, "received": {}})

    @property
    def anything_waits(self) -> bool:
        """True if a child waits for a first slice or for more: budget that comes back may serve it."""
        return any(child.granted is None or child.need is not None for child in self.open.values())

    @property
    def at_work(self) -> bool:
        """True if a child was started."""
        return any(child.granted is not None for child in self.open.values())

    def _mark_received(self, key: ChildKey, *, recovered: bool) -> None:
        place = place_of(key)
        if place is None or recovered:
            self._mark_foreign(key)
        else:
            self.received[place[0]] = self.received.get(place[0], 0) | (1 << place[1])

    def _mark_foreign(self, key: ChildKey) -> None:
        self.foreign = [*self.foreign, key][-MAX_FOREIGN:]

    def _was_received(self, key: ChildKey) -> bool:
        place = place_of(key)
        if place is None:
            return False
        turn, index = place
        return turn < self.settled or bool(self.received.get(turn, 0) & (1 << index))


def new_children(granted: Amount, sizes: Sizes, call: Amount | None = None) -> Children:
    """The children of a planner that has just been given its first slice; `call` is the size of its first call."""
    return Children(account=Account(granted=granted, call=call or Amount()), sizes=sizes)
