"""What opens a planner's turn: facts, and handoffs that fit into one message, however many come at once."""

import json
from typing import Any

import pytest

from headway.agents.planner.open_task_index import OpenTaskIndex
from headway.agents.planner.planner_messages import HANDOFF_BYTES
from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.headings import handoffs_in
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.domain.planner_turn import HANDOFFS_PER_TURN, Final
from headway.eventlog.verdicts import newest_verdict
from headway.runs.check import Checker
from tests.agents.stage import INCARNATION, ROOT, RUN, Stage, finish, git, step, use
from tests.support.events import handed_off
from tests.support.sandboxes import PlainSandbox

WAIT = step(use("wait"))


async def told(stage: Stage, **order: Any) -> str:
    """What a turn opens with."""
    stage.serve(root=[WAIT])
    await stage.turn("k1", **order)
    return stage.texts(ROOT, "message")[0]


def keys(count: int) -> list[ChildKey]:
    return [ChildKey(f"1.{n}-{n:08x}") for n in range(count)]


def notices(stage: Stage, count: int, summary: str = "Did it.", **report: Any) -> tuple[HandoffNotice, ...]:
    return tuple(stage.handed_off(key, summary=f"{n}: {summary}", **report) for n, key in enumerate(keys(count)))


# Handoffs


async def test_a_hundred_handoffs_at_once_are_one_message_of_bounded_size(stage: Stage) -> None:
    inbox = notices(stage, HANDOFFS_PER_TURN, "ä" * 3_000, concerns="The tests are slow.", notes="Long." * 900)
    text = await told(stage, inbox=inbox)
    assert [key for key, _, _ in handoffs_in(text)] == keys(HANDOFFS_PER_TURN)
    body = text[text.index(f"{HANDOFFS_PER_TURN} handoffs came in.") :]
    assert len(body.encode()) <= HANDOFF_BYTES + 200
    assert body.count("read it with read_handoff") > 50
    assert "0: ä" in body
    assert text.count("The tests are slow.") == 1
    assert "The tests are slow. (reported 100 times: 1.0-00000000," in text


async def test_what_did_not_fit_can_be_read(stage: Stage) -> None:
    last = keys(HANDOFFS_PER_TURN)[-1]
    stage.serve(root=[step(use("read_handoff", id=last)), WAIT])
    await stage.turn("k1", inbox=notices(stage, HANDOFFS_PER_TURN, "x" * 3_000, findings="Three bugs."))
    answer = stage.texts(ROOT, "tool.result")[0]
    assert answer.startswith("A task: done")
    assert "99: xxx" in answer
    assert "Three bugs." in answer


async def test_short_handoffs_are_told_whole(stage: Stage) -> None:
    text = await told(stage, inbox=notices(stage, HANDOFFS_PER_TURN))
    assert "read it with read_handoff" not in text
    assert "\n99: Did it." in text


async def test_a_concern_that_came_before_is_told_with_its_count(stage: Stage) -> None:
    stage.serve(root=[WAIT, WAIT, WAIT])
    one, two, other = keys(3)
    first = await stage.turn("k1", inbox=(stage.handed_off(one, concerns="- Slow: 3 s\n- No docs."),))
    late = (stage.handed_off(two, concerns="slow: 9 s"), stage.handed_off(other, concerns="Odd names."))
    second = await stage.turn("k2", first.seq, turn=2, inbox=late)
    text = stage.texts(ROOT, "message")[1]
    assert f"Slow: 3 s (reported 2 times: {one}, {two})" in text
    assert "Concerns: Odd names." in text
    assert "No docs." not in text
    await stage.turn("k3", second.seq, turn=3)
    facts = stage.texts(ROOT, "message")[2]
    assert f"- Concerns that more than one handoff reports: \n  - Slow: 3 s (reported 2 times: {one}, {two})" in facts


# Facts


def checker(stage: Stage) -> Checker:
    return Checker(stage.store, lambda _: stage.hub, lambda _: stage.places, PlainSandbox(), lambda: 1_000.0)


async def checked(stage: Stage) -> CheckVerdict:
    order = RunCheck(run=RUN, incarnation=INCARNATION, spec=stage.context.spec, asked_by=ROOT)
    return await checker(stage).check(order, stage.beats.append)


