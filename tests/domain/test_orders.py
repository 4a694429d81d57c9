"""Orders of a run's user: each is one model, and one handler takes all of them."""

import pkgutil
from importlib import import_module
from typing import Any, ClassVar

import pytest
from temporalio import workflow

from headway.domain import orders as package
from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.order import Order
from headway.domain.orders.amend import Amend
from headway.domain.orders.catalogue import ORDERS
from headway.domain.orders.pause import Pause
from headway.domain.orders.resume import Resume
from headway.domain.orders.set_limits import SetLimits
from headway.domain.state.run import RunState
from workflows.run import Run

EACH: tuple[Order, ...] = (
    Pause(request="1", target=AgentId("r"), why="lunch", now=True),
    Resume(request="2", target=AgentId("r/x")),
    SetLimits(request="3", usd=2.5, hours="none"),
    Amend(request="4", text="Use tabs."),
)


def test_every_order_of_the_package_is_listed() -> None:
    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    assert {kind.name: kind for kind in ORDERS} == Order.kinds
    assert {type(order) for order in EACH} == set(ORDERS)


@pytest.mark.parametrize("kind", ORDERS, ids=lambda kind: kind.name)
def test_an_update_and_a_signal_give_each_order(kind: type[Order]) -> None:
    defined = workflow._Definition.must_from_class(Run)
    assert defined.updates[kind.name].arg_types == [kind]
    assert defined.updates[kind.name].validator is not None
    assert defined.signals[kind.name].arg_types == [kind]


@pytest.mark.parametrize("order", EACH, ids=lambda order: order.name)
def test_an_order_that_waits_for_its_activity_is_carried_over(order: Order) -> None:
    state = RunState(asked=[order])
    carried = RunState.model_validate(state.model_dump(mode="json", by_alias=True))
    assert carried.asked == [order]
    assert type(carried.asked[0]) is type(order)


class Note(Order):
    """An order that this test adds."""

    # Without a name, so that it is not among the orders of other tests.
    name: ClassVar[str] = ""

    def check(self, state: Any, run: str) -> None:
        if not self.why:
            raise UserError("why: is missing")

    def apply(self, state: Any, result: Any, now: float) -> str:
        state.book.change()
        return f"noted at {now:.0f}: {self.why}"


def test_another_order_is_checked_carried_out_and_answered_once() -> None:
    state = RunState()
    assert not state.accept(Note(request="0"), "r")
    assert state.book.answers == {"0": "why: is missing"}
    for now in (7.0, 8.0):
        state.apply(Note(request="1", why="tea"), now)
    assert state.book.answers["1"] == "noted at 7: tea"
    assert state.book.control.version == 1


def test_an_order_that_is_refused_when_it_is_carried_out_has_the_refusal_as_its_answer() -> None:
    class Never(Note):
        name: ClassVar[str] = ""

        def apply(self, state: Any, result: Any, now: float) -> str:
            raise UserError("not now")

    state = RunState()
    state.apply(Never(request="1"), 1.0)
    assert state.book.answers == {"1": "not now"}
