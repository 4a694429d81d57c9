"""A kill at any event of an agent's log: no paid call is made again, nothing lands or is handed off twice."""

import time
from collections.abc import Iterator

import pytest

from headway.agents.planner.planner import PlannerAgent
from headway.agents.tools.catalogue import PLANNER_TOOLS, RESULTS, WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.ids import AgentId
from headway.domain.messages import WorkOrder
from headway.domain.planner_turn import Decision, TurnOutcome
from headway.domain.results import Spawn
from headway.eventlog.events.conversation import LlmResponse, ToolResult
from headway.eventlog.events.envelope import AnyEvent, bodies
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.playbook import Step
from prompts.prompts import Prompts
from tests.agents.cutting import DyingStore, Killed
from tests.agents.stage import ROOT, Stage, finish, step, use
from tests.support.sandboxes import PlainSandbox

MOST_EVENTS = 60


def work_on(title: str) -> list[Step]:
    path = f"{title}.txt"
    return [
        step(use("write_file", path=path, content="one\ntwo\n")),
        step(use("edit_file", path=path, old="two", new="two two"), use("read_file", path=path)),
        step(use("shell", command=f"echo ran >> {title}.ran; echo {title}.ran >> .gitignore")),
        step(use("land", message=f"Land {title}")),
        finish(f"{title} is there."),
        finish(f"{title} is there."),
        finish(f"{title} is there."),
    ]


each_cut = pytest.mark.parametrize(
    "whole", [False, pytest.param(True, marks=pytest.mark.long)], ids=["every second cut", "every cut"]
)


def cuts(*, whole: bool) -> Iterator[tuple[int, bool]]:
    """Numbers of events, and whether the kill comes before that event is written or after it."""
    both = ((at, before) for at in range(1, MOST_EVENTS) for before in (True, False))
    return ((at, before) for at, before in both if whole or before == (at % 2 == 0))


async def killed_at(stage: Stage, order: WorkOrder, at: int, *, before: bool) -> str | None:
    """Where the worker died; None when it came to its end first."""
    store = DyingStore(stage.folder / "state", stage.store.redact, RESULTS).dies(order.me, at, before=before)
    agent = WorkerAgent(
        store,
        lambda _: stage.hub,
        lambda _: stage.places,
        PlainSandbox(),
        stage.chosen,
        Prompts.load(),
        time.time,
        tools=WORKER_TOOLS,
    )
    try:
        await agent.work(order, stage.beats.append)
    except Killed:
        return store.died_at
    return None


def repeats(rehearsal: Rehearsal, agent: AgentId) -> int:
    return int(rehearsal.report()["agents"][agent]["repeats"])


@each_cut
async def test_a_worker_that_is_killed_anywhere_goes_on(stage: Stage, *, whole: bool) -> None:
    names = [f"w{at}{'b' if before else 'a'}" for at, before in cuts(whole=whole)]
    rehearsal = stage.serve(tasks={name: work_on(name) for name in names})
    for number, (name, (at, before)) in enumerate(zip(names, cuts(whole=whole), strict=True)):
        order = stage.task(name, number)
        died_at = await killed_at(stage, order, at, before=before)
        outcome, handoff = await stage.done(order)
        assert outcome.status == "done", (name, died_at, handoff)
        events = stage.store.read(order.me)
        assert sum(event.type == "handoff" for event in events) == 1, (name, died_at)
        assert len(handoff.facts.landed) == 1, (name, died_at)
        assert stage.on_trunk(f"{name}.txt") == "one\ntwo two\n", (name, died_at)
        allowed = 1 if died_at == "llm.response" and before else 0
        assert repeats(rehearsal, order.me) == allowed, (name, died_at)
        assert answered_once(events), (name, died_at)
        if died_at is None:
            assert number > (20 if whole else 10)
            break
    landed = [commit.task for commit in stage.hub.landed(stage.base)]
    assert len(landed) == len(set(landed)) == number + 1


async def test_a_worker_resumed_after_its_handoff_hands_off_no_more(stage: Stage) -> None:
    rehearsal = stage.serve(tasks={"w": work_on("w")})
    order = stage.task("w")
    first = await stage.work(order)
    requests = rehearsal.report()["requests"]
    assert await stage.work(order) == first
    assert rehearsal.report()["requests"] == requests


TASKS = [{"title": "Write one", "intent": "It is missing."}, {"title": "Write two", "intent": "It is missing."}]
PLAN = [
    step(use("list_dir"), use("read_file", path="README.md")),
    step(use("rewrite_scratchpad", content="Two."), use("spawn_tasks", tasks=TASKS), use("spawn_tasks", tasks=TASKS)),
]


async def turn_killed_at(stage: Stage, key: str, at: int, *, before: bool, from_seq: int) -> str | None:
    store = DyingStore(stage.folder / "state", results=RESULTS).dies(ROOT, at, before=before)
    agent = PlannerAgent(store, lambda _: stage.hub, stage.chosen, Prompts.load(), time.time, tools=PLANNER_TOOLS)
    try:
        await agent.turn(stage.turn_order(key, from_seq), stage.beats.append)
    except Killed:
        return store.died_at
    return None


