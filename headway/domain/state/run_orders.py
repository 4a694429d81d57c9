"""The handling of its user's orders by a run: taken, checked, carried out and answered, each once."""

from typing import Any

from headway.domain.errors import UserError
from headway.domain.order import Order
from headway.domain.state.run_facts import RunFacts


class RunOrders(RunFacts):
    """A run's facts, and its user's orders."""

    def accept(self, order: Order, run: str) -> bool:
        """True if an order that came by signal may be carried out. A refusal is its answer, and a note of the run."""
        try:
            order.check(self, run)
        except UserError as error:
            self.book.answer(order.request, str(error))
            self.troubles["order"] = f"order {order.request} was refused: {error}"
            return False
        self.troubles.pop("order", None)
        return True

    def take_order(self, order: Order, now: float) -> None:
        """Carry an order out, or note it until its activity has a result. One that came before changes nothing."""
        if order.request in self.book.answers or any(order.request == other.request for other in self.asked):
            return
        if order.waits:
            self.asked.append(order)
        else:
            self.carry_out(order, None, now)

    def carry_out(self, order: Order, result: Any, now: float) -> None:
        """Carry an order out, with the result of its activity, and note the answer."""
        try:
            answer = order.apply(self, result, now)
        except UserError as error:
            answer = str(error)
        self.book.answer(order.request, answer)

    def refuse_when_finishing(self) -> None:
        """Refuse an order that comes too late to have an effect.

        Raises:
            UserError: The run is finishing.
        """
        if self.root is not None and self.phase != "needs_attention" and not self.adopted:
            raise UserError("The run is finishing; its limits and instructions can no longer be changed.")

    def trouble(self, about: str, why: str = "") -> None:
        """Note an effect that failed for good and is tried again; without `why`, that it succeeded."""
        self.troubles.pop(about, None)
        if why:
            self.troubles[about] = f"{about} failed: {why}"

    def end_hold(self) -> None:
        """Go on after a wait for the user at the run's limit."""
        if self.phase == "hold":
            self.phase, self.parked_at = "running", 0.0
