"""Generated runs: their tree, what their agents say, and that nobody pays for their number."""

import json
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.handoff import HandoffStatus
from headway.domain.headings import ROOT_HEADING, handoff_heading, scope_heading, task_heading
from headway.domain.ids import ChildKey
from headway.rehearsal.asker import ROOT, Asker
from headway.rehearsal.generator import APPEND, RESOLVE, GeneratedTask, generate, tasks_of
from headway.rehearsal.latency import Lognormal, latency_s
from headway.rehearsal.place import place_of
from headway.rehearsal.playbook_reader import parse_playbook, parse_shape
from headway.rehearsal.reply import Reply, reply_at
from headway.rehearsal.request_ledger import RequestLedger
from headway.rehearsal.request_reader import RequestedConversation, WireMessage
from headway.rehearsal.scripts import Scripts
from headway.rehearsal.shape import Shape

Answering = Callable[[str], str]


class Player:
    """Leads the agents of a playbook through it as the harness would, without one."""

    def __init__(self, shape: Shape, *, conflicts: int = 0) -> None:
        self.scripts = Scripts(generate(shape))
        self.ledger = RequestLedger(self.scripts)
        self.conflicts = conflicts
        self.most_out = 0
        self.spawned: list[str] = []
        self.ends: dict[str, str] = {}

    def ask(self, talk: RequestedConversation) -> Reply:
        place = place_of(self.scripts, talk)
        spot = self.ledger.asked(place.who, place, words_only=False)
        reply = reply_at(self.scripts, place, talk)
        self.ledger.answered(spot, place, scripted=reply.scripted, nonsense=None)
        return reply

    def work(self, title: str) -> None:
        talk, conflicts = RequestedConversation([task_heading(title)]), self.conflicts
        refusals = 0
        while refusals < 2:
            reply = self.ask(talk)
            refusals = refusals + 1 if reply.stop == "refusal" else 0
            talk.turns.append(WireMessage(reply.text))
            for call in reply.calls:
                arguments = json.loads(call.arguments)
                if call.name == "finish":
                    self.ends[title] = arguments["status"]
                    return
                conflicted = call.name == "land" and conflicts > 0
                conflicts -= conflicted
                talk.answered("error: Not landed: others changed the same places" if conflicted else "fine")
        self.ends[title] = "failed"

    def plan(self, scope: str) -> None:
        talk = RequestedConversation([ROOT_HEADING if scope == ROOT else scope_heading(scope)])
        out: list[str] = []
        told = said = 0
        while said < 2:
            reply = self.ask(talk)
            talk.turns.append(WireMessage(reply.text))
            asked_now = 0
            for call in reply.calls:
                new = self._asked(call.name, json.loads(call.arguments))
                asked_now += len(new)
                out += new
                said += call.name == "finish"
                talk.answered("fine")
            assert asked_now <= 100
            self.most_out = max(self.most_out, len(out))
            if any(call.name == "wait" for call in reply.calls):
                assert out, "waits for nothing"
                told += 1
                heading = handoff_heading(ChildKey(f"{told}.0-00000000"), HandoffStatus.DONE, out.pop(0))
                talk.users.append(heading)
        assert not out

    def _asked(self, tool: str, arguments: dict[str, Any]) -> list[str]:
        new: list[str] = []
        match tool:
            case "spawn_tasks":
                new = [task["title"] for task in arguments["tasks"]]
                for title in new:
                    self.work(title)
            case "spawn_subplanner":
                new = [arguments["scope"]]
                self.plan(arguments["scope"])
        self.spawned += new
        return new


shapes = st.builds(
    Shape,
    tasks=st.integers(21, 60),
    levels=st.integers(1, 3),
    subplanners=st.integers(1, 4),
    spread=st.sampled_from(["everywhere", "leaves"]),
    files=st.integers(1, 3),
    hot=st.floats(0, 1),
    hot_files=st.integers(1, 3),
    looks=st.integers(0, 2),
    commands=st.integers(0, 2),
    partial=st.floats(0, 0.3),
    blocked=st.floats(0, 0.3),
    failed=st.floats(0, 0.3),
    chunk=st.integers(1, 100),
    open=st.integers(1, 100),
    seed=st.integers(0, 99),
)


@settings(max_examples=60, deadline=None)
@given(shapes, st.integers(0, 3))
def test_a_run_uses_its_playbook_up_whatever_conflicts(shape: Shape, conflicts: int) -> None:
    player = Player(shape, conflicts=conflicts)
    player.plan(ROOT)
    assert player.ledger.problems() == []
    tasks = tasks_of(shape)
    assert Counter(player.spawned).most_common(1)[0][1] == 1
    assert len(player.spawned) == len(tasks) + shape.planners - 1
    assert player.ends == {task.title: task.ends for task in tasks}
    assert player.most_out <= shape.open


def test_planners_ask_again_as_room_comes() -> None:
    player = Player(Shape(tasks=1000, chunk=50, open=200))
    player.plan(ROOT)
    assert player.ledger.problems() == []
    assert player.most_out == 200


