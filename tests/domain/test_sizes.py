"""How large things may get on Temporal's wire: the caps are ours, because beyond the server's a workflow hangs."""

from typing import Any

import pytest
from pydantic import BaseModel

from headway.domain.check import CheckVerdict
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Incarnation, RunName, child_id, root_planner_id
from headway.domain.messages import Ask, DescribeChildren, Grant, StoredHandoff, StoreHandoff, TaskOrder, WorkOrder
from headway.domain.planner_turn import (
    HANDOFFS_PER_TURN,
    SPAWNS_PER_TURN,
    ChildKind,
    Decision,
    Final,
    Finish,
    Spawned,
    TurnOutcome,
)
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import UNLIMITED, Account, Amount, Sizes
from headway.domain.state.child import Child, Closed, EarlyAsk
from headway.domain.state.children import MAX_FOREIGN, MAX_OUTSTANDING, Children
from headway.domain.state.planner import PlannerState
from headway.domain.task import in_history
from tests.domain.booked import next_turn
from tests.domain.builders import COMMIT, NOW, wire

KB = 1024
MESSAGE = 32 * KB
"""Signals, activity arguments and results."""
STATE = 512 * KB

TITLES = {"English": "x" * 54, "Chinese": "改" * 60, "quotes": '"\\' * 30, "emoji": "🚀" * 60, "control": "\x01" * 60}

RUN = RunName("R" * 61)
INCARNATION = Incarnation("0b7a1f9e-8f4f-4a7e-9a55-3f1f6f7f2b11")
TOKENS = 20_000_000
USD = 20_000_000
LENT = Amount(tokens=2_000_000, tasks=1, micro_usd=2_000_000)


EVERYTHING = Amount(tokens=UNLIMITED, tasks=UNLIMITED, micro_usd=UNLIMITED, unpriced=UNLIMITED)


def key(index: int, turn: int = 9000) -> ChildKey:
    return ChildKey(f"{turn + index // SPAWNS_PER_TURN}.{index % SPAWNS_PER_TURN}-{index:08x}")


def planner_at(depth: int) -> AgentId:
    agent = root_planner_id(RUN, INCARNATION)
    for _ in range(depth - 1):
        agent = child_id(agent, key(99))
    return agent


ME = planner_at(4)
"""A planner on the deepest level of a run with the longest name."""

CONTEXT = RunContext(
    run=RUN,
    incarnation=INCARNATION,
    spec=Ref(log=AgentId(RUN), seq=1),
    base=COMMIT,
    deadline=NOW + 86_399.123456,
    sizes=Sizes(
        task_call=Amount(tokens=216_000, micro_usd=2_570_000),
        planner_call=Amount(tokens=216_000, micro_usd=2_570_000),
        root_call=Amount(tokens=216_000, micro_usd=2_570_000),
        task=Amount(tokens=UNLIMITED, tasks=1, micro_usd=UNLIMITED),
    ),
    attributes=("HeadwayRun", "HeadwayRole", "HeadwayState", "HeadwayDepth"),
    has_check=True,
)


def child(title: str = TITLES["English"], **changes: object) -> Child:
    """A child that fills every field."""
    full = Child(
        kind=ChildKind.TASK,
        title=in_history(title),
        seq=123_456,
        item=99,
        priority=-1,
        granted=LENT,
        need=Amount(tokens=216_000, micro_usd=2_570_000),
    )
    return full.model_copy(update=changes)


PLANNER: dict[str, Any] = {"kind": ChildKind.PLANNER, "item": 0, "priority": 0}


def notice(index: int) -> HandoffNotice:
    spent = Amount(tokens=TOKENS, tasks=1000, micro_usd=USD, unpriced=TOKENS)
    return HandoffNotice(child=key(index), status=HandoffStatus.NOT_NEEDED, seq=123_456, spent=spent)


