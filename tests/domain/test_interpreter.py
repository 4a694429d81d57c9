"""The interpreter with the rules of a run: events that come in while it performs commands, or while it sleeps."""

from typing import Any

import pytest

from headway.domain.commands import Call, Cancelled, Launch, StartChild
from headway.domain.decisions.planner import SIGNALS_PER_RUN
from headway.domain.decisions.run import CONTINUED, decide
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey
from headway.domain.orders.amend import Amend
from headway.domain.orders.pause import Pause
from headway.domain.orders.resume import Resume
from headway.domain.refs import Ref
from headway.domain.run import Note, Publish, Published
from headway.domain.state.run import RunState
from headway.domain.tree import TreeNode
from tests.domain.builders import COMMIT, NOW, ROOT, RUN, notice, prepared
from tests.domain.memory import Agent


class _Quiet:
    """The surroundings of one run: all that it sends arrives, and nothing comes of it."""

    def __init__(self) -> None:
        self.now = NOW
        self.calls: list[Call] = []
        self.meanwhile: dict[type, Any] = {}
        self.state = RunState()
        self.key = self.state.open(prepared(), NOW)
        self.agent = Agent(AgentId(RUN), self.state, decide, _never, self)

    def chance(self, share: float) -> bool:
        return share < 0

    def born(self, child: StartChild) -> bool:
        del child
        return False

    def send(self, source: AgentId, target: AgentId | None, message: Any) -> bool:
        del source, target, message
        return True

    def effect(self, me: AgentId, call: Call) -> Any:
        self.calls.append(call)
        if (event := self.meanwhile.get(type(call.order))) is not None:
            self.agent.tell(event)
        return Ref(log=me, seq=len(self.calls))

    def publish(self) -> None:
        """End the publication that is under way."""
        launched = self.agent.world.launched
        assert launched is not None
        assert isinstance(launched[0], Launch)
        assert isinstance(launched[0].order, Publish)
        self.agent.world.conclude(Published(trunk=COMMIT, branch="b"))
        self.agent.step()

    def needs_attention(self) -> None:
        """Its root planner failed: it waits for its user."""
        self.agent.step()
        self.agent.tell(notice(self.key, HandoffStatus.FAILED))
        self.agent.step()
        self.publish()
        assert self.state.phase == "needs_attention"
        assert not self.agent.due


def _never(argument: Any) -> Any:
    raise AssertionError(argument)


def _digest(key: ChildKey) -> TreeNode:
    return TreeNode(id=ROOT, key=key, kind="planner", title="t", state="thinks")


def test_a_digest_of_a_reset_root_planner_wakes_the_run_that_waits_for_its_user() -> None:
    around = _Quiet()
    around.needs_attention()
    around.agent.tell(_digest(around.key))
    assert around.state.phase == "running"
    assert around.agent.due, f"it sleeps on until {around.agent.world.until}"


def test_a_root_planner_that_speaks_while_the_next_is_announced_stays_the_only_one() -> None:
    around = _Quiet()
    around.needs_attention()
    around.meanwhile[Note] = _digest(around.key)
    around.agent.tell(Resume(request="1", target=AgentId(RUN)))
    around.agent.step()
    assert around.state.children is not None
    assert list(around.state.children.open) == [around.key]


@pytest.mark.parametrize("when", ["before the cancellation", "after it"])
def test_an_order_that_comes_with_a_cancellation_is_answered(when: str) -> None:
    around = _Quiet()
    around.agent.step()
    order = Amend(request="1", text="Use tabs.")
    events: list[Any] = [order, Cancelled()] if when == "before the cancellation" else [Cancelled(), order]
    for event in events:
        around.agent.tell(event)
    around.agent.step()
    assert "1" in around.state.book.answers, [type(call.order) for call in around.calls]


def test_an_event_that_comes_in_before_a_run_continues_as_new_is_carried_over(monkeypatch: pytest.MonkeyPatch) -> None:
    around, carried = _Quiet(), list[RunState]()

    def parse(argument: Any) -> RunState:
        carried.append(RunState.model_validate(argument[CONTINUED]))
        return carried[-1]

    around.agent.step()
    around.agent.parse = parse
    around.state.signals, around.state.listed_as = SIGNALS_PER_RUN, "parked"
    pause = Pause(request="1", target=AgentId(RUN))
    monkeypatch.setattr(around.agent.world, "list_as", lambda state: around.agent.tell(pause) if state else None)
    around.agent.tell(Resume(request="2", target=AgentId(RUN)))
    around.agent.step()
    assert [list(state.book.control.paused) for state in carried] == [[AgentId(RUN)]]
