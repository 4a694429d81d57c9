"""Whichever call of a git fails: its words are known for a shortage of the machine, also where they give no reason."""

import mmap
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from headway.domain.ids import Oid
from headway.git.git_process import GitError
from headway.git.repo import Repo
from headway.git.workspace.scan import refresh
from headway.system.shortage import WAIT_S
from tests.faults.control import SIZE, Control, build, prepare

COMMANDS = (
    ("-c", "user.name=A", "-c", "user.email=a@b.c", "commit-tree", "{tree}"),
    ("merge-tree", "--write-tree", "{one}", "{two}"),
    ("hash-object", "-w", "--stdin"),
    ("read-tree", "--reset", "-u", "{tree}"),
    ("update-index", "--add", "x.txt"),
    ("write-tree",),
    ("checkout-index", "-f", "-a"),
    ("update-ref", "refs/heads/new/x", "{commit}"),
    ("update-ref", "-d", "refs/heads/z"),
    ("symbolic-ref", "HEAD", "refs/heads/y"),
    ("config", "x.y", "z"),
    ("pack-refs", "--all"),
)
LONG = (("repack", "-a", "-d", "-q"), ("commit-graph", "write", "--reachable"))


def _ground(folder: Path) -> dict[str, str]:
    """A hub with a commit, files and an index; what stands for its names in commands."""
    (folder / "files").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", "--bare", str(folder / "hub")], check=True)
    repo = _repo(folder)

    def tree_with(*lines: int) -> Oid:
        (folder / "files" / "x.txt").write_text("".join(f"{line}\n" for line in lines))
        repo.run("update-index", "--add", "x.txt")
        return repo.run("write-tree").oid

    tree = tree_with(*range(9))
    commit = repo.commit(tree, (), "x", "A <a@b.c>")
    one, two = (repo.commit(tree_with(*lines), (commit,), "x", "A <a@b.c>") for lines in ((7, *range(9)), range(8)))
    repo.run("update-ref", "refs/heads/z", commit)
    (folder / "files" / "x.txt").write_text("22\n")
    return {"tree": tree, "commit": commit, "one": one, "two": two}


def _repo(folder: Path) -> Repo:
    return Repo(folder / "hub").at(folder / "files", folder / "index")


def _run(words: list[str], folder: Path) -> None:
    _repo(folder).run(*words, stdin=b"y" * 9_000)


def _init(folder: Path) -> None:
    shutil.rmtree(folder / "hub")
    (folder / "hub").mkdir()
    Repo(folder / "hub").run("init", "--bare", "--quiet", "--template=")


def _unknown(step: Callable[[Path], object], ground: Path, folder: Path, control: Control) -> list[str]:
    """The answers of a git that are no shortage, while each of its calls fails in turn."""
    found, number = [], 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ground, folder)
        control.by_number(number, 0)
        try:
            step(folder)
        except GitError as error:
            failed = control.end()["failed"]
            if not failed:
                raise
            found += [f"{failed}: {error}"] if error.delay_s != WAIT_S else []
        else:
            if not control.end()["failed"]:
                assert number > 0, f"{step} makes no call that fails"
                return found
        number += 1


@pytest.fixture
def control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Control]:
    """Faults in every git that works below `state`."""
    (tmp_path / "faults").mkdir()
    env = prepare(tmp_path / "faults", build(tmp_path), tmp_path / "state")
    monkeypatch.setenv("PATH", env["PATH"])
    with Path(env["FAULT_CONTROL"]).open("r+b") as file:
        yield Control(mmap.mmap(file.fileno(), SIZE))


@pytest.mark.parametrize("commands", [COMMANDS, pytest.param(LONG, marks=pytest.mark.long)], ids=["most", "packing"])
def test_a_call_that_fails_is_told_as_a_shortage(
    commands: tuple[tuple[str, ...], ...], tmp_path: Path, control: Control
) -> None:
    names = _ground(tmp_path / "ground")
    unknown = []
    for command in commands:
        step = partial(_run, [word.format(**names) for word in command])
        unknown += _unknown(step, tmp_path / "ground", tmp_path / "state", control)
    assert unknown == []


def test_so_is_one_of_a_refresh_and_of_a_new_hub(tmp_path: Path, control: Control) -> None:
    _ground(tmp_path / "ground")
    for step in (lambda folder: refresh(_repo(folder)), _init):
        assert _unknown(step, tmp_path / "ground", tmp_path / "state", control) == []