@pytest.mark.parametrize(
    ("check", "says"),
    [
        ("true", "The user's check: passed at {base}, "),
        ("echo 'E: two is not three'; false", "The user's check: red (exit code 1) at {base}, "),
    ],
)
async def test_the_newest_verdict_on_the_trunk_is_told_in_every_turn(stage: Stage, check: str, says: str) -> None:
    stage.more["check"] = check
    verdict = await checked(stage)
    assert newest_verdict(stage.store, RUN) == verdict
    text = await told(stage)
    assert says.format(base=stage.base[:12]) in text
    assert ("E: two is not three" in text) == (not verdict.passed)
    assert "the trunk has moved since" not in text


async def test_a_verdict_on_an_older_trunk_says_so(stage: Stage) -> None:
    stage.more["check"] = "true"
    await checked(stage)
    stage.serve(
        root=[WAIT],
        tasks={
            "Write a file": [step(use("write_file", path="a", content="a")), step(use("land", message="A")), finish()]
        },
    )
    await stage.done(stage.task())
    await stage.turn("k1")
    assert "ago; the trunk has moved since" in stage.texts(ROOT, "message")[0]


async def test_a_verdict_on_what_is_not_on_the_trunk_is_nobodys_news(stage: Stage) -> None:
    stage.more["check"] = "true"
    git(stage.source, "commit", "--quiet", "--allow-empty", "--message=Elsewhere")
    git(stage.hub.folder, "fetch", "--quiet", str(stage.source), "main")
    commit = git(stage.source, "rev-parse", "HEAD")
    order = RunCheck(run=RUN, incarnation=INCARNATION, spec=stage.context.spec, asked_by=ROOT, commit=commit)
    assert (await checker(stage).check(order, stage.beats.append)).passed
    assert newest_verdict(stage.store, RUN) is None


async def test_without_a_verdict_it_is_said_why(stage: Stage) -> None:
    assert "The user's check: none was given" in await told(stage)


async def test_a_check_that_has_not_run_is_told(stage: Stage) -> None:
    stage.more["check"] = "true"
    assert "The user's check: not run yet" in await told(stage)


async def test_many_changes_are_named_by_folder_and_those_near_first(stage: Stage) -> None:
    tasks = [{"title": "One", "intent": "It is missing.", "paths": ["zoo"]}]
    stage.serve(
        root=[step(use("spawn_tasks", tasks=tasks), use("wait")), WAIT],
        tasks={
            "Many": [
                step(use("shell", command="mkdir docs zoo; touch docs/{100..160} zoo/ape")),
                step(use("land", message="Many")),
                finish(),
            ]
        },
    )
    first = await stage.turn("k1")
    await stage.done(stage.task("Many"))
    await stage.turn("k2", first.seq, turn=2)
    text = stage.texts(ROOT, "message")[1]
    assert "Changed on the trunk since your last look: zoo/ape, docs/100, docs/101" in text
    assert "docs/138, 22 more below docs\n" in text


async def test_a_finish_is_shown_everything_once_more(stage: Stage) -> None:
    stage.serve(root=[finish(), finish("Still.", after_handoffs=2)])
    good, bad = keys(2)
    inbox = (stage.handed_off(good), stage.handed_off(bad, HandoffStatus.FAILED, concerns="Odd."))
    first = await stage.turn("k1", inbox=inbox)
    verdict = CheckVerdict(commit=stage.base, passed=False, why="exit code 1", failing="E: no", at=0.0)
    await stage.turn("k2", first.seq, turn=2, final=Final(verdict=verdict))
    text = stage.texts(ROOT, "message")[1]
    for part in (
        "Make it tidy.\nAll of it.",
        f"red (exit code 1) at {stage.base[:12]}",
        "E: no",
        "Handoffs: 1 done, 1 failed",
        f"- {bad} · failed · A task",
        f"- Odd. ({bad})",
        "where is the evidence?",
    ):
        assert part in text


# Overlaps


def answer(stage: Stage) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = json.loads(stage.texts(ROOT, "tool.result")[-2])["asked"]
    return asked