@each_cut
async def test_a_turn_that_is_killed_anywhere_goes_on(stage: Stage, *, whole: bool) -> None:
    expected: TurnOutcome | None = None
    paid = 0
    for number, (at, before) in enumerate(cuts(whole=whole)):
        rehearsal = stage.serve(root=PLAN)
        key = f"k{number}"
        # As after a reset: each turn starts from the very beginning, and abandons what the one before asked for.
        died_at = await turn_killed_at(stage, key, at, before=before, from_seq=-1)
        outcome = await stage.turn(key)
        assert outcome.decision is Decision.GO_ON
        assert rehearsal.report()["repeats"] == (1 if died_at == "llm.response" and before else 0), died_at
        events = stage.store.read(ROOT)
        assert answered_once(events), died_at
        assert sum(event.type == "turn.end" for event in events) == 1
        assert sum(isinstance(answer.result, Spawn) for answer in bodies(events, ToolResult)) == 2
        expected = expected or outcome
        assert [s.key for s in outcome.spawned] == [s.key for s in expected.spawned]
        assert outcome.recovered == ()
        assert outcome.own.tokens > paid
        paid = outcome.own.tokens
        rehearsal.stop()
        if died_at is None:
            assert number > (15 if whole else 7)
            return
    pytest.fail("the turn has more events than the test cuts")


async def test_a_reset_that_decides_the_same_finds_the_same_children(stage: Stage) -> None:
    stage.serve(root=PLAN)
    first = await stage.turn("k1")
    again = await stage.turn("k2")
    assert [s.key for s in again.spawned] == [s.key for s in first.spawned]
    assert again.recovered == ()
    assert again.own.tokens > 2 * first.own.tokens


async def test_what_is_still_out_after_a_reset_is_not_asked_for_twice_in_a_turn_of_another_number(
    stage: Stage,
) -> None:
    stage.serve(root=PLAN)
    first = await stage.turn("k1")
    again = await stage.turn("k2", turn=2)
    assert again.spawned == ()
    assert again.recovered == first.spawned
    answers = " ".join(stage.texts(ROOT, "tool.result"))
    assert answers.count('"already_out": true') == len(first.spawned)
    assert all(f'"id": "{child.key}"' in answers for child in first.spawned[:2])


async def test_every_child_of_a_turn_has_a_place_of_its_own_also_beside_what_is_still_out(stage: Stage) -> None:
    stage.serve(root=[step(use("spawn_tasks", tasks=TASKS)), step(use("wait"))])
    await stage.turn("k1")
    more = [[*TASKS, {"title": "Three", "intent": "x"}], [{"title": "Four", "intent": "x"}]]
    stage.serve(root=[step(*(use("spawn_tasks", tasks=tasks) for tasks in more), use("wait"))])
    again = await stage.turn("k2", turn=2)
    assert [s.title for s in again.spawned] == ["Three", "Four"]
    assert [s.key.partition("-")[0] for s in again.spawned] == ["2.0", "2.1"]
    assert [s.item for s in again.spawned] == [0, 0]


async def test_a_reset_that_decides_otherwise_takes_over_what_is_out(stage: Stage) -> None:
    stage.serve(root=PLAN)
    first = await stage.turn("k1")
    stage.serve(root=[step(use("cancel", ids=[first.spawned[0].key])), step(use("wait"))])
    again = await stage.turn("k2")
    assert again.spawned == ()
    assert again.recovered == first.spawned
    assert again.cancelled == (first.spawned[0].key,)
    assert f"{first.spawned[1].key} (Write two)" in stage.texts(ROOT, "message")[0]
    third = await stage.turn("k3", again.seq, turn=2, inbox=(stage.handed_off(first.spawned[0].key),))
    assert third.recovered == ()
    assert "Still out (3)" in stage.texts(ROOT, "message")[1]


async def test_a_reset_of_a_reset_still_takes_over_everything(stage: Stage) -> None:
    stage.serve(root=PLAN)
    first = await stage.turn("k1")
    stage.serve(root=[step(use("spawn_tasks", tasks=[{"title": "Write three", "intent": "It is missing."}]))])
    second = await stage.turn("k2")
    stage.serve(root=[step(use("wait"))])
    third = await stage.turn("k3")
    assert {s.key for s in third.recovered} == {s.key for s in first.spawned + second.spawned}
    fourth = await stage.turn("k4", first.seq, turn=2)
    assert {s.key for s in fourth.recovered} == {s.key for s in second.spawned}


def answered_once(events: list[AnyEvent]) -> bool:
    """Whether every call of the line has exactly one answer."""
    calls = [call.id for reply in bodies(events, LlmResponse) for call in reply.calls]
    answers = [answer.call_id for answer in bodies(events, ToolResult)]
    return calls == answers
