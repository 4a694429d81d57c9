"""Whichever call of a git fails: its words are known for a shortage of the machine, also where they give no reason."""

import mmap
import shutil
import subprocess
from pathlib import Path

import pytest

from headway.git.repo import GitError, Repo
from headway.system.shortage import WAIT_S
from tests.faults.control import SIZE, Control, build, prepare

COMMANDS = (
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
    repo = Repo(folder / "hub").at(folder / "files", folder / "index")
    (folder / "files" / "x.txt").write_text("1\n")
    repo.run("update-index", "--add", "x.txt")
    tree = repo.run("write-tree").text.strip()
    commit = repo.run("-c", "user.name=A", "-c", "user.email=a@b.c", "commit-tree", "-m", "x", tree).text.strip()
    repo.run("update-ref", "refs/heads/z", commit)
    (folder / "files" / "x.txt").write_text("22\n")
    return {"tree": tree, "commit": commit}


def _unknown(command: tuple[str, ...], ground: Path, folder: Path, control: Control) -> list[str]:
    """The answers of a command that are no shortage, while each of its calls fails in turn."""
    found, number = [], 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ground, folder)
        control.by_number(number, 0)
        try:
            Repo(folder / "hub").at(folder / "files", folder / "index").run(*command, stdin=b"y" * 9_000)
        except GitError as error:
            failed = control.end()["failed"]
            found += [f"{failed}: {error}"] if error.delay_s != WAIT_S else []
        else:
            if not control.end()["failed"]:
                assert number > 0, f"{command} makes no call that fails"
                return found
        number += 1


@pytest.mark.parametrize("commands", [COMMANDS, pytest.param(LONG, marks=pytest.mark.long)], ids=["most", "packing"])
def test_a_call_that_fails_is_told_as_a_shortage(
    commands: tuple[tuple[str, ...], ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = _ground(tmp_path / "ground")
    (tmp_path / "faults").mkdir()
    env = prepare(tmp_path / "faults", build(tmp_path), tmp_path / "state")
    monkeypatch.setenv("PATH", env["PATH"])
    with Path(env["FAULT_CONTROL"]).open("r+b") as file:
        control = Control(mmap.mmap(file.fileno(), SIZE))
    unknown = []
    for command in commands:
        words = tuple(word.format(**names) for word in command)
        unknown += _unknown(words, tmp_path / "ground", tmp_path / "state", control)
    assert unknown == []
