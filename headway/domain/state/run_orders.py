"""The orders of a run's user while the run goes on."""

from headway.domain.errors import UserError
from headway.domain.limits import any_short, changed, in_words, short_words
from headway.domain.state.budget import Amount
from headway.domain.state.child import least_part
from headway.domain.state.control import MAX_AMENDMENTS, Amend, Pause, Resume, SetLimits, check_target
from headway.domain.state.run_facts import RunFacts

Order = Pause | Resume | SetLimits | Amend
"""Each thing that a run's user can order, by update or by signal."""


class RunOrders(RunFacts):
    """A run's facts, and its user's orders."""

    def check(self, order: Order, run: str) -> None:
        """Refuse an impossible order, before any part of it counts; the same for updates and signals.

        Raises:
            UserError: It is about another run, comes too late, changes nothing, or cannot be kept.
        """
        if isinstance(order, Pause | Resume):
            return check_target(order.target, run)
        if self.root is not None and self.phase != "needs_attention" and not self.adopted:
            raise UserError("The run is finishing; its limits and instructions can no longer be changed.")
        if isinstance(order, SetLimits):
            changed(order, self.granted or Amount(), self.prepared)
            return None
        waiting = sum(isinstance(other, Amend) and other.request != order.request for other in self.asked)
        if len(self.book.control.amendments) + waiting >= MAX_AMENDMENTS:
            raise UserError(f"A run carries at most {MAX_AMENDMENTS} amendments.")
        return None

    def accept(self, order: Order, run: str) -> bool:
        """True if an order that came by signal may be carried out. A refusal is its answer, and a note of the run."""
        try:
            self.check(order, run)
        except UserError as error:
            self.book.refuse(order.request, str(error))
            self.troubles["order"] = f"order {order.request} was refused: {error}"
            return False
        self.troubles.pop("order", None)
        return True

    def trouble(self, about: str, why: str = "") -> None:
        """Note an effect that failed for good and is tried again; without `why`, that it succeeded."""
        self.troubles.pop(about, None)
        if why:
            self.troubles[about] = f"{about} failed: {why}"

    def take_order(self, order: SetLimits | Amend) -> None:
        """Note the user's order; one that came before under the same request is not carried out again."""
        if order.request not in self.book.answers and all(order.request != other.request for other in self.asked):
            self.asked.append(order)

    def set_limits(self, order: SetLimits) -> str:
        """Change the run's limits; the answer in words.

        Raises:
            UserError: It changes nothing, or cannot be kept.
        """
        assert self.children is not None
        assert self.prepared is not None
        account = self.children.account
        before, used = account.granted, self.used
        wanted = changed(order, before, self.prepared)
        # A limit below the used-up amount means the same as that amount: nothing more.
        account.granted = wanted.most(used.model_copy(update={"unpriced": 0}))
        hours = order.changes.get("hours")
        deadline = self.started_at + hours * 3600 if isinstance(hours, float) else hours
        self._end_hold()
        ends = self.book.control.deadline_of(self.prepared.context.deadline) if deadline is None else deadline
        said = in_words(account.granted, used, ends, self.book.control.limits | order.changes)
        said += self._still_short()
        lowered = not wanted.covers(before)
        return self.book.set_limits(order, said, lowered=lowered, deadline=deadline)

    def _still_short(self) -> str:
        """A warning when agents wait for more than the new limits leave."""
        root = self.root_key
        if self.children is None or root is None:
            return ""
        child, free = self.children.open[root], self.children.account.free
        least = least_part(child, self.context.sizes) - free
        return f"; that does not help yet: {short_words(least)} more is needed" if any_short(least) else ""

    def _end_hold(self) -> None:
        if self.phase == "hold":
            self.phase, self.parked_at = "running", 0.0
