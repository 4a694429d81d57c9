"""Rounds of a planner: one that is far too small is told once; turns that decide nothing end."""

from typing import Any

import pytest

from headway.agents.planner.planner_guards import UNDECIDED_TURNS, far_too_few
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey
from headway.domain.planner_turn import CALLS_PER_TURN, ChildKind, Decision, Spawned, TurnOutcome
from headway.domain.state.budget import Amount
from headway.domain.task import TaskKind
from headway.eventlog.events.conversation import Message
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import TurnEnd
from headway.eventlog.views.children import Asked
from headway.eventlog.views.turn import Rounds
from tests.agents.stage import ROOT, Stage, step, use
from tests.support.events import event

RANGE = {"policy": {"root_tasks_per_round": (20, 100)}}
THREE = [{"title": f"Task {n}", "intent": "It is missing."} for n in range(3)]
TOLD = "You asked for 3 tasks in your first round; the range for this scope is 20 to 100."


def asked(count: int, kind: ChildKind = ChildKind.TASK, work: TaskKind = TaskKind.CHANGE) -> list[Asked]:
    keys = [ChildKey(f"1.{n}-{n:08x}") for n in range(count)]
    return [Asked(Spawned(key=key, kind=kind, title="x", seq=0), 0.0, "x", (), work) for key in keys]


LOOK = TaskKind.INVESTIGATE


@pytest.mark.parametrize(
    ("children", "room", "few"),
    [
        (asked(3), 97, True),
        (asked(9), 91, True),
        (asked(10), 90, False),
        (asked(20), 80, False),
        (asked(0), 100, False),
        (asked(3), 5, False),
        (asked(3), 17, True),
        (asked(3, work=LOOK), 97, False),
        ([*asked(3, work=LOOK), *asked(1)], 97, True),
        (asked(1, ChildKind.PLANNER), 97, False),
        ([*asked(1, ChildKind.PLANNER), *asked(3)], 97, False),
    ],
)
def test_what_is_far_too_few(children: list[Asked], room: int, few: bool) -> None:
    assert far_too_few(children, 20, room) is few


async def test_a_planner_that_asks_for_far_too_few_is_told_once_before_it_sleeps(stage: Stage) -> None:
    stage.more = RANGE
    small = step(use("rewrite_scratchpad", content="The scope is small."), use("wait"))
    stage.serve(root=[step(use("spawn_tasks", tasks=THREE), use("wait")), small, step(use("wait"))])
    first = await stage.turn("k1")
    assert (first.decision, len(first.spawned)) == (Decision.GO_ON, 3)
    second = await stage.turn("k2", first.seq, turn=2, spawnable=97)
    assert second.decision is Decision.WAIT
    third = await stage.turn("k3", second.seq, turn=3, spawnable=97)
    assert third.decision is Decision.WAIT
    assert [TOLD in text for text in stage.texts(ROOT, "message")] == [False, True, False]
    assert "say so in the scratchpad" in stage.texts(ROOT, "message")[1]


async def test_a_planner_that_asks_for_more_in_time_is_told_nothing(stage: Stage) -> None:
    stage.more = RANGE
    many = [{"title": f"Task {n}", "intent": "It is missing."} for n in range(12)]
    stage.serve(root=[step(use("spawn_tasks", tasks=many), use("wait")), step(use("wait"))])
    first = await stage.turn("k1")
    assert first.decision is Decision.WAIT
    await stage.turn("k2", first.seq, turn=2, spawnable=88)
    assert not any("in your first round" in text for text in stage.texts(ROOT, "message"))


async def test_a_planner_without_room_is_not_told_to_ask_for_more(stage: Stage) -> None:
    stage.more = RANGE
    stage.serve(root=[step(use("spawn_tasks", tasks=THREE), use("wait"))])
    first = await stage.turn("k1", spawnable=5)
    assert first.decision is Decision.WAIT


@pytest.mark.parametrize(
    ("limits", "range_"),
    [({}, "20 to 100"), ({"open_tasks": 30}, "20 to 30"), ({"tasks": 7}, "7 to 7"), ({"tasks": "none"}, "20 to 100")],
)
async def test_nobody_is_asked_for_more_than_the_limits_let_through(
    stage: Stage, limits: dict[str, Any], range_: str
) -> None:
    stage.more, stage.limits = RANGE, limits
    stage.serve(root=[step(use("wait"))])
    await stage.turn("k1")
    assert f"Ask for {range_} tasks in a round." in stage.texts(ROOT, "message")[0]


# Turns without a decision


def ended(decision: Decision, **more: Any) -> AnyEvent:
    return event(TurnEnd(key="k", outcome=TurnOutcome(decision=decision, seq=0, own=Amount(), **more)))


NOTICE = HandoffNotice(child=ChildKey("1.0-00000000"), status=HandoffStatus.DONE, seq=0)
IDLE, WAIT, SPAWN = ended(Decision.GO_ON), ended(Decision.WAIT), ended(Decision.GO_ON, spawned=(asked(1)[0].spawned,))
NEWS, PLAIN = event(Message(text="", inbox=(NOTICE,))), event(Message(text=""))


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ([], 0),
        ([IDLE], 1),
        ([SPAWN, IDLE, IDLE], 2),
        ([IDLE, SPAWN], 0),
        ([IDLE, WAIT, IDLE], 2),
        ([IDLE, NEWS, IDLE], 1),
        ([IDLE, PLAIN, IDLE, PLAIN], 2),
        ([IDLE, ended(Decision.FINISH), IDLE], 1),
        ([IDLE, ended(Decision.GAVE_UP), IDLE], 1),
        ([IDLE, event(Message(text="", steers=((AgentId("run"), 1),))), IDLE], 1),
    ],
)
def test_turns_that_decided_nothing_are_counted(line: list[AnyEvent], count: int) -> None:
    rounds = Rounds()
    for each in line:
        rounds.apply(each)
    assert rounds.undecided == count


async def test_a_planner_that_only_reads_is_told_and_then_gives_up(stage: Stage) -> None:
    reads = [step(use("read_file", path="src/app.py", start=1, limit=n)) for n in range(1, 1 + 3 * CALLS_PER_TURN)]
    rehearsal = stage.serve(root=reads)
    seq, decisions = -1, []
    for turn in range(1, 1 + UNDECIDED_TURNS):
        outcome = await stage.turn(f"k{turn}", seq, turn=turn)
        seq = outcome.seq
        decisions.append(outcome.decision)
    assert decisions == [Decision.GO_ON, Decision.GO_ON, Decision.GAVE_UP]
    assert outcome.why == "3 turns ended without a decision"
    assert rehearsal.report()["requests"] == UNDECIDED_TURNS * CALLS_PER_TURN
    told = stage.texts(ROOT, "message")
    assert "Your last 1 turns ended without a decision" in told[1]
    assert "Your last 2 turns ended without a decision" in told[2]


async def test_a_fresh_start_counts_anew(stage: Stage) -> None:
    reads = [step(use("read_file", path="src/app.py", start=1, limit=n)) for n in range(1, 1 + 3 * CALLS_PER_TURN)]
    stage.serve(root=reads)
    seq = -1
    for turn in (1, 2, 3):
        seq = (await stage.turn(f"k{turn}", seq, turn=turn)).seq
    stage.serve(root=[step(use("wait"))])
    await stage.turn("k4", seq, turn=4, fresh=True)
    assert "ended without a decision" not in stage.texts(ROOT, "message")[-1]
