"""A process is known by its start since boot: no step of the clock, and no later process of its id, changes that."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from headway.system.boot import boot_id, ticks_now
from headway.system.process import Process, look


def test_own_process_is_alive() -> None:
    own = Process.own()
    assert own.pid == os.getpid()
    assert own.alive
    assert not own.stopped
    assert own == Process.model_validate_json(own.model_dump_json())


def test_start_is_counted_from_the_boot() -> None:
    before = ticks_now()
    with subprocess.Popen(["sleep", "60"]) as child:
        found = Process.of(child.pid)
        assert found is not None
        assert before - 1 <= found.start <= ticks_now() + 1
        child.kill()


@pytest.mark.parametrize("step", [-31_536_000, -3600, -2, 2, 3600, 31_536_000])
def test_a_step_of_the_clock_changes_no_identity(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step moves the kernel's `btime`, from which psutil reckons the start that it tells."""
    noted = Process.own()
    real, by_the_clock = psutil.boot_time(), psutil.Process().create_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: real + step)
    assert psutil.Process().create_time() == pytest.approx(by_the_clock + step, abs=0.1), "the step is one"
    assert noted.alive
    assert Process.of(os.getpid()) == noted


def test_a_zombie_and_a_process_that_is_gone_are_not_alive() -> None:
    child = subprocess.Popen(["true"])
    found = Process.of(child.pid)
    assert found is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert found.state == "Z"
    assert not found.alive
    child.wait()
    assert found.state == ""
    assert not found.alive
    assert not found.send(signal.SIGKILL)
    assert Process.of(child.pid) is None


def test_a_stopped_process_is_alive_and_stopped() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        found = Process.of(child.pid)
        assert found is not None
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        assert (found.state, found.alive, found.stopped) == ("T", True, True)
        assert found.send(signal.SIGKILL)


@pytest.mark.parametrize("other", [{"start": 1}, {"boot": "another"}])
def test_another_process_of_the_same_id_is_left_alone(other: dict[str, object]) -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        found = Process.of(child.pid)
        assert found is not None
        stranger = found.model_copy(update=other)
        assert not stranger.alive
        assert not stranger.send(signal.SIGKILL)
        assert child.poll() is None
        child.kill()


def test_a_name_with_brackets_and_spaces_is_read() -> None:
    program = "import ctypes, os; ctypes.CDLL(None).prctl(15, b'a) Z (b', 0, 0, 0); os.kill(os.getpid(), 19)"
    with subprocess.Popen([sys.executable, "-c", program]) as child:
        os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
        seen = look(child.pid)
        child.kill()
    assert seen is not None
    assert (seen.state, seen.session) == ("T", os.getsid(0))


def test_the_boot_is_one() -> None:
    assert boot_id() == boot_id() != ""