def state(title: str, count: int = MAX_OUTSTANDING) -> PlannerState:
    """A planner with as much on its hands as it may have."""
    closed = Closed(key=key(0), kind=ChildKind.TASK, title=in_history(title), status=HandoffStatus.NOT_NEEDED)
    return PlannerState(
        context=CONTEXT,
        me=ME,
        title=in_history(title),
        scope=Ref(log=planner_at(3), seq=123_456, item=99),
        depth=4,
        children=Children(
            account=Account(granted=EVERYTHING, own=EVERYTHING, below=EVERYTHING, delegated=EVERYTHING),
            sizes=CONTEXT.sizes,
            children={key(index): child(title) for index in range(count)},
            received=dict.fromkeys(range(9000, 9500), (1 << SPAWNS_PER_TURN) - 1),
            foreign=[key(index, 8000) for index in range(MAX_FOREIGN)],
            early={
                key(index, 7000): EarlyAsk(
                    granted=LENT, need=Amount(tokens=TOKENS, micro_usd=USD), grant_version=(9, 100_000), stuck=True
                )
                for index in range(count)
            },
            recent=[closed] * 40,
        ),
        turn=99_999,
        board=in_history(title) * 66,
        inbox=[notice(index) for index in range(count)],
        last_finish=Finish(status=HandoffStatus.DONE, seq=123_456, summary="s" * 1000),
    )


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(child(need=None), id="at work"),
        pytest.param(child(), id="asking"),
        pytest.param(child(granted=None, need=None), id="waiting"),
        pytest.param(child(need=None, cancelled=True), id="cancelled"),
        pytest.param(child(**PLANNER), id="a sub-planner that asks"),
        pytest.param(child(**PLANNER, need=None, called=True), id="a sub-planner that is to give back"),
        pytest.param(child(recovered=True, need=None), id="recovered"),
        pytest.param(child(grant_version=(4_000, 0)), id="asking after a recall"),
        pytest.param(child(**PLANNER, grant_version=(4, 123), stuck_below=True), id="stuck"),
    ],
)
def test_an_outstanding_child_takes_160_bytes(entry: Child) -> None:
    assert wire({key(99): entry}) - len("{}") <= 160


def test_a_child_reads_back_as_it_was_written() -> None:
    for entry in (child(), child(cancelled=True, recovered=True), Child(title="x", seq=0)):
        assert Child.model_validate_json(entry.model_dump_json(by_alias=True)) == entry
        assert Child.model_validate_json(entry.model_dump_json()) == entry


def test_what_is_at_its_default_is_left_out() -> None:
    assert Child(title="x", seq=0).model_dump(by_alias=True) == {"t": "x", "s": 0}


def test_a_handoff_in_the_inbox_takes_256_bytes() -> None:
    largest = notice(99).model_copy(update={"spent": EVERYTHING})
    assert wire(largest) <= 256


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_the_largest_state_of_a_planner_fits(title: str) -> None:
    assert wire(state(title)) <= STATE


def test_a_state_does_not_grow_with_the_turns_that_it_has_seen() -> None:
    old = state("x")
    old.children.received = dict.fromkeys(range(99999), (1 << SPAWNS_PER_TURN) - 1)
    assert wire(old.carried()) <= STATE


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_the_largest_argument_of_a_turn_fits(title: str) -> None:
    verdict = CheckVerdict(commit=COMMIT, passed=False, why="timed out after 86400 s", failing="改" * 2000, at=NOW)
    order = next_turn(state(title, HANDOFFS_PER_TURN), INCARNATION, Final(verdict=verdict))
    assert len(order.inbox) == HANDOFFS_PER_TURN
    assert wire(order) <= MESSAGE


@pytest.mark.parametrize("title", TITLES.values(), ids=TITLES)
def test_the_largest_result_of_a_turn_fits(title: str) -> None:
    told = TurnOutcome(
        decision=Decision.FINISH,
        seq=123_456,
        own=Amount(tokens=TOKENS),
        spawned=tuple(
            Spawned(key=key(i), kind=ChildKind.TASK, title=in_history(title), seq=123_456, item=i, priority=-1)
            for i in range(SPAWNS_PER_TURN)
        ),
        cancelled=tuple(key(index) for index in range(100)),
        finish=Finish(status=HandoffStatus.PARTIAL, seq=123_456, summary=(in_history(title) * 40)[:1000]),
        board=(in_history(title) * 100).encode()[:4000].decode(errors="ignore"),
        pinned=COMMIT,
    )
    assert wire(told) <= MESSAGE


WORK = WorkOrder(
    context=CONTEXT,
    me=child_id(ME, key(99)),
    task=Ref(log=ME, seq=123_456, item=99),
    title=in_history(TITLES["emoji"]),
    granted=Amount(tokens=UNLIMITED, tasks=1, micro_usd=UNLIMITED),
)


@pytest.mark.parametrize(
    "message",
    [
        WORK,
        TaskOrder(
            context=CONTEXT, me=WORK.me, task=WORK.task, title=WORK.title, grant=Amount(tokens=UNLIMITED, tasks=1)
        ),
        DescribeChildren(context=CONTEXT, me=ME, tasks=tuple(key(i) for i in range(200))),
        StoreHandoff(
            context=CONTEXT, me=WORK.me, title=WORK.title, role="worker", status=HandoffStatus.FAILED, why="w" * 4000
        ),
        StoredHandoff(ref=WORK.task, status=HandoffStatus.DONE, summary="s" * 1000, spent=Amount(tokens=UNLIMITED)),
        Ask(child=key(99), granted=EVERYTHING, need=EVERYTHING, grant_version=(100, 100_000)),
        Grant(total=EVERYTHING, final=True, grant_version=(100, 100_000)),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_fits(message: BaseModel) -> None:
    assert wire(message) <= MESSAGE


def test_what_an_audit_of_200_children_finds_fits() -> None:
    assert wire([notice(index) for index in range(200)]) <= MESSAGE