async def test_tasks_on_the_same_paths_are_told_and_not_refused(stage: Stage) -> None:
    stage.serve(
        root=[
            step(
                use(
                    "spawn_tasks",
                    tasks=[
                        {"title": "One", "intent": "x", "paths": ["src"]},
                        {"title": "Two", "intent": "x", "paths": ["src/app.py"]},
                        {"title": "Three", "intent": "x", "paths": ["docs"]},
                    ],
                ),
                use("wait"),
            )
        ]
    )
    outcome = await stage.turn("k1")
    one, two, three = answer(stage)
    assert len(outcome.spawned) == 3
    assert two["open_tasks_on_the_same_paths"] == [f"{one['id']} One"]
    assert one.keys() == three.keys() == {"id", "title"}


async def test_a_task_that_was_asked_for_before_is_told_with_what_became_of_it(stage: Stage) -> None:
    spawn = step(use("spawn_tasks", tasks=[{"title": "Mend the tests", "intent": "x"}]), use("wait"))
    again = step(use("spawn_tasks", tasks=[{"title": "mend  THE tests", "intent": "y"}]), use("wait"))
    stage.serve(root=[spawn, again, again])
    first = await stage.turn("k1")
    key = first.spawned[0].key
    assert "asked_before" not in answer(stage)[0]
    second = await stage.turn("k2", first.seq, turn=2, inbox=(stage.handed_off(key, HandoffStatus.FAILED),))
    assert answer(stage)[0]["asked_before"] == [f"{key} failed"]
    await stage.turn("k3", second.seq, turn=3)
    assert answer(stage)[0]["asked_before"] == [f"{key} failed", f"{second.spawned[0].key} open"]


async def test_open_tasks_of_another_planner_are_told_until_they_hand_off(stage: Stage) -> None:
    other = child_id(ROOT, ChildKey("1.7-00000007"))
    theirs = ChildKey("1.0-000000aa")
    folder = stage.store.run_folder(RUN) / "open"
    path = folder / f"{other.partition('/')[2]}.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([[theirs, "Their task", ["src/app.py"]], [ChildKey("1.1-000000bb"), "Far", ["docs"]]]))
    spawn = step(use("spawn_tasks", tasks=[{"title": "Mine", "intent": "x", "paths": ["src"]}]), use("wait"))
    stage.serve(root=[spawn, spawn])
    first = await stage.turn("k1")
    assert answer(stage)[0]["open_tasks_of_others_on_the_same_paths"] == ["Their task"]
    agent = child_id(other, theirs)
    with stage.store.open(agent, role="worker", task=agent) as log:
        log.append(handed_off(), sync=True)
    await stage.turn("k2", first.seq, turn=2)
    assert "open_tasks_of_others_on_the_same_paths" not in answer(stage)[0]


OTHER = AgentId(f"{RUN}/root-other")


async def test_a_planner_leaves_word_of_its_open_tasks(stage: Stage) -> None:
    task = {"title": "Mine", "intent": "x", "paths": ["src"]}
    stage.serve(root=[step(use("spawn_tasks", tasks=[task]), use("wait")), WAIT])
    first = await stage.turn("k1")
    key = first.spawned[0].key
    there = OpenTaskIndex(stage.store, RUN)
    (found,) = there.now(OTHER).on(["src/app.py"])
    assert (found.agent, found.title, found.paths) == (child_id(ROOT, key), "Mine", ("src",))
    assert there.now(ROOT).on(["src/app.py"]) == []
    assert there.now(OTHER).on(["docs"]) == []
    await stage.turn("k2", first.seq, turn=2, inbox=(stage.handed_off(key),))
    assert there.now(OTHER).on(["src/app.py"]) == []


@pytest.mark.parametrize("text", ["", "{", "[[1]]", '{"a": 1}', '[["x", "t"]]'])
def test_a_damaged_file_costs_a_note_and_nothing_else(stage: Stage, text: str) -> None:
    folder = stage.store.run_folder(RUN) / "open"
    folder.mkdir()
    (folder / "root-other.json").write_text(text)
    assert OpenTaskIndex(stage.store, RUN).now(ROOT).on(["src"]) == []
