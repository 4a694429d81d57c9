"""A base whose files no workspace can hold is refused at the start, because each task would fail for ever."""

import os
import subprocess
from pathlib import Path

import pytest

from headway.domain.errors import UserError
from headway.git.hub import Hub
from tests.git.ground import git, make_repository


def with_path(source: Path, *parts: bytes) -> None:
    """Make the newest commit hold one file there; no git checks the names of a tree that it makes."""
    oid, kind = os.fsencode(git(source, "rev-parse", "HEAD:README.md")), b"100644 blob"
    for part in reversed(parts):
        line = kind + b" " + oid + b"\t" + part + b"\0"
        oid = subprocess.run(
            ["git", "mktree", "-z"], cwd=source, input=line, capture_output=True, check=True
        ).stdout.strip()
        kind = b"040000 tree"
    commit = git(source, "commit-tree", os.fsdecode(oid), "-m", "Odd")
    git(source, "update-ref", "refs/heads/main", commit)


@pytest.mark.parametrize(
    "parts",
    [
        (b".GIT", b"config"),
        (b"src", b".git "),
        (b"git~1",),
        (b"..", b"up"),
        (b"n" * 256,),
        (b"w" * 200,) * 20,
    ],
)
def test_such_a_path_is_named(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    source = make_repository(tmp_path / "source", {"README.md": "hello\n"})
    with_path(source, *parts)
    with pytest.raises(UserError, match=r"^base: "):
        Hub(tmp_path / "hub.git").prepare(str(source), None)
    assert not (tmp_path / "hub.git").exists()


@pytest.mark.parametrize(
    "parts", [(b"n" * 255,), (b"d",) * 60, (b"\xff\xfe",), (b"line\nbreak",), (b".gitx",), (b".g\xe2\x80\x8cit",)]
)
def test_an_odd_path_that_can_be_laid_out_is_no_reason(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    source = make_repository(tmp_path / "source", {"README.md": "hello\n"})
    with_path(source, *parts)
    assert Hub(tmp_path / "hub.git").prepare(str(source), None).base


def test_rules_that_no_git_can_read_are_named(tmp_path: Path) -> None:
    source = make_repository(tmp_path / "source", {"README.md": "hello\n", "src/.gitignore": "x\n" * 100_000})
    assert Hub(tmp_path / "first.git").prepare(str(source), None).base
    (source / ".gitattributes").write_bytes(b"\n" * (17 << 20))
    git(source, "add", "--all")
    git(source, "commit", "--quiet", "--message=Rules")
    with pytest.raises(UserError, match=r"more than 16 MB, \.gitattributes 17 MB"):
        Hub(tmp_path / "hub.git").prepare(str(source), None)
    assert not (tmp_path / "hub.git").exists()
