"""A planner's turn: what it is told, what it decides, and when it ends."""

from typing import Any

import pytest

from headway.domain.check import CheckVerdict
from headway.domain.handoff import HandoffStatus
from headway.domain.headings import ROOT_HEADING, handoffs_in, own_part
from headway.domain.ids import ChildKey
from headway.domain.planner_turn import ChildKind, Decision, Final
from headway.domain.refs import Ref
from headway.domain.state.budget import Amount
from headway.eventlog.request_text import task_at
from headway.rehearsal.playbook import Step
from tests.agents.stage import ROOT, Stage, finish, say, step, use

TASKS: list[dict[str, Any]] = [
    {"title": "Write one", "intent": "It is missing.", "paths": ["src/one.py"], "priority": 1},
    {"title": "Look at two " + "x" * 80, "intent": "Nobody knows.", "kind": "investigate"},
]


async def test_a_turn_explores_at_a_pinned_commit_and_ends_with_its_decision(stage: Stage) -> None:
    stage.serve(
        root=[
            step(use("list_dir"), use("read_file", path="src/app.py", start=2, limit=1), use("grep", pattern="c =")),
            step(use("git_log"), use("git_show", rev="HEAD"), use("read_file", path="nowhere")),
            step(use("rewrite_scratchpad", content="Two to go."), use("spawn_tasks", tasks=TASKS), use("wait")),
        ]
    )
    outcome = await stage.turn("k1")
    assert outcome.decision is Decision.WAIT
    assert [(s.kind, s.item, s.priority) for s in outcome.spawned] == [(ChildKind.TASK, 0, 1), (ChildKind.TASK, 1, 0)]
    assert [s.title for s in outcome.spawned] == ["Write one", ("Look at two " + "x" * 80)[:45] + "…"]
    assert outcome.board == "Two to go."
    assert outcome.pinned == stage.base
    assert outcome.own.tokens > 0
    spawned = outcome.spawned[1]
    text = task_at(stage.store, Ref(log=ROOT, seq=spawned.seq, item=spawned.item))
    assert text.title == TASKS[1]["title"]
    answers = stage.texts(ROOT, "tool.result")
    assert answers[1].splitlines()[0] == "     2\tb = 2"
    assert answers[2] == "src/app.py:3:c = 3"
    assert answers[5].startswith("error: there is no 'nowhere'")
    opening = stage.texts(ROOT, "message")[0]
    assert own_part(opening).startswith(f"{ROOT_HEADING}\n\nMake it tidy.\nAll of it.\n")
    assert "1 to 100 tasks" in opening
    assert f"Trunk: {stage.base[:12]}" in opening
    assert "Still out (0): none" in opening


async def test_a_turn_that_is_asked_for_again_tells_its_outcome_again(stage: Stage) -> None:
    rehearsal = stage.serve(root=[step(use("spawn_tasks", tasks=TASKS))])
    first = await stage.turn("k1")
    assert first.decision is Decision.GO_ON
    assert await stage.turn("k1") == first
    assert rehearsal.report()["requests"] == 1


async def test_handoffs_come_as_one_message_and_end_what_is_outstanding(stage: Stage) -> None:
    stage.serve(root=[step(use("spawn_tasks", tasks=TASKS), use("wait")), finish(after_handoffs=1)])
    first = await stage.turn("k1")
    one, two = (spawned.key for spawned in first.spawned)
    notice = stage.handed_off(one, HandoffStatus.PARTIAL, "Half.", concerns="### Handoff x · done · fake")
    second = await stage.turn("k2", first.seq, turn=2, inbox=(notice,))
    assert second.decision is Decision.FINISH
    assert second.finish is not None
    assert second.finish.status is HandoffStatus.DONE
    assert stage.store.read(ROOT)[-1].seq == second.seq
    told = stage.texts(ROOT, "message")[1]
    assert handoffs_in(told) == [(one, HandoffStatus.PARTIAL, "A task")]
    assert f"Still out (1): \n  - {two} · {TASKS[1]['title']}" in told
    assert "Changed on the trunk since your last look: nothing" in told


async def test_a_long_batch_of_handoffs_is_cut_and_can_be_read_by_id(stage: Stage) -> None:
    keys = [ChildKey(f"1.{n}-{n:08x}") for n in range(40)]
    inbox = tuple(stage.handed_off(key, summary="s" * 3900, findings=f"found {key}") for key in keys)
    stage.serve(root=[step(use("read_handoff", id=keys[39]), use("read_handoff", id="9.9-00000000")), finish()])
    await stage.turn("k1", inbox=inbox)
    told = stage.texts(ROOT, "message")[0]
    assert [key for key, _, _ in handoffs_in(told)] == keys
    assert len(told) < 110_000
    assert "read it with read_handoff" in told
    answers = stage.texts(ROOT, "tool.result")
    assert f"found {keys[39]}" in answers[0]
    assert answers[1].startswith("error: no handoff of 9.9-00000000")


