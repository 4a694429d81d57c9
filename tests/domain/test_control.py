"""The control record: who is held by what, and requests that come twice."""

from typing import Any

import pytest

from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.order import Order
from headway.domain.orders.pause import Pause
from headway.domain.orders.resume import Resume
from headway.domain.state.control import ANSWERS_KEPT, Control, ControlBook, Hold
from headway.domain.state.run import RunState


def pause(target: str, request: str = "r1", **more: Any) -> Pause:
    return Pause(request=request, target=AgentId(target), who="me", why="lunch", **more)


def resume(target: str, request: str = "r2") -> Resume:
    return Resume(request=request, target=AgentId(target))


def told(book: ControlBook, order: Order, now: float = 0.0) -> str:
    """The answer to an order."""
    RunState(book=book).take_order(order, now)
    return book.answers[order.request]


@pytest.mark.parametrize(
    ("target", "agent", "held"),
    [
        ("r", "r", True),
        ("r", "r/root-1/2.0-3", True),
        ("r/root-1", "r/root-1/2.0-3", True),
        ("r/root-1/2.0-3", "r/root-1", False),
        ("r/root-1/2.0-3", "r/root-1/2.0-33", False),
    ],
)
def test_a_hold_covers_its_agent_and_everything_below_it(target: str, agent: str, *, held: bool) -> None:
    book = ControlBook()
    told(book, pause(target), 1.0)
    assert (book.control.hold_on(AgentId(agent)) is not None) is held


def test_only_a_hold_that_cannot_wait_stops_a_running_command() -> None:
    book = ControlBook()
    told(book, pause("r/a"), 1.0)
    told(book, pause("r/b", "r2", now=True), 1.0)
    assert not book.control.stops_now(AgentId("r/a/1"))
    assert book.control.stops_now(AgentId("r/b/1"))


def test_a_cancelled_subtree_stops_at_once_and_stays_held_after_a_resume() -> None:
    control = Control().with_cancelled(AgentId("r"), Hold(who="", why="", at=0.0))
    book = ControlBook(control=control)
    told(book, resume("r"))
    assert book.control.stops_now(AgentId("r/x"))


def test_resume_of_a_part_says_what_above_it_is_still_paused() -> None:
    book = ControlBook()
    told(book, pause("r"), 1.0)
    told(book, pause("r/a", "r2"), 1.0)
    assert "still paused: lunch" in told(book, resume("r/a", "r3"))
    assert book.control.hold_on(AgentId("r/a")) is not None


def test_a_request_that_comes_twice_is_answered_alike_and_carried_out_once() -> None:
    book = ControlBook()
    first = told(book, pause("r"), 1.0)
    told(book, resume("r"))
    assert told(book, pause("r"), 9.0) == first
    assert book.control.paused == {}


def test_answers_are_kept_for_the_newest_requests_only() -> None:
    book = ControlBook()
    for number in range(ANSWERS_KEPT + 5):
        told(book, resume("r", f"n{number}"))
    assert len(book.answers) == ANSWERS_KEPT
    assert f"n{ANSWERS_KEPT + 4}" in book.answers


def test_a_target_outside_the_run_is_refused() -> None:
    pause("r/x").check(RunState(), "r")
    with pytest.raises(UserError, match="is not of run"):
        pause("rr/x").check(RunState(), "r")


def test_every_change_has_a_higher_version() -> None:
    book = ControlBook()
    versions = [book.control.version]
    told(book, pause("r"), 1.0)
    versions.append(book.control.version)
    told(book, resume("r"))
    versions.append(book.control.version)
    assert versions == sorted(set(versions))
