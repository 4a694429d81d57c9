"""What the supervisor of a week outlives: a full disk, no descriptors or memory, hung children, a closed terminal."""

import asyncio
import errno
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import UserError
from headway.host import child_process as children
from headway.host import child_watch, supervisor_state
from headway.host.child_event import ChildEvent, how_it_ended
from headway.host.child_process import ChildProcess
from headway.host.child_watch import Timing
from headway.host.supervisor import Supervisor
from headway.host.supervisor_state import read_state
from headway.host.worker_roles import ROLES, worker_children
from headway.system import heartbeat
from headway.system.process import look
from tests.support.waiting import until

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
QUICK = Timing(first_wait_s=0.1, longest_wait_s=0.3, silent_s=1.0, quiet_s=1.6, look_s=0.1)
ROOT = Path(__file__).resolve().parents[2]


class Fault:
    """Makes a call fail for as long as it is on."""

    def __init__(self, number: int) -> None:
        self.on = False
        self.met = 0
        self._number = number

    def of(self, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            if self.on:
                self.met += 1
                raise OSError(self._number, os.strerror(self._number))
            return real(*args, **more)

        return call


FAILING = {
    "the state": (supervisor_state, "write_whole"),
    "the log": (children, "_append_to"),
    "a fork": (subprocess, "Popen"),
    "a pipe": (os, "pipe"),
    "a look at the child": (child_watch, "threads_of"),
    "whoever is told": (None, ""),
}


LIMITS = (errno.ENOSPC, errno.EMFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO)


@pytest.mark.parametrize(
    ("what", "number"),
    [
        pytest.param(what, number, marks=() if each % len(LIMITS) == place else (pytest.mark.long,))
        for each, what in enumerate(FAILING)
        for place, number in enumerate(LIMITS)
    ],
)
async def test_a_child_that_dies_while_the_machine_is_at_its_limits_is_started_again(
    what: str, number: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault, told = Fault(number), list[ChildEvent]()
    place, name = FAILING[what]
    if place is not None:
        monkeypatch.setattr(place, name, fault.of(getattr(place, name)))
    tell: Callable[..., Any] = fault.of(told.append) if place is None else told.append
    async with Supervisor(home, on_event=tell, timing=QUICK) as supervisor:
        silent = ChildProcess("agents", SLEEP, heartbeat=True)
        first = await supervisor.start(silent)
        fault.on = True
        if what != "a look at the child":
            os.kill(first, signal.SIGKILL)
        await until(lambda: fault.met > 0)
        fault.on = False
        await until(lambda: supervisor.pid("agents") not in {None, first})
        await until(lambda: _told_of(home) == supervisor.pid("agents"))


def _told_of(home: Path) -> int | None:
    state = read_state(home)
    return state.children["agents"].pid if state is not None else None


async def test_a_first_start_waits_for_room_too(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault, told = Fault(errno.EAGAIN), list[ChildEvent]()
    monkeypatch.setattr(subprocess, "Popen", fault.of(subprocess.Popen))
    fault.on = True
    async with Supervisor(home, on_event=told.append, timing=QUICK) as supervisor:
        starting = asyncio.create_task(supervisor.start(ChildProcess("agents", SLEEP)))
        await until(lambda: fault.met > 1)
        fault.on = False
        assert await starting == supervisor.pid("agents")
    assert str(told[0]).startswith("agents cannot be started now (Resource temporarily unavailable).")


async def test_really_no_descriptor_left(home: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with Supervisor(home, timing=QUICK) as supervisor:
        first = await supervisor.start(ChildProcess("agents", SLEEP, heartbeat=True))
        taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken[-1] + 1, hard))
            with suppress(OSError):
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            os.kill(first, signal.SIGKILL)
            await until(lambda: supervisor.pid("agents") is None)
            await asyncio.sleep(0.5)
        finally:
            for handle in taken:
                os.close(handle)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await until(lambda: supervisor.pid("agents") not in {None, first})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
async def test_really_a_full_disk(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk") as disk:
        async with Supervisor(disk, timing=QUICK) as supervisor:
            first = await supervisor.start(ChildProcess("agents", SLEEP))
            with suppress(OSError), (disk / "ballast").open("wb", buffering=0) as ballast:
                while True:
                    ballast.write(b"x" * 4096)
            os.kill(first, signal.SIGKILL)
            await until(lambda: supervisor.pid("agents") not in {None, first})
            (disk / "ballast").unlink()
            await until(lambda: _told_of(disk) == supervisor.pid("agents"))


@contextmanager
def _small_disk(at: Path) -> Iterator[Path]:
    at.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


async def test_a_fault_of_the_watch_itself_is_not_silent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise LookupError("a fault of this program")

    async with Supervisor(home, timing=QUICK) as supervisor:
        first = await supervisor.start(ChildProcess("agents", SLEEP))
        monkeypatch.setattr(supervisor, "_launched", broken)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(LookupError):
            await asyncio.wait_for(supervisor.wait(), 20)


BEATING = """
import asyncio, ctypes, os, re, sys, threading, time
from headway.system.heartbeat import Heartbeat

def hang(how):
    if how == "a regular expression":
        re.match("(a+)+$", "a" * 64 + "b")
    elif how == "the same in a thread":
        threading.Thread(target=re.match, args=("(a+)+$", "a" * 64 + "b")).start()
    elif how == "a lock that is never free":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    elif how == "D":
        ctypes.PyDLL(None).vfork() or ctypes.PyDLL(None).sleep(600)

async def main():
    async with Heartbeat.of(os.environ) as beat:
        beat.at_work()
        await asyncio.sleep(0.2)
        print("hangs", flush=True)
        if sys.argv[1] and not os.path.exists(sys.argv[2]):
            open(sys.argv[2], "w").close()
            hang(sys.argv[1])
        await asyncio.sleep(600)

asyncio.run(main())
"""


def beating(home: Path, how: str = "") -> ChildProcess:
    argv = (sys.executable, "-c", BEATING, how, str(home / "hung"))
    return ChildProcess("agents", argv, env={"PYTHONPATH": str(ROOT)}, heartbeat=True, stop_s=0.5)


@pytest.mark.parametrize(
    "how",
    [
        "a regular expression",
        pytest.param("the same in a thread", marks=pytest.mark.long),
        pytest.param("a lock that is never free", marks=pytest.mark.long),
    ],
)
async def test_a_process_that_does_not_answer_is_replaced(how: str, home: Path) -> None:
    told: list[ChildEvent] = []
    async with Supervisor(home, on_event=told.append, timing=QUICK) as supervisor:
        first = await supervisor.start(beating(home, how))
        await until(lambda: supervisor.pid("agents") not in {None, first}, 60)
    assert [event.what for event in told][:4] == ["started", "silent", "died", "started"]


async def test_a_stopped_process_is_replaced(home: Path) -> None:
    async with Supervisor(home, timing=QUICK) as supervisor:
        first = await supervisor.start(beating(home))
        await until(lambda: "hangs" in supervisor.log("agents").read_text())
        os.kill(first, signal.SIGSTOP)
        await until(lambda: supervisor.pid("agents") not in {None, first}, 60)


async def test_a_process_that_answers_is_let_be(home: Path) -> None:
    async with Supervisor(home, timing=QUICK) as supervisor:
        first = await supervisor.start(beating(home))
        await asyncio.sleep(4)
        assert supervisor.pid("agents") == first


@pytest.mark.skipif(sys.platform != "linux", reason="D is a state of Linux")
async def test_a_process_in_d_is_told_and_not_killed(home: Path) -> None:
    told: list[ChildEvent] = []
    async with Supervisor(home, on_event=told.append, timing=QUICK) as supervisor:
        first = await supervisor.start(beating(home, "D"))
        await until(lambda: "waits for a disk" in [event.what for event in told])
        seen = look(first)
        assert seen is not None
        assert seen.state == "D"
        await asyncio.sleep(2 * QUICK.silent_s)
        assert supervisor.pid("agents") == first
    assert [event.what for event in told].count("waits for a disk") == 1


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="only Linux keeps a process from a processor so")
async def test_a_process_that_gets_no_processor_is_not_killed(home: Path) -> None:
    """It has two seconds of work between two beats, on a processor that others have for themselves."""
    busy = textwrap.dedent(
        """
        import asyncio, os, time
        from headway.system.heartbeat import Heartbeat
        async def main():
            async with Heartbeat.of(os.environ):
                while True:
                    await asyncio.sleep(0.01)
                    until = time.process_time() + 0.3
                    while time.process_time() < until: pass
        processor = min(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processor})
        print("set", flush=True)
        asyncio.run(main())
        """
    )
    processor = str(min(os.sched_getaffinity(0)))
    child = ChildProcess(
        "agents", (sys.executable, "-uc", busy), env={"PYTHONPATH": str(ROOT)}, heartbeat=True, stop_s=1.0
    )
    async with Supervisor(home, timing=QUICK) as supervisor:
        pid = await supervisor.start(child)
        await until(lambda: "set" in supervisor.log("agents").read_text())
        hog = ["taskset", "-c", processor, sys.executable, "-c", "while True: pass"]
        with subprocess.Popen(hog) as other:  # noqa: ASYNC220
            os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
            try:
                await asyncio.sleep(9)
                assert supervisor.pid("agents") == pid
            finally:
                other.kill()


async def test_exit_code_2_of_a_child_that_worked_is_a_restart(home: Path) -> None:
    """Such as of `python` when an upgrade takes its file away for a moment."""
    program = textwrap.dedent(
        """
        import asyncio, os, sys
        from headway.system.heartbeat import Heartbeat
        async def main():
            async with Heartbeat.of(os.environ) as beat:
                if os.path.exists(sys.argv[1]): sys.exit(2)
                beat.at_work()
                await asyncio.sleep(600)
        asyncio.run(main())
        """
    )
    gone = home / "upgrade"
    argv = (sys.executable, "-c", program, str(gone))
    told: list[ChildEvent] = []
    async with Supervisor(home, on_event=told.append, timing=QUICK) as supervisor:
        first = await supervisor.start(ChildProcess("agents", argv, env={"PYTHONPATH": str(ROOT)}, heartbeat=True))
        await until(lambda: "agents" in supervisor._proven)
        gone.touch()
        os.kill(first, signal.SIGKILL)
        await until(lambda: [event.exit_code for event in told].count(2) >= 2)
        gone.unlink()
        await asyncio.sleep(1)
        assert not supervisor.stopping
        await until(lambda: supervisor.pid("agents") is not None)


async def test_exit_code_2_of_a_child_that_lived_long_is_a_restart(home: Path) -> None:
    timing = Timing(first_wait_s=0.1, longest_wait_s=0.3, healthy_s=0.5)
    program = "import sys, time; time.sleep(1); sys.exit(2)"
    told: list[ChildEvent] = []
    async with Supervisor(home, on_event=told.append, timing=timing) as supervisor:
        await supervisor.start(ChildProcess("temporal", (sys.executable, "-c", program)))
        await until(lambda: [event.what for event in told].count("started") >= 2)
        assert not supervisor.stopping


def test_every_worker_process_beats() -> None:
    assert [(child.name, child.heartbeat) for child in worker_children()] == [(role, True) for role in ROLES]


@pytest.mark.parametrize(
    "role",
    [pytest.param("workflows", marks=pytest.mark.long), "agents", pytest.param("planning", marks=pytest.mark.long)],
)
def test_a_worker_process_beats_before_there_is_a_service(role: str, home: Path) -> None:
    ours, theirs = os.pipe()
    env = {
        **os.environ,
        heartbeat.VARIABLE: str(theirs),
        "HEADWAY_HOME": str(home),
        "TEMPORAL_ADDRESS": "127.0.0.1:9",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "OPENAI_API_KEY": "k",
        "HEADWAY_PLANNER_MODEL": "m",
        "HEADWAY_WORKER_MODEL": "m",
    }
    argv = [sys.executable, str(ROOT / "worker.py"), "--only", role, "--allow-weak-sandbox"]
    with subprocess.Popen(argv, env=env, pass_fds=[theirs], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as it:
        os.close(theirs)
        assert [os.read(ours, 1) for _ in range(2)] == [heartbeat.BEAT] * 2
        assert it.stdout is not None
        said = it.stdout.readline().decode()
        it.kill()
    assert re.match(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \w", said), said
    os.close(ours)


PROGRAM = """
import sys
from pathlib import Path
from headway.host.child_process import ChildProcess
from headway.host.supervisor import supervise
children = [ChildProcess("agents", ("sleep", "600"))]
supervise(Path(sys.argv[1]), children, on_event=lambda event: print(event, flush=True))
"""


def _dispositions(ignored: bool) -> None:
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("ignored", [True, False])
def test_the_terminal_ends_it_unless_it_was_started_to_ignore_that(
    home: Path, ignored: bool, number: signal.Signals
) -> None:
    """Under `nohup`, or in the background of a script."""
    argv, env = [sys.executable, "-c", PROGRAM, str(home)], {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, preexec_fn=partial(_dispositions, ignored)) as up:  # noqa: PLW1509
        assert up.stdout is not None
        assert b"was started" in up.stdout.readline()
        up.send_signal(number)
        if not ignored:
            assert up.wait(30) == 0
            return
        with pytest.raises(subprocess.TimeoutExpired):
            up.wait(1)
        up.terminate()
        assert up.wait(30) == 0


def test_what_it_starts_ignores_no_signal_that_it_was_started_to_ignore(home: Path) -> None:
    """Else tests that an agent runs, and that send these signals, would depend on how the service was started."""
    program = PROGRAM.replace('("sleep", "600")', '("sh", "-c", "exec cat /proc/self/status"), restart=False')
    argv, env = [sys.executable, "-c", program, str(home)], {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(argv, env=env, preexec_fn=partial(_dispositions, True), capture_output=True, check=False, timeout=60)
    said = (home / "logs/agents.log").read_text()
    mask = int(next(line for line in said.splitlines() if line.startswith("SigIgn")).split()[1], 16)
    assert not mask & sum(1 << number - 1 for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT))


def test_a_home_that_cannot_be_written_to_is_told_in_words(tmp_path: Path) -> None:
    async def enter() -> None:
        async with Supervisor(tmp_path / "file" / "home"):
            pass

    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written to: Not a directory"):
        asyncio.run(enter())


@pytest.mark.parametrize("event", [
    ChildEvent("agents", "started", 7), ChildEvent("agents", "died", 7, 2), ChildEvent("agents", "died", 7, -9),
    ChildEvent("agents", "stopped", 7), ChildEvent("agents", "silent", 7), ChildEvent("agents", "waits for a disk", 7),
    ChildEvent("agents", "not started", 0, why="no room"),
])  # fmt: skip
def test_an_event_is_a_sentence(event: ChildEvent) -> None:
    said = str(event)
    assert said.startswith("agents ")
    assert said.endswith(".")
    assert "=" not in said
    assert "Errno" not in said


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "ended with exit code 0"), (-9, "was killed by SIGKILL (signal 9)"), (-40, "was killed by signal 40")],
)
def test_an_end_names_the_signal(code: int, words: str) -> None:
    assert how_it_ended(code) == words
    assert str(ChildEvent("agents", "died", 7, code)) == f"agents (process 7) {words}."


def test_a_restart_says_so() -> None:
    assert str(ChildEvent("agents", "started", 8, again=True)) == "agents was started again (process 8)."
