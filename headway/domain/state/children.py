"""A planner's children from the request for them until their handoff is taken in, and the amounts lent to them."""

from collections.abc import Iterable

from pydantic import BaseModel

from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, ChildKey, is_adopted, key_of, place_of
from headway.domain.messages import Ask, Orphan
from headway.domain.planner_turn import ChildKind, Spawned
from headway.domain.state.budget import Account, Amount, Sizes
from headway.domain.state.child import Child, ChildAnswer, Closed, EarlyAsk

MAX_OUTSTANDING = 1000
MAX_FOREIGN = 1000
RECENT = 40
"""Closed children that the state still names, for the tree; the rest are counted."""


class Outstanding(BaseModel):
    """The children and the purse.

    Attributes:
        sizes: The sizes of slices.
        received: A bit per (turn, index) of the children whose handoff was taken in.
        settled: Every child of a turn before this one was received, unless it is still outstanding.
        foreign: Children of another past that handed off, by their whole key: their place says nothing here.
        early: Asks of children that asked for more before this history asked for them.
        no_more: The parent said that nothing more will be granted.
    """

    purse: Account
    sizes: Sizes
    children: dict[ChildKey, Child] = {}
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
        return self.purse.lendable

    @property
    def stuck(self) -> bool:
        """True if nothing below goes on by itself: each started child waits for more, and all below it too."""
        started = (child for child in self.children.values() if child.lent is not None)
        return all(child.stuck for child in started)

    @property
    def tasks_open(self) -> int:
        """Worker tasks among the children."""
        return sum(1 for child in self.children.values() if child.kind is ChildKind.TASK)

    @property
    def waiting(self) -> int:
        """Tasks that have no slice yet."""
        return sum(1 for c in self.children.values() if c.lent is None and c.kind is ChildKind.TASK)

    def ask_for(self, spawned: Spawned, *, recovered: bool = False) -> None:
        """A child was asked for; it is outstanding unless its handoff is here already."""
        key = spawned.key
        if key in self.children or key in self.foreign or (not recovered and self._was_received(key)):
            return
        self.children[key] = Child(
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
        if orphan.key in self.children or orphan.key in self.foreign:
            return False
        above = self.children.get(closed) if closed is not None else None
        bound = (above.lent if above is not None else None) or Amount()
        held, unsure = (bound, True) if orphan.held is None else (orphan.held, False)
        self.children[orphan.key] = Child(
            kind=orphan.kind, title=orphan.title, seq=0, lent=held, unsure=unsure, recovered=True
        )
        self.purse.lent += held
        if orphan.key in self.early:
            self.take_ask(self.early.pop(orphan.key).by(orphan.key))
        return True

    def known_below(self, planners: Iterable[ChildKey]) -> tuple[ChildKey, ...]:
        """The agents below these planners that were adopted, or that handed off here in their place."""
        starts = tuple(f"{key}/" for key in planners)
        return tuple(key for key in (*self.children, *self.foreign) if key.startswith(starts))

    def take(self, notice: HandoffNotice) -> bool:
        """Book a handoff. False when it was taken in before."""
        child = self.children.pop(notice.child, None)
        self.early.pop(notice.child, None)
        if child is not None:
            self._mark_received(notice.child, recovered=child.recovered)
            self.purse.lent -= child.lent or Amount()
            closed = Closed(key=notice.child, kind=child.kind, title=child.title, status=notice.status)
            self.recent = [*self.recent, closed][-RECENT:]
        elif self._was_received(notice.child) or notice.child in self.foreign:
            return False
        else:
            # After a reset the server delivers later signals again: this child was asked for in a past that the history
            # no longer has. It counts all the same, and a turn that asks for it again finds it done.
            self._mark_foreign(notice.child)
        self.purse.below += notice.spent
        self.tally[notice.status] = self.tally.get(notice.status, 0) + 1
        return True

    def take_ask(self, ask: Ask) -> None:
        """Note that a child's slice is used up. The amount that it says it holds is booked: a reset may have forgotten
        it.

        With a newer version it holds less than it was lent, because it gave back its unneeded budget.
        """
        key, granted, need, version = ask.child, ask.granted, ask.need, ask.grant_version
        if key not in self.children and self._has_lost_its_planner(key):
            self.adopt(Orphan(key=key, kind=ChildKind.TASK, title=key_of(AgentId(key)), held=granted))
        child = self.children.get(key)
        if child is None:
            if not self._was_received(key) and key not in self.foreign and len(self.early) < MAX_FOREIGN:
                # It asks only once. A turn after the reset asks for this child, or takes it over, and answers it then.
                self.early[key] = EarlyAsk.of(ask)
            return
        held = child.lent or Amount()
        child.called = False
        newer, same = version > child.grant_version, version == child.grant_version
        if child.unsure or newer or (same and granted.covers(held)):
            # A child that gives back may need nothing. Another child that needs nothing wants to be told again what it
            # holds.
            child.need = need if need or same else None
            self.purse.lent += granted - held
            child.lent, child.grant_version, child.unsure = granted, version, False
            child.stuck_below = ask.stuck and child.kind is ChildKind.PLANNER
        else:
            child.need = Amount()

    def _has_lost_its_planner(self, key: ChildKey) -> bool:
        """True if an agent's planner was taken in without the agent, because the agent began at that moment."""
        top = ChildKey(key.partition("/")[0])
        return is_adopted(key) and top not in self.children and (self._was_received(top) or top in self.foreign)

    def mark_cancelled(self, keys: tuple[ChildKey, ...]) -> tuple[ChildKey, ...]:
        """Note which children to cancel. Returns those that run or may run, and must be told."""
        told = []
        for key in keys:
            child = self.children.get(key)
            if child is not None and not child.cancelled:
                child.cancelled = True
                told += [key] if child.lent is not None or child.recovered else []
        return tuple(told)

    def to_start(self) -> tuple[ChildKey, ...]:
        """Lend a first slice to every child that waits for one and can have it, oldest first.

        One that cannot have it keeps none behind it from starting.
        """
        due: list[ChildKey] = []
        for key, child in self.children.items():
            part = self._first_slice(child.kind)
            if child.lent is not None or child.cancelled or not self.lendable.covers(part):
                continue
            child.lent = part
            self.purse.lent += part
            due.append(key)
        return tuple(due)

    def to_drop(self, *, closing: bool) -> tuple[ChildKey, ...]:
        """Children that never started and never will: cancelled, the planner closes, or the budget is gone for good."""
        stuck, lendable = self.no_more and not self._working, self.lendable
        return tuple(
            key
            for key, child in self.children.items()
            if child.lent is None
            and (closing or child.cancelled or (stuck and not lendable.covers(self._first_slice(child.kind))))
        )

    def answers(self, *, but: ChildKey | None = None) -> tuple[ChildAnswer, ...]:
        """Lend more to the children that asked, as far as the purse goes, and refuse the ones that can never get more.

        When no more will come from above, a child is refused only once every started child waits and none can be
        served: the amount that the others give back may serve it. One at a time, because the refused one gives back
        too. `but` is answered by other rules.
        """
        told: list[ChildAnswer] = []
        for key, child in self.children.items():
            if child.need is None or child.lent is None or key == but:
                continue
            more = self._next_slice(child)
            if more is None or self.lendable.covers(more):
                told.append(self._answer(key, child, more))
        started = [(key, child) for key, child in self.children.items() if child.lent is not None and key != but]
        if self.no_more and started and all(child.need is not None for _, child in started):
            told.append(self._answer(*started[0], None))
        return tuple(told)

    def to_call_back(self, *, for_parent: bool) -> tuple[ChildKey, ...]:
        """Sub-planners to ask for their unneeded budget, each until it answers.

        They are called when a child here waits for more than can be lent, or, with `for_parent`, when the parent is
        short and there is nothing here to give it.
        """
        if not for_parent and not self.anything_waits:
            return ()
        called = []
        for key, child in self.children.items():
            idle = child.lent is not None and child.need is None and not child.called and not child.cancelled
            if idle and child.kind is ChildKind.PLANNER:
                child.called = True
                called.append(key)
        return tuple(called)

    def call_again(self) -> None:
        """Forget which sub-planners were asked to give back: a reset may have taken back that one heard of it."""
        for child in self.children.values():
            child.called = False

    def shortfall(self) -> Amount:
        """The amount that is missing to let everything that waits go on."""
        wanted = sum((self._wanted_by(child) for child in self.children.values()), Amount())
        return self.purse.lacking(wanted) if wanted else Amount()

    def least_shortfall(self) -> Amount:
        """The least amount with which one waiting child can go on."""
        waiting = [self._least_of(child) for child in self.children.values() if self._wanted_by(child)]
        return min((self.purse.lacking(each) for each in waiting), key=_size, default=Amount())

    def waits_for(self, key: ChildKey) -> Amount:
        """The amount that a child waits for, in the units that are short; nothing when it does not wait."""
        child = self.children[key]
        needed = self._least_of(child) if self._wanted_by(child) else Amount()
        return needed.where(needed - self.lendable)

    def settled_before(self, turn: int) -> "Outstanding":
        """The books without a bit for each child of earlier turns: every such child was received, unless it is
        outstanding.

        A planner may live for tens of thousands of turns.
        """
        return self.model_copy(update={"settled": turn, "received": {}})

    @property
    def anything_waits(self) -> bool:
        """True if a child waits for a first slice or for more: budget that comes back may serve it."""
        return any(child.lent is None or child.need is not None for child in self.children.values())

    @property
    def _working(self) -> bool:
        return any(child.lent is not None for child in self.children.values())

    def _answer(self, key: ChildKey, child: Child, more: Amount | None) -> ChildAnswer:
        total = (child.lent or Amount()) + (more or Amount())
        self.purse.lent += more or Amount()
        child.lent, child.need, child.stuck_below = total, None, False
        return ChildAnswer(child=key, total=total, final=more is None, grant_version=child.grant_version)

    def _first_slice(self, kind: ChildKind) -> Amount:
        return self.sizes.first_task if kind is ChildKind.TASK else self.sizes.first_planner

    def _wanted_by(self, child: Child) -> Amount:
        """All that a child waits for; nothing where it does not wait, or will never start."""
        if child.lent is None:
            return Amount() if child.cancelled else self._first_slice(child.kind)
        if not child.need or child.kind is ChildKind.PLANNER:
            return child.need or Amount()
        return self.sizes.wanted_task(child.need, child.lent) or Amount()

    def _least_of(self, child: Child) -> Amount:
        """With so much a child that waits goes on."""
        return least_part(child, self.sizes) if child.need else self._wanted_by(child)

    def _next_slice(self, child: Child) -> Amount | None:
        need, lent = child.need or Amount(), child.lent or Amount()
        if not need:
            return Amount()
        if child.kind is ChildKind.TASK:
            return self.sizes.next_task(need, lent, self.lendable, len(self.children))
        # Its share of the lendable amount, so that one with many children does not take all from the others that ask.
        asking = sum(1 for other in self.children.values() if other.need)
        return need.least(self.lendable.shared(asking).most(self.sizes.next_planner))

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


def nothing_lent(granted: Amount, sizes: Sizes, call: Amount | None = None) -> Outstanding:
    """The books of a planner that has just been given its first slice; `call` is the size of its first call."""
    return Outstanding(purse=Account(granted=granted, call=call or Amount()), sizes=sizes)


def least_part(child: Child, sizes: Sizes) -> Amount:
    """The least part of its need with which a child goes on: for a task all, for a planner enough for one child."""
    need = child.need or Amount()
    return need if child.kind is ChildKind.TASK else need.least(sizes.next_planner)


def _size(amount: Amount) -> tuple[int, int, int]:
    return amount.tokens, amount.micro_usd, amount.tasks
