"""The rules by which a planner lends its account to its children. Nothing is booked here."""

from headway.domain.ids import ChildKey
from headway.domain.messages import Grant
from headway.domain.planner_turn import ChildKind
from headway.domain.state.budget import Account, Amount, Sizes
from headway.domain.state.child import Child, least_part
from headway.domain.state.children import Children


class Lending:
    """Grants that can be given now, one child after the other. They are counted on a copy of the account.

    Args:
        but: A child that is answered by other rules.
    """

    def __init__(self, children: Children, *, but: ChildKey | None = None) -> None:
        self._children = children
        self._account: Account = children.account.model_copy()
        self._open = {key: child for key, child in children.open.items() if key != but}
        self._answered: dict[ChildKey, Grant] = {}
        self._asking = sum(1 for child in children.open.values() if child.need)

    def answers(self) -> dict[ChildKey, Grant]:
        """More for the children that asked, as far as the account goes, and a last word for those that can never get
        more.

        When no more will come from above, a child is refused only once every started child waits and none can be
        served: the amount that the others give back may serve it. One at a time, because the refused one gives back
        too.
        """
        for key, child in self._open.items():
            if child.need is None or child.granted is None:
                continue
            more = self._next_grant(child)
            if more is None or self._account.lendable.covers(more):
                self._answer(key, child, more)
        started = {key: child for key, child in self._open.items() if child.granted is not None}
        waits = all(child.need is not None and key not in self._answered for key, child in started.items())
        if self._children.no_more and started and waits:
            self._answer(*next(iter(started.items())), None)
        return self._answered

    def starts(self) -> dict[ChildKey, Amount]:
        """A first grant for every child that waits for one and can have it, oldest first.

        One that cannot have it keeps none behind it from starting.
        """
        due: dict[ChildKey, Amount] = {}
        for key, child in self._open.items():
            if child.granted is not None or child.cancelled:
                continue
            part = first_grant(self._children.sizes, child.kind)
            if self._account.lendable.covers(part):
                self._account.delegated += part
                due[key] = part
        return due

    def _answer(self, key: ChildKey, child: Child, more: Amount | None) -> None:
        total = (child.granted or Amount()) + (more or Amount())
        self._account.delegated += more or Amount()
        self._asking -= bool(child.need)
        self._answered[key] = Grant(total=total, final=more is None, grant_version=child.grant_version)

    def _next_grant(self, child: Child) -> Amount | None:
        need, held, lendable = child.need or Amount(), child.granted or Amount(), self._account.lendable
        sizes = self._children.sizes
        if not need:
            return Amount()
        if child.kind is ChildKind.TASK:
            return sizes.next_task(need, held, lendable, len(self._children.open))
        # Its share of the lendable amount, so that one with many children does not take all from the others that ask.
        return need.least(lendable.shared(self._asking).most(sizes.next_planner))


def first_grant(sizes: Sizes, kind: ChildKind) -> Amount:
    """The first grant of a child."""
    return sizes.first_task if kind is ChildKind.TASK else sizes.first_planner


def to_drop(children: Children, *, closing: bool) -> tuple[ChildKey, ...]:
    """Children that never started and never will: cancelled, the planner closes, or the budget is gone for good."""
    stuck, lendable = children.no_more and not children.at_work, children.lendable
    return tuple(
        key
        for key, child in children.open.items()
        if child.granted is None
        and (closing or child.cancelled or (stuck and not lendable.covers(first_grant(children.sizes, child.kind))))
    )


def to_call_back(children: Children, *, for_parent: bool) -> tuple[ChildKey, ...]:
    """Sub-planners to ask for their unneeded budget, each until it answers.

    They are called when a child here waits for more than can be lent, or, with `for_parent`, when the parent is short
    and there is nothing here to give it.
    """
    if not for_parent and not children.anything_waits:
        return ()
    return tuple(
        key
        for key, child in children.open.items()
        if child.kind is ChildKind.PLANNER
        and child.granted is not None
        and child.need is None
        and not child.called
        and not child.cancelled
    )


def shortfall(children: Children, account: Account | None = None) -> Amount:
    """The amount that is missing to let everything that waits go on."""
    waiting = (child for child in children.open.values() if child.granted is None or child.need)
    wanted = sum((_wanted_by(children.sizes, child) for child in waiting), Amount())
    return (account or children.account).lacking(wanted) if wanted else Amount()


def least_shortfall(children: Children) -> Amount:
    """The least amount with which one waiting child can go on."""
    sizes = children.sizes
    asking = (child for child in children.open.values() if child.granted is None or child.need)
    waiting = [_least_of(sizes, child) for child in asking if _wanted_by(sizes, child)]
    return min((children.account.lacking(each) for each in waiting), key=_size, default=Amount())


def waits_for(children: Children, key: ChildKey) -> Amount:
    """The amount that a child waits for, in the units that are short; nothing when it does not wait."""
    child, sizes = children.open[key], children.sizes
    needed = _least_of(sizes, child) if _wanted_by(sizes, child) else Amount()
    return needed.where(needed - children.lendable)


def _wanted_by(sizes: Sizes, child: Child) -> Amount:
    """All that a child waits for; nothing where it does not wait, or will never start."""
    if child.granted is None:
        return Amount() if child.cancelled else first_grant(sizes, child.kind)
    if not child.need or child.kind is ChildKind.PLANNER:
        return child.need or Amount()
    return sizes.wanted_task(child.need, child.granted) or Amount()


def _least_of(sizes: Sizes, child: Child) -> Amount:
    """With so much a child that waits goes on."""
    return least_part(child, sizes) if child.need else _wanted_by(sizes, child)


def _size(amount: Amount) -> tuple[int, int, int]:
    return amount.tokens, amount.micro_usd, amount.tasks