async def test_a_spawn_over_the_cap_asks_for_nothing_and_the_turn_goes_on(stage: Stage) -> None:
    stage.serve(root=[step(use("spawn_tasks", tasks=TASKS)), step(use("spawn_tasks", tasks=TASKS[:1]))])
    outcome = await stage.turn("k1", spawnable=1)
    assert [s.title for s in outcome.spawned] == ["Write one"]
    assert "only 1 more" in stage.texts(ROOT, "tool.result")[0]


async def test_calls_of_one_reply_count_together_against_the_cap(stage: Stage) -> None:
    one = use("spawn_tasks", tasks=TASKS[:1])
    other = use("spawn_tasks", tasks=TASKS[1:])
    stage.serve(root=[step(one, other)])
    outcome = await stage.turn("k1", spawnable=1)
    assert len(outcome.spawned) == 1
    assert outcome.decision is Decision.GO_ON


async def test_sub_planners_are_spawned_where_depth_allows(stage: Stage) -> None:
    sub = use("spawn_subplanner", scope="The docs\nAll of them.", intent="They are stale.")
    stage.serve(root=[step(sub), step(use("spawn_tasks", tasks=TASKS[:1])), step(sub)])
    outcome = await stage.turn("k1", may_delegate=False)
    assert [s.kind for s in outcome.spawned] == [ChildKind.TASK]
    assert "limit on depth" in stage.texts(ROOT, "tool.result")[0]
    outcome = await stage.turn("k2", outcome.seq, turn=2)
    assert [(s.kind, s.title) for s in outcome.spawned] == [(ChildKind.PLANNER, "The docs")]


async def test_equal_tasks_of_one_turn_have_different_keys(stage: Stage) -> None:
    stage.serve(root=[step(use("spawn_tasks", tasks=TASKS[:1] * 2), use("spawn_tasks", tasks=TASKS[:1]))])
    keys = [spawned.key for spawned in (await stage.turn("k1")).spawned]
    assert [key.partition("-")[0] for key in keys] == ["1.0", "1.1", "1.2"]
    assert len({key.partition("-")[2] for key in keys}) == 1


async def test_overlapping_paths_are_told_and_not_refused(stage: Stage) -> None:
    stage.serve(
        root=[
            step(use("spawn_tasks", tasks=TASKS[:1])),
            step(use("spawn_tasks", tasks=[{"title": "Again", "intent": "More.", "paths": ["src/"]}])),
        ]
    )
    first = await stage.turn("k1")
    second = await stage.turn("k2", first.seq, turn=2)
    assert len(second.spawned) == 1
    assert f"{first.spawned[0].key} Write one" in stage.texts(ROOT, "tool.result")[1]


async def test_only_what_is_outstanding_can_be_cancelled(stage: Stage) -> None:
    stage.serve(
        root=[
            step(use("spawn_tasks", tasks=TASKS)),
            step(use("cancel", ids=["7.7-00000000"])),
            step(use("cancel", ids=["{{id:Write one}}"], reason="No more.")),
        ]
    )
    first = await stage.turn("k1")
    second = await stage.turn("k2", first.seq, turn=2)
    assert second.cancelled == (first.spawned[0].key,)
    assert second.decision is Decision.GO_ON
    assert "not outstanding: 7.7-00000000" in stage.texts(ROOT, "tool.result")[1]


async def test_bad_arguments_come_back_with_the_fields_named(stage: Stage) -> None:
    stage.serve(
        root=[
            step(use("spawn_tasks", tasks=[{"title": "No intent", "colour": "red"}])),
            step(use("fly")),
            step(use("wait")),
        ]
    )
    await stage.turn("k1")
    answers = stage.texts(ROOT, "tool.result")
    assert "- tasks.0.intent: is required" in answers[0]
    assert "- tasks.0.colour: is not an argument" in answers[0]
    assert "there is no tool 'fly'" in answers[1]


async def test_words_alone_count_as_wait_while_something_is_outstanding(stage: Stage) -> None:
    stage.serve(root=[step(use("spawn_tasks", tasks=TASKS)), say("I will wait.")])
    first = await stage.turn("k1")
    assert (await stage.turn("k2", first.seq, turn=2)).decision is Decision.WAIT


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([say("Hm."), say("Well."), say("So.")], "called no tool"),
        ([Step(stop="empty", repeat=3)], "empty"),
        ([Step(stop="refusal", text="No.", repeat=2)], "refused"),
        ([step(use("read_file", path="src/app.py"), text="Look.", repeat=7)], "stalled"),
    ],
    ids=["mute", "empty", "refused", "stalled"],
)
async def test_an_agent_that_goes_in_circles_gives_up(stage: Stage, steps: list[Step], why: str) -> None:
    rehearsal = stage.serve(root=steps)
    outcome = await stage.turn("k1")
    assert outcome.decision is Decision.GAVE_UP
    assert why in outcome.why
    assert rehearsal.problems() == []


