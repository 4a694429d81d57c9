"""Files are whole or not there, placed once, and on disk when they are said to be."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from headway.system import files
from headway.system.files import delete, locked, make_folder, place_new, write_whole

WRITER = """
import sys
from pathlib import Path
from headway.system.files import write_whole
path = Path(sys.argv[1])
number = 0
while True:
    number += 1
    write_whole(path, f"{number} ".encode() * 20_000, synced=False)
    if number == 1:
        print("began", flush=True)
"""


def test_a_reader_and_a_kill_see_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            assert len(set(path.read_bytes().split())) == 1
        writer.send_signal(signal.SIGKILL)
    assert len(path.read_bytes().split()) == 20_000


def test_what_could_not_be_written_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.json"
    write_whole(path, b"old", synced=True)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, b"new", synced=True)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["state.json"]


def test_content_is_on_disk_before_its_name_and_the_name_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / "state.json", []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        what = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        done.append(("folder" if what == str(tmp_path) else "content", path.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(path, b"new", synced=True)
    assert done == [("content", False), ("folder", True)]


def test_of_many_that_place_a_file_at_once_one_succeeds(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        for number in range(20):
            path = tmp_path / str(number)
            won = list(pool.map(lambda who, path=path: place_new(path, f"{who}".encode()), range(16)))
            assert won.count(True) == 1
            assert path.read_bytes() == str(won.index(True)).encode()


def test_a_file_is_placed_once_where_hard_links_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # what exFAT and many shares say

    monkeypatch.setattr(os, "link", refused)
    assert place_new(tmp_path / "incarnation", b"first")
    assert not place_new(tmp_path / "incarnation", b"second")
    assert (tmp_path / "incarnation").read_bytes() == b"first"


def test_a_new_folder_and_each_name_above_it_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == files.PRIVATE_FOLDER


def test_two_that_delete_the_same_tree_both_succeed(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        for number in range(10):
            top = tmp_path / str(number)
            for name in range(60):
                (top / f"{name}" / "deep").mkdir(parents=True)
            list(pool.map(delete, [top, top]))
            assert not top.exists()


def test_a_lock_whose_file_its_holder_deletes_keeps_others_out(tmp_path: Path) -> None:
    path, inside, leave = tmp_path / ".x.lock", Event(), Event()

    def wait_for_it() -> None:
        with locked(path):
            inside.set()
            leave.wait(60)

    with ThreadPoolExecutor(1) as pool:
        with locked(path):
            waiting = pool.submit(wait_for_it)
            while sum(os.path.realpath(fd) == str(path) for fd in Path("/proc/self/fd").iterdir()) < 2:
                time.sleep(0.01)
            path.unlink()
        assert inside.wait(60)
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            leave.set()
            os.close(handle)
        waiting.result()
