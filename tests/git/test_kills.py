"""A process that lands is killed, anywhere: whoever asks again gets the landing, once, and the workspace is whole."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from headway.git import repo
from headway.git.changes import Changes
from headway.git.git_process import run_git
from headway.git.landing.landing import Conflicted, Landed, Submission
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import Workspace
from tests.git.ground import RUNGS, Ground, allowed, git, write

APP = "src/app.py"


def _in_a_process(work: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def _kill_in_front_of(number: int) -> None:
    """Make this process die in front of its `number`-th git command, counted from 0."""
    run = run_git
    left = iter(range(number, -1, -1))

    def counted(*args: object, **more: object) -> object:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return run(*args, **more)  # type: ignore[arg-type]

    repo.run_git = counted  # type: ignore[assignment, attr-defined]


def _begin(ground: Ground, trials: int, *, conflicting: bool = False) -> list[tuple[Workspace, Submission]]:
    """Workspaces with a change to land and one to keep, on a trunk that has moved since."""
    rival, *workspaces = [ground.open(number) for number in range(trials + 1)]
    write(rival.path, {"rival.txt": "rival\n"} | ({APP: "rival\n"} if conflicting else {}))
    ground.land(rival)
    begun = []
    for number, workspace in enumerate(workspaces):
        write(workspace.path, {f"mine/{number}.txt": f"{number}\n", f"kept/{number}.txt": f"kept {number}\n"})
        write(workspace.path, {APP: f"mine {number}\n"} if conflicting else {})
        paths = ("mine", APP) if conflicting else ("mine",)
        begun.append((workspace, ground.ask(workspace, f"Mine {number}", paths=paths)))
    return begun


def _ask_again(ground: Ground, number: int, asked: Submission) -> None:
    """With a newer lease, as the next activity attempt does; the change must have landed once then."""
    again = ground.workspaces.open(asked.task, 1, 2)
    outcome = ground.landing.land(again, asked, allowed)
    assert isinstance(outcome, Landed), outcome
    assert ground.landings() == number + 2
    assert [commit.oid for commit in ground.hub.landed(ground.facts.base)].count(outcome.commit) == 1
    assert again.base == outcome.trunk == ground.hub.tip()
    assert again.changes().paths == (f"kept/{number}.txt",)
    assert (again.path / "rival.txt").exists()
    assert git(again.path, "status", "--porcelain") == "?? kept/"
    assert git(again.path, "rev-parse", "HEAD") == outcome.trunk
    assert ground.landing.land(again, asked, allowed) == outcome


def _killed(pid: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("also_git", [False, True], ids=["only the worker", "and its git"])
def test_a_kill_at_any_moment_lands_exactly_once(ground: Ground, also_git: bool) -> None:
    dice = random.Random(7)
    takes = 0.0
    for number, (workspace, asked) in enumerate(_begin(ground, 11)):
        if also_git:
            snapshot(ground.hub, workspace, workspace.task, allowed)
        started = time.monotonic()
        pid = _in_a_process(lambda w=workspace, a=asked: ground.landing.land(w, a, allowed))  # type: ignore[misc]
        if number == 0:
            os.waitpid(pid, 0)
            takes = time.monotonic() - started
        else:
            time.sleep(dice.uniform(0, takes))
            victims = psutil.Process(pid).children(recursive=True) if also_git else []
            os.kill(pid, signal.SIGKILL)
            for victim in victims:
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
            os.waitpid(pid, 0)
        _ask_again(ground, number, asked)
    ground.check_whole()


def test_a_kill_in_front_of_every_single_git_command_lands_exactly_once(ground: Ground) -> None:
    kills = 0
    for number, (workspace, asked) in enumerate(_begin(ground, 35)):

        def land(workspace: Workspace = workspace, asked: Submission = asked, number: int = number) -> None:
            _kill_in_front_of(number)
            ground.landing.land(workspace, asked, allowed)

        killed = _killed(_in_a_process(land))
        kills += killed
        _ask_again(ground, number, asked)
        if not killed:
            break
    assert 15 < kills < 35
    ground.check_whole()


def test_a_kill_while_a_conflict_is_given_back_leaves_the_conflict(ground: Ground) -> None:
    kills = 0
    for number, (workspace, asked) in enumerate(_begin(ground, 25, conflicting=True)):

        def land(workspace: Workspace = workspace, asked: Submission = asked, number: int = number) -> None:
            # The first commands are those of every landing, which another test goes through.
            _kill_in_front_of(number * 3 + 12)
            ground.landing.land(workspace, asked, allowed)

        killed = _killed(_in_a_process(land))
        kills += killed
        again = ground.workspaces.open(asked.task, 1, 2)
        outcome = ground.landing.land(again, asked, allowed)
        assert isinstance(outcome, Conflicted), outcome
        assert (outcome.paths, outcome.rounds) == ((APP,), 1)
        assert (again.path / APP).read_text().count("<<<<<<< trunk") == 1
        assert again.changes().added == (f"kept/{number}.txt", f"mine/{number}.txt")
        if not killed:
            break
    assert 4 < kills < 25


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_a_kill_while_a_workspace_is_opened_leaves_no_half_one(ground: Ground) -> None:
    number, killed = 0, True
    while killed:

        def make(number: int = number) -> None:
            _kill_in_front_of(number)
            ground.open(number)

        killed = _killed(_in_a_process(make))
        again = ground.open(number, lease=2)
        assert again.changes() == Changes()
        assert git(again.path, "status", "--porcelain") == ""
        number += 1
    assert number > 1


def test_a_kill_while_the_hub_is_prepared_leaves_no_half_one(ground: Ground, source: Path, tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        state = tmp_path / f"state-{number}"

        def make(number: int = number, state: Path = state) -> None:
            _kill_in_front_of(number)
            Ground.prepare(state, source)

        killed = _killed(_in_a_process(make))
        Ground.prepare(state, source).check_whole()
        number += 1
    assert number > 5


def test_a_git_that_outlives_the_kill_of_its_worker_is_waited_for(ground: Ground, tmp_path: Path) -> None:
    """It goes on to write into a workspace that is being made; who comes next must not clear it away under it."""
    tools = tmp_path / "tools"
    tools.mkdir()
    begun, go = tmp_path / "begun", tmp_path / "go"
    slow = f'#!/bin/sh\nif [ "$1" = read-tree ]; then touch {begun}; while [ ! -e {go} ]; do sleep 0.01; done; fi\n'
    (tools / "git").write_text(f'{slow}exec {shutil.which("git")} "$@"\n')
    (tools / "git").chmod(0o755)

    def make() -> None:
        os.environ["PATH"] = f"{tools}:{os.environ['PATH']}"
        ground.open(1)

    pid = _in_a_process(make)
    while not begun.exists():
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    opened: list[Workspace] = []
    again = threading.Thread(target=lambda: opened.append(ground.open(1, lease=2)))
    again.start()
    again.join(0.5)
    assert again.is_alive()
    go.touch()
    again.join(60)
    assert opened[0].changes() == Changes()