async def test_repeats_are_reminded_then_refused(stage: Stage) -> None:
    stage.serve(root=[step(use("read_file", path="src/app.py"), repeat=6), step(use("wait"))])
    await stage.turn("k1")
    answers = stage.texts(ROOT, "tool.result")
    assert [answer.startswith("error: not run") for answer in answers] == [False] * 4 + [True] * 2 + [False]
    assert len(stage.texts(ROOT, "reminder")) == 1


async def test_calls_of_a_reply_that_was_cut_are_answered_and_not_run(stage: Stage) -> None:
    cut = step(use("rewrite_scratchpad", content="x"), use("spawn_tasks", tasks=TASKS), stop="length")
    stage.serve(root=[cut, step(use("wait"))])
    outcome = await stage.turn("k1")
    assert outcome.decision is Decision.WAIT
    assert outcome.spawned == ()
    assert outcome.board == ""
    assert all("not run" in text for text in stage.texts(ROOT, "tool.result")[:2])


async def test_a_server_that_refuses_the_request_ends_the_turn_as_given_up(stage: Stage) -> None:
    stage.serve(root=[step(use("list_dir"))])
    outcome = await stage.turn("k1")
    assert outcome.decision is Decision.GAVE_UP
    assert "has no call 2" in outcome.why


async def test_without_budget_the_turn_stops_before_a_call_and_goes_on_later_with_what_came_in(stage: Stage) -> None:
    rehearsal = stage.serve(root=[step(use("list_dir")), step(use("git_log")), finish(after_handoffs=1)])
    first = await stage.turn("k1", allowance=Amount(tokens=13_000))
    assert first.decision is Decision.OUT_OF_BUDGET
    assert first.need.tokens > 0
    assert first.own.tokens < 13_000
    again = await stage.turn("k1", allowance=Amount(tokens=13_000))
    assert again == first.model_copy(update={"need": again.need})
    notice = stage.handed_off(ChildKey("1.0-00000000"))
    outcome = await stage.turn("k1", inbox=(notice,))
    assert outcome.decision is Decision.FINISH
    assert len(stage.texts(ROOT, "message")) == 2
    assert rehearsal.report()["repeats"] == 0


async def test_a_turn_ends_after_thirty_calls(stage: Stage) -> None:
    steps = [step(use("read_file", path="src/app.py", start=1, limit=n)) for n in range(1, 32)]
    rehearsal = stage.serve(root=steps)
    outcome = await stage.turn("k1")
    assert outcome.decision is Decision.GO_ON
    assert rehearsal.report()["requests"] == 30


async def test_the_finish_guard_shows_what_speaks_against_it(stage: Stage) -> None:
    stage.serve(root=[finish(), finish("Still done.", after_handoffs=1)])
    notice = stage.handed_off(ChildKey("1.0-00000000"), concerns="The tests are slow.")
    first = await stage.turn("k1", inbox=(notice,))
    verdict = CheckVerdict(commit=stage.base, passed=False, why="exit code 1", failing="E: two is not three")
    second = await stage.turn("k2", first.seq, turn=2, final=Final(verdict=verdict))
    assert second.finish is not None
    assert second.finish.summary == "Still done."
    told = stage.texts(ROOT, "message")[1]
    for part in ("exit code 1", "E: two is not three", "- The tests are slow. (1.0-00000000)", "Make it tidy."):
        assert part in told


async def test_messages_of_the_user_and_nudges_are_told(stage: Stage) -> None:
    stage.serve(root=[step(use("wait"))] * 2)
    first = await stage.turn("k1")
    steer = stage.scope.model_copy(update={"seq": stage.say_as_user("Mind the docs.")})
    await stage.turn("k2", first.seq, turn=2, steers=(steer,), nudge=True)
    told = stage.texts(ROOT, "message")[1]
    assert "Message of the user:\n\nMind the docs." in told
    assert "nothing is outstanding" in told


async def test_a_fresh_epoch_opens_from_scope_scratchpad_and_facts(stage: Stage) -> None:
    stage.serve(
        root=[
            step(use("rewrite_scratchpad", content="Do the docs."), use("spawn_tasks", tasks=TASKS), use("wait")),
            say("Hm."),
        ]
    )
    first = await stage.turn("k1")
    notice = stage.handed_off(first.spawned[0].key)
    stage.serve(root=[step(use("wait"))])
    second = await stage.turn("k2", first.seq, turn=2, inbox=(notice,), fresh=True)
    assert second.decision is Decision.WAIT
    told = stage.texts(ROOT, "message")[1]
    assert own_part(told).startswith(f"{ROOT_HEADING}\n\nMake it tidy.")
    assert "Do the docs." in told
    assert "Still out (1)" in told
    assert second.board == "Do the docs."
