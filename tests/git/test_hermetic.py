"""No configuration of an agent, a user or a machine runs anything in the harness's own git, or changes what it does."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from headway.git import git_process
from headway.git.git_environment import user_environment
from headway.git.git_process import GitError, run_git
from headway.git.landing.landing import Landed, LandingRefused
from headway.git.repo import Repo
from headway.git.workspace import rules_files
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace_backend import WorkspaceBackend
from tests.git.ground import RUNGS, Ground, allowed, git, make_repository, own_mb, write
from tests.support.processes import gone


def _trap(folder: Path) -> tuple[Path, Path]:
    """A command that leaves a trace when anybody runs it."""
    sprung = folder / "sprung"
    trap = folder / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {sprung}\ncat\n')
    trap.chmod(0o755)
    return trap, sprung


def _arm(git_dir: Path, trap: Path) -> None:
    for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "diff.external"):
        git(git_dir, "config", key, str(trap))
    git(git_dir, "config", "merge.evil.driver", f"{trap} %A")
    git(git_dir, "config", "core.hooksPath", str(trap.parent / "hooks"))


def _hooks(folder: Path, trap: Path) -> None:
    (folder / "hooks").mkdir()
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        (folder / "hooks" / name).symlink_to(trap)


@pytest.mark.parametrize("where", ["agent", "user"])
def test_nothing_that_is_configured_elsewhere_runs(ground: Ground, tmp_path: Path, where: str) -> None:
    trap, sprung = _trap(tmp_path)
    _hooks(tmp_path, trap)
    workspace = ground.open()
    if where == "agent":
        _arm(workspace.path / ".git", trap)
    else:
        for key in ("core.fsmonitor", "filter.evil.clean", "filter.evil.smudge", "diff.external"):
            git(tmp_path, "config", "--global", key, str(trap))
        git(tmp_path, "config", "--global", "core.hooksPath", str(tmp_path / "hooks"))
    write(workspace.path, {".gitattributes": "* filter=evil diff=evil merge=evil\n", "src/app.py": "first\n"})
    assert workspace.changes().modified == ("src/app.py",)
    assert snapshot(ground.hub, workspace, workspace.task, allowed) is not None
    assert isinstance(ground.land(workspace), LandingRefused)
    write(workspace.path, {".gitattributes": "* diff=evil merge=evil\n"})
    assert isinstance(ground.land(workspace), Landed)
    rival, again = ground.open(1), ground.open(2)
    write(rival.path, {"src/app.py": "second\n", "more.txt": "x\n"})
    write(again.path, {"src/app.py": "third\n"})
    ground.land(rival)
    ground.land(again)
    ground.hub.show("HEAD")
    assert not sprung.exists()


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_no_git_runs_inside_a_submodule_of_the_agent(tmp_path: Path, rung: WorkspaceBackend) -> None:
    trap, sprung = _trap(tmp_path)
    inner = make_repository(tmp_path / "inner", {"x": "x\n"})
    source = make_repository(tmp_path / "source", {"y": "y\n", "old.txt": "a\r\nb\r\n"})
    write(source, {".gitattributes": "*.txt text\n"})
    git(source, "add", ".gitattributes")
    git(source, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "vendor/inner")
    git(source, "commit", "--quiet", "--message=With a submodule")
    ground = Ground.prepare(tmp_path / "state", source, rung)
    rival, workspace = ground.open(1), ground.open()
    git(workspace.path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init")
    populated = workspace.path / "vendor/inner"
    git(populated, "config", "core.fsmonitor", str(trap))
    git(populated, "config", "filter.evil.clean", str(trap))
    # Of the size of before, so that git has to read it, through the filter.
    write(populated, {".gitattributes": "* filter=evil\n", "x": "y\n"})
    write(workspace.path, {"z": "z\n"})
    assert workspace.changes().paths == ("z",)
    assert isinstance(ground.land(workspace), Landed)
    # Settings of the agent ask every git to look into the submodule, also where it writes files of another form anew.
    asks = (workspace.path / ".gitmodules").read_text() + "\tignore = none\n"
    write(workspace.path, {".gitmodules": asks})
    os.utime(workspace.path / "old.txt")
    write(rival.path, {"old.txt": "a\nb\n"})
    assert isinstance(ground.land(rival), Landed)
    assert isinstance(ground.land(workspace), Landed)
    assert (workspace.path / "old.txt").read_bytes() == b"a\nb\n"
    assert snapshot(ground.hub, workspace, workspace.task, allowed) is None
    assert not sprung.exists()


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
@pytest.mark.parametrize("name", [".gitignore", ".gitattributes", "new/deep/.gitignore", "src/.gitattributes"])
def test_a_pipe_where_git_reads_its_rules_holds_nobody_up(
    ground: Ground, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_files, "QUICK_S", 3.0)
    workspace = ground.open()
    write(workspace.path, {"new/deep/file.txt": "mine\n", "src/app.py": "changed\n"})
    trap = workspace.path / name
    trap.unlink(missing_ok=True)
    os.mkfifo(trap)
    assert {"new/deep/file.txt", "src/app.py"} <= set(workspace.changes().paths)
    assert isinstance(ground.land(workspace), Landed)


def _of_holes(file: BinaryIO) -> None:
    file.truncate(90 << 20)


def _of_many_rules(file: BinaryIO) -> None:
    file.write(b"a b\n" * (4 << 20))


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
@pytest.mark.parametrize(
    ("name", "fill"),
    [(".gitignore", _of_holes), ("new/deep/.gitignore", _of_many_rules), ("new/.gitattributes", _of_many_rules)],
)
def test_rules_of_absurd_length_get_another_name_and_take_no_memory(
    ground: Ground, name: str, fill: Callable[[BinaryIO], None], peaks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_files, "FIRST_MB", 16)
    monkeypatch.setattr(git_process, "_THREADS", 0)
    workspace = ground.open()
    write(workspace.path, {"new/deep/file.txt": "mine\n", "src/app.py": "changed\n"})
    with (workspace.path / name).open("wb") as file:
        fill(file)
        size = file.tell()
    changes = workspace.changes()
    other = f"{name}.too-large"
    assert {"new/deep/file.txt", "src/app.py", other} <= set(changes.paths)
    assert max(peaks) < own_mb() + 110
    assert (workspace.path / other).stat().st_size >= size
    refused = ground.land(workspace, accept_doubtful=True)
    assert isinstance(refused, LandingRefused)
    assert (refused.paths, refused.doubtful) == ((other,), False)
    (workspace.path / other).unlink()
    assert isinstance(ground.land(workspace), Landed)


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_many_long_rules_that_git_holds_together_are_met_as_well(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules_files, "WORK_TREE_MB", 64)
    monkeypatch.setattr(git_process, "_THREADS", 0)
    workspace = ground.open()
    folders = [Path(*["d"] * depth) for depth in range(1, 41)]
    for folder in folders:
        (workspace.path / folder).mkdir()
        (workspace.path / folder / ".gitignore").write_bytes(b"a b\n" * 50_000)
    (workspace.path / folders[-1] / "file.txt").write_text("mine\n")
    assert str(folders[-1] / "file.txt") in workspace.changes().added
    assert (workspace.path / "d/.gitignore.too-large").exists()


def test_long_rules_do_not_land(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new/.gitignore": "# nothing\n" * 100_001, "a.txt": "a\n"})
    refused = ground.land(workspace, accept_doubtful=True)
    assert isinstance(refused, LandingRefused)
    assert refused.paths == ("new/.gitignore",)
    assert isinstance(ground.land(workspace, paths=("a.txt",)), Landed)


def test_settings_of_the_user_change_nothing(ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "core.autocrlf": "true",
        "core.excludesFile": str(tmp_path / "exclude"),
        "core.quotePath": "true",
        "commit.gpgSign": "true",
        "diff.noprefix": "true",
        "status.short": "true",
        "log.date": "relative",
        "init.defaultBranch": "elsewhere",
        "merge.conflictStyle": "merge",
    }
    (tmp_path / "exclude").write_text("*.txt\n")
    for key, value in settings.items():
        git(tmp_path, "config", "--global", key, value)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    workspace = ground.open()
    write(workspace.path, {"new.txt": "one\r\ntwo\r\n"})
    assert isinstance(ground.land(workspace), Landed)
    assert ground.on_trunk("new.txt") == b"one\r\ntwo\r\n"


def test_a_failure_says_what_git_said(ground: Ground) -> None:
    with pytest.raises(GitError, match=r"git cat-file failed \(128\): fatal"):
        ground.hub.repo.run("cat-file", "blob", "no-such-object")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    sleeper = tmp_path / "git-nap"
    sleeper.write_text(f"#!/bin/sh\nsleep 60 &\necho $! > {tmp_path}/pid\nwait\n")
    sleeper.chmod(0o755)
    env = user_environment() | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with pytest.raises(GitError, match="no answer within 1 s"):
        run_git(["nap"], env=env, timeout_s=1)
    left = int((tmp_path / "pid").read_text())
    assert gone(left), "what it started lives on"


def test_a_repository_is_named_and_never_searched_for(tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "repo", {"x": "x\n"}) / "inside"
    inner.mkdir()
    with pytest.raises(GitError, match="not a git repository"):
        Repo(inner).run("rev-parse", "HEAD")
