"""`set_limits`: other limits of the whole run."""

from typing import TYPE_CHECKING, ClassVar

from headway.domain.commands import Call, Failed
from headway.domain.limit_table import CHANGEABLE, Value, changes_model
from headway.domain.limits import any_short, changed, in_words, short_words
from headway.domain.order import Order
from headway.domain.run import MeasureSpent
from headway.domain.state.budget import Amount
from headway.domain.state.child import least_part
from headway.domain.state.run import RunState

KEPT_APART = ("tokens", "tasks", "usd", "hours")
"""Limits that the record does not carry: the root planner's account holds the budget, and `deadline` the hours."""


class _SetLimits(Order):
    """Change the limits of the whole run; a limit that is left out stays as it is.

    It has a field for each limit of the table that may change while a run goes on.
    """

    name: ClassVar[str] = "set_limits"
    waits: ClassVar[bool] = True

    @property
    def changes(self) -> dict[str, Value]:
        """The new limits by name."""
        return {name: value for name in CHANGEABLE if (value := getattr(self, name)) is not None}

    def check(self, state: RunState, run: str) -> None:
        """Refuse a change that comes too late, changes nothing, or cannot be kept."""
        del run
        state.refuse_when_finishing()
        changed(self.changes, state.granted or Amount(), state.prepared)

    def first(self, state: RunState) -> Call:
        """Measure the use until now: running agents have not told yet, and a new limit goes by it."""
        context = state.context
        return Call(MeasureSpent(run=context.run, incarnation=context.incarnation), "what is used up", self.request)

    def apply(self, state: RunState, result: Amount | Failed | None, now: float) -> str:
        """Change the account, and put the other limits on the record."""
        del now
        if isinstance(result, Amount):
            state.measured = state.measured.most(result)
        assert state.children is not None
        assert state.prepared is not None
        account, control = state.children.account, state.book.control
        before, used = account.granted, state.used
        wanted = changed(self.changes, before, state.prepared)
        # A limit below the used-up amount means the same as that amount: nothing more.
        account.granted = wanted.most(used.model_copy(update={"unpriced": 0}))
        hours = self.changes.get("hours")
        deadline = state.started_at + hours * 3600 if isinstance(hours, float) else hours
        state.end_hold()
        ends = control.deadline_of(state.prepared.context.deadline) if deadline is None else deadline
        told = in_words(account.granted, used, ends, control.limits | self.changes) + _still_short(state)
        lowered = not wanted.covers(before)
        recorded = {name: value for name, value in self.changes.items() if name not in KEPT_APART}
        if lowered or deadline is not None or recorded:
            state.book.change(
                recall=control.recall + int(lowered),
                renewed=control.renewed + 1,
                deadline=control.deadline if deadline is None else deadline,
                limits=control.limits | recorded,
            )
        return told


def _still_short(state: RunState) -> str:
    """A warning when agents wait for more than the new limits leave."""
    root = state.root_key
    if state.children is None or root is None:
        return ""
    least = least_part(state.children.open[root], state.context.sizes) - state.children.account.free
    return f"; that does not help yet: {short_words(least)} more is needed" if any_short(least) else ""


if TYPE_CHECKING:

    class SetLimits(_SetLimits):
        def __init__(self, request: str, who: str = "", why: str = "", **changes: Value | None) -> None: ...

else:
    SetLimits = changes_model(_SetLimits, "SetLimits")
