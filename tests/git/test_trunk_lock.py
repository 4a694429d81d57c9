"""Slow is not dead: only a holder of the trunk's lock that is stopped is killed."""

import gc
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from headway.git.landing import trunk_lock
from headway.git.landing.landing import Landed
from headway.git.landing.landing_queue import LandingQueue
from headway.git.landing.trunk_lock import TrunkLock
from headway.system.process import Process
from tests.git.ground import Ground, LandingThread, changed, in_a_process, trunk_locked
from tests.support.waiting import wait_until

PATIENCE_S = 0.4


@pytest.fixture(autouse=True)
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunk_lock, "PATIENCE_S", PATIENCE_S)


@contextmanager
def _held(ground: Ground, work: Callable[[], object]) -> Iterator[Process]:
    """A process that takes the lock, does `work`, and lets go."""

    def hold() -> None:
        lock = TrunkLock(ground.hub.folder / "land.flock")
        wait_until(lock.take)
        work()
        lock.release()
        os._exit(0)

    pid = in_a_process(hold)
    note = ground.hub.folder / "land.flock"
    wait_until(lambda: note.exists() and note.stat().st_size > 0)
    found = Process.of(pid)
    assert found is not None
    try:
        yield found
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def _end(process: Process) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


def test_a_stopped_holder_is_killed_and_the_others_go_on(ground: Ground) -> None:
    with _held(ground, lambda: os.kill(os.getpid(), signal.SIGSTOP)) as holder:
        wait_until(lambda: holder.stopped)
        began = time.monotonic()
        assert isinstance(ground.land(changed(ground, 1)), Landed)
        assert time.monotonic() - began >= PATIENCE_S
        assert _end(holder) == -signal.SIGKILL


def _sleep(_fifo: Path) -> None:
    time.sleep(PATIENCE_S * 5)


def _compute(_fifo: Path) -> None:
    end = time.monotonic() + PATIENCE_S * 5
    while time.monotonic() < end:
        pass


def _wait_uninterruptibly(fifo: Path) -> None:
    """A process is in state D while the child that it begins has not become another program."""
    os.mkfifo(fifo)
    if os.fork() == 0:
        time.sleep(PATIENCE_S * 5)
        os.close(os.open(fifo, os.O_WRONLY))
        os._exit(0)
    os.posix_spawn("/bin/true", ["true"], {}, file_actions=[(os.POSIX_SPAWN_OPEN, 0, str(fifo), os.O_RDONLY, 0)])


@pytest.mark.parametrize(("slow", "state"), [(_sleep, "S"), (_compute, "R"), (_wait_uninterruptibly, "D")])
def test_a_slow_holder_is_waited_for(ground: Ground, tmp_path: Path, slow: Callable[[Path], None], state: str) -> None:
    with _held(ground, lambda: slow(tmp_path / "fifo")) as holder:
        wait_until(lambda: holder.state == state)
        assert isinstance(ground.land(changed(ground, 1)), Landed)
        assert _end(holder) == 0


def test_a_holder_that_goes_on_in_time_is_waited_for(ground: Ground) -> None:
    with _held(ground, lambda: time.sleep(PATIENCE_S * 3)) as holder:
        landing = LandingThread(ground, changed(ground, 1))
        for _ in range(4):
            os.kill(holder.pid, signal.SIGSTOP)
            landing.join(PATIENCE_S / 2)
            os.kill(holder.pid, signal.SIGCONT)
            landing.join(PATIENCE_S / 2)
        assert isinstance(landing.answer(), Landed)
        assert _end(holder) == 0


def test_a_waiter_that_was_stopped_too_waits_anew(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stopped all of them goes on with one after the other: the first one kills none that comes next."""
    real, ahead = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + ahead[0])
    with _held(ground, lambda: os.kill(os.getpid(), signal.SIGSTOP)) as holder:
        wait_until(lambda: holder.stopped)
        lock = TrunkLock(ground.hub.folder / "land.flock")
        assert not lock.take()
        ahead[0] += PATIENCE_S * 3
        assert not lock.take()
        os.kill(holder.pid, signal.SIGCONT)
        assert _end(holder) == 0
        lock.close()


def test_an_innocent_process_of_the_same_number_is_left_alone(ground: Ground) -> None:
    path = ground.hub.folder / "land.flock"
    with subprocess.Popen(["sleep", "60"]) as innocent, trunk_locked(ground):
        os.kill(innocent.pid, signal.SIGSTOP)
        found = Process.of(innocent.pid)
        assert found is not None
        landings = []
        for number, other in enumerate(((found.start - 1, found.boot), (found.start, "an earlier boot"))):
            named = Process(pid=found.pid, start=other[0], boot=other[1])
            path.write_text(json.dumps({"process": named.model_dump()}))
            landings.append(LandingThread(ground, changed(ground, number)))
            landings[-1].join(PATIENCE_S * 3)
            assert landings[-1].is_alive()
            assert innocent.poll() is None
        innocent.kill()
    assert [type(landing.answer()) for landing in landings] == [Landed, Landed]


@pytest.mark.parametrize("call", ["pwrite", "ftruncate"])
def test_a_full_disk_at_the_note_keeps_nobody_else_from_the_trunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    mine, other = TrunkLock(tmp_path / "land.flock"), TrunkLock(tmp_path / "land.flock")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(OSError, match="No space"):
            mine.take()
    assert other.take()
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", full)
        with pytest.raises(OSError, match="No space"):
            other.release()
    assert mine.take()
    mine.close()
    other.close()


@pytest.mark.parametrize("call", ["rename", "mkdir"])
def test_a_queue_that_cannot_be_entered_leaves_no_file_open(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(5):
        with monkeypatch.context() as patch:

            def full(*_: object, **__: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(Path, call, full)
            with pytest.raises(OSError, match="No space"):
                LandingQueue(ground.hub, lambda _: True)
    gc.collect()
    assert len([*Path("/proc/self/fd").iterdir()]) <= before + 1
