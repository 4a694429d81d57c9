"""What the machine lacks is told from every other failure, wherever it shows."""

import errno
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from headway.domain.errors import Shortage
from headway.git.git_process import GitError
from headway.git.repo import Repo
from headway.system.shortage import WAIT_S, lacking, lacking_in, waited_for
from tests.support.disks import Disk, fill

SHORT = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.EIO,
    errno.EROFS,
    errno.EAGAIN,
)


@pytest.mark.parametrize("number", SHORT, ids=errno.errorcode.__getitem__)
def test_each_is_waited_for_also_behind_another_error(number: int) -> None:
    with pytest.raises(Shortage, match="x cannot be written: ") as raised, waited_for("x cannot be written"):
        raise OSError(number, os.strerror(number))
    assert raised.value.delay_s == WAIT_S
    behind = ValueError("no answer")
    behind.__cause__ = OSError(number, "")
    assert lacking(behind) is not None
    assert lacking_in(f"fatal: cannot write x: {os.strerror(number)}\n") == lacking(behind)


@pytest.mark.parametrize("error", [FileNotFoundError(2, ""), PermissionError(13, ""), ValueError(), RuntimeError("x")])
def test_what_waiting_does_not_cure_goes_through(error: Exception) -> None:
    assert lacking(error) is None
    with pytest.raises(type(error)), waited_for("x"):
        raise error


def test_a_thread_that_cannot_start_and_memory_that_is_gone() -> None:
    assert lacking(RuntimeError("can't start new thread")) is not None
    assert lacking(MemoryError()) is not None


def test_a_database_on_a_full_disk(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "x.db")
    database.execute("CREATE TABLE x (y)")
    database.execute("PRAGMA max_page_count = 2")  # the way of SQLite itself to say that the disk is full
    with pytest.raises(Shortage, match="full"), waited_for("the ledger cannot be written"):
        database.execute("INSERT INTO x VALUES (?)", (b"x" * 10_000,))
    with pytest.raises(sqlite3.OperationalError, match="no such table"), waited_for("x"):
        database.execute("SELECT * FROM missing")
    database.close()


@pytest.mark.parametrize("ok", [(0,), (0, 1), None])
def test_a_git_that_finds_no_room_gives_no_answer(tmp_path: Path, ok: tuple[int, ...] | None) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "hub")], check=True)
    repo = Repo(tmp_path / "hub")
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'fatal: write error: No space left on device' >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        with pytest.raises(GitError) as raised:
            repo.run("write-tree", ok=ok)
    assert raised.value.delay_s == WAIT_S


def test_what_git_says_where_the_disk_takes_no_more_bytes(tmp_path: Path) -> None:
    """Here a new file can be made and not be written, where git gives no reason."""
    with Disk(tmp_path, "tmpfs", mb=32, options="nr_inodes=2000") as disk:
        (disk.at / "files").mkdir()
        subprocess.run(["git", "init", "--quiet", "--bare", str(disk.at / "hub")], check=True)
        repo = Repo(disk.at / "hub").at(disk.at / "files", disk.at / "index")
        blob = repo.run("hash-object", "-w", "--stdin", stdin=b"x" * 9_000).text.strip()
        repo.run("update-index", "--add", "--cacheinfo", f"100644,{blob},x.txt")
        tree = repo.run("write-tree").text.strip()
        commit = repo.run("-c", "user.name=A", "-c", "user.email=a@b.c", "commit-tree", "-m", "x", tree).text.strip()
        repo.run("update-ref", "refs/heads/z", commit)
        fill(disk.at, leave=1)
        for command in (
            ("hash-object", "-w", "--stdin"),
            ("read-tree", tree),
            ("checkout-index", "-f", "-a"),
            ("update-ref", "refs/heads/x", commit),
            ("symbolic-ref", "HEAD", "refs/heads/y"),
            ("config", "x.y", "z"),
            ("pack-refs", "--all"),
            ("repack", "-a", "-d", "-q"),
            ("commit-graph", "write", "--reachable"),
        ):
            with pytest.raises(GitError) as raised:
                repo.run(*command, stdin=b"y" * 9_000)
            assert raised.value.delay_s == WAIT_S, raised.value