@given(shapes)
def test_shares_are_whole_tasks_and_no_path_has_two_owners(shape: Shape) -> None:
    tasks = tasks_of(shape)
    assert tasks == tasks_of(shape)
    paths = [path for task in tasks for path in task.files]
    assert len(set(paths)) == len(paths) == shape.tasks * shape.files
    assert shape.hot * shape.tasks <= sum(task.hot is not None for task in tasks) + 1e-5
    assert sum(task.ends == "failed" for task in tasks) < shape.failed * shape.tasks + 1
    assert len({task.planner for task in tasks}) <= shape.planners


def test_tasks_lie_with_all_planners_or_with_the_lowest() -> None:
    everywhere = Counter(task.planner for task in tasks_of(Shape(tasks=14, levels=3)))
    assert everywhere == dict.fromkeys(("root", "Area 1", "Area 2", "Area 1.1", "Area 1.2", "Area 2.1", "Area 2.2"), 2)
    leaves = Counter(task.planner for task in tasks_of(Shape(tasks=14, levels=2, subplanners=7, spread="leaves")))
    assert leaves == {f"Area {number}": 2 for number in range(1, 8)}


def test_ten_thousand_tasks_share_their_calls_and_are_found_at_once() -> None:
    shape = Shape(tasks=10_000, levels=3, subplanners=10, hot=0.1, partial=0.1, blocked=0.1, failed=0.1)
    scripts = Scripts(generate(shape))
    assert len({id(step) for script in scripts.playbook.tasks for step in script.calls}) < 60
    askers = [Asker(task.title) for task in tasks_of(shape)]
    started = time.process_time()
    found = [scripts.find(asker) for asker in askers]
    assert time.process_time() - started < 1
    assert len(set(found)) == 10_000


def conflict(folder: Path, base: str | None, ours: str, theirs: str) -> Path:
    """A hot file as a worker finds it after its landing conflicted."""
    for name, text in (("base", base or ""), ("ours", ours), ("theirs", theirs)):
        (folder / name).write_text(text)
    argv = ["git", "merge-file", "-p", "--zdiff3", "ours", "base", "theirs"]
    merged = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert "=======" in merged.stdout
    (folder / "hot.txt").write_text(merged.stdout)
    return folder / "hot.txt"


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [("a\n", "a\nme\n", "a\nthem\n"), (None, "me\n", "them\n"), ("a\nb\n", "a\nb\nx\nme\n", "a\nb\nx\nthem\n")],
)
def test_a_conflict_is_resolved_by_keeping_both_sides(tmp_path: Path, base: str | None, ours: str, theirs: str) -> None:
    file = conflict(tmp_path, base, ours, theirs)
    command = f"{RESOLVE}; {APPEND}".replace("{{hot}}", "hot.txt").replace("{{title}}", "me")
    for _ in range(2):
        subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
        assert sorted(file.read_text().split()) == sorted({*ours.split(), *theirs.split()})


def test_a_file_may_say_what_to_generate() -> None:
    playbook = parse_playbook(
        "{name: big, faults: [{kind: html, share: 0.1}], generate: {tasks: 3, latency_ms: {median: 50}, tokens_in: 9}}"
    )
    assert (playbook.name, len(playbook.tasks), playbook.faults[0].kind) == ("big", 3, "html")
    assert playbook.latency_ms == Lognormal(median=50)
    assert {step.tokens.input for step in playbook.tasks[0].calls} == {9}
    shape = parse_shape("tasks=3,latency_ms={median: 50},tokens_in=9")
    assert generate(shape, name="big", faults=playbook.faults) == playbook
    assert generate(parse_shape("")) == generate(Shape())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{generate: {taks: 3}}", "p: generate: taks: is not a field; did you mean 'tasks'?"),
        ("{generate: {tasks: 3, levels: 3}}", "7 planners have more hands than 3 tasks"),
        ("{generate: {partial: 0.6, failed: 0.6}}", "more than all tasks"),
        ("{generate: {latency_ms: {median: 5, sgma: 1}}}", "latency_ms.Lognormal.sgma: is not a field; did you mean"),
        ("{generate: {}, seed: 3, tasks: []}", "p: seed, tasks: cannot stand beside 'generate'"),
        ("{genrate: {}}", "did you mean 'generate'?"),
    ],
)
def test_what_is_wrong_with_a_shape_is_told(text: str, told: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_playbook(text, "p")
    assert told in str(caught.value)


def test_lognormal_latencies_have_their_median_and_their_bound() -> None:
    spread = Lognormal(median=100, sigma=1, most=800)
    drawn = sorted(latency_s(spread, 1, bytes([n % 256, n // 256])) for n in range(2001))
    assert drawn[1000] == pytest.approx(0.1, rel=0.1)
    assert drawn[-1] == 0.8
    assert drawn[0] > 0


def test_a_generated_task_tells_what_to_expect() -> None:
    first = tasks_of(Shape(tasks=1, hot=1, files=2))[0]
    assert first == GeneratedTask(
        title="Write part 00000",
        planner="root",
        folder="made/0000/00",
        files=("made/0000/00-0.txt", "made/0000/00-1.txt"),
        ends="done",
        hot="made/hot-0.txt",
    )
