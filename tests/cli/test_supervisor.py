"""Real processes; what is waited for is a condition, with the test's own timeout as the net."""

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from headway.domain.errors import UserError
from headway.host.child_event import ChildEvent
from headway.host.child_process import ChildProcess
from headway.host.child_watch import Timing
from headway.host.supervisor import Supervisor
from headway.host.supervisor_state import read_state
from tests.support.processes import alive
from tests.support.waiting import until

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
ROOT = Path(__file__).resolve().parents[2]


async def test_a_child_runs_and_its_output_goes_to_its_log(home: Path) -> None:
    async with Supervisor(home) as supervisor:
        talker = ChildProcess("talker", (sys.executable, "-uc", "print('hello'); import time; time.sleep(600)"))
        pid = await supervisor.start(talker)
        await until(lambda: "hello" in supervisor.log("talker").read_text())
        assert supervisor.pid("talker") == pid

    assert not alive(pid)


async def test_the_process_id_is_the_commands_own(home: Path) -> None:
    async with Supervisor(home) as supervisor:
        pid = await supervisor.start(ChildProcess("who", (sys.executable, "-uc", "import os; print(os.getpid())")))
        await until(lambda: supervisor.log("who").read_text().strip() != "")
        assert int(supervisor.log("who").read_text().split()[0]) == pid


async def test_a_child_that_dies_is_started_again(home: Path) -> None:
    events: list[ChildEvent] = []
    async with Supervisor(home, on_event=events.append) as supervisor:
        first = await supervisor.start(ChildProcess("agents", SLEEP))
        os.kill(first, signal.SIGKILL)
        await until(lambda: supervisor.pid("agents") not in {None, first})

    assert [event.what for event in events] == ["started", "died", "started", "stopped"]
    assert events[1].exit_code == -signal.SIGKILL


async def test_the_wait_before_a_restart_grows(home: Path) -> None:
    starts: list[float] = []

    def note(event: ChildEvent) -> None:
        if event.what == "started":
            starts.append(time.monotonic())

    async with Supervisor(home, on_event=note) as supervisor:
        await supervisor.start(ChildProcess("flapping", (sys.executable, "-c", "raise SystemExit(1)")))
        await until(lambda: len(starts) >= 4)

    first, second, third = (later - earlier for earlier, later in itertools.pairwise(starts))
    assert 0.5 <= first < second < third


async def test_a_child_that_is_not_to_be_restarted_ends_the_supervisor_with_its_last_words(home: Path) -> None:
    async with Supervisor(home) as supervisor:
        await supervisor.start(
            ChildProcess("once", (sys.executable, "-c", "raise SystemExit('out of paper')"), restart=False)
        )
        with pytest.raises(UserError, match=r"once ended with exit code 1[\s\S]*out of paper"):
            await supervisor.wait()


async def test_exit_code_2_is_for_the_user_and_not_tried_again(home: Path) -> None:
    async with Supervisor(home) as supervisor:
        say = "import sys; print('OPENAI_API_KEY: not set', file=sys.stderr); sys.exit(2)"
        await supervisor.start(ChildProcess("agents", (sys.executable, "-c", say)))
        with pytest.raises(UserError, match="OPENAI_API_KEY: not set"):
            await supervisor.wait()


async def test_a_program_that_is_not_there_is_told(home: Path) -> None:
    async with Supervisor(home) as supervisor:
        await supervisor.start(ChildProcess("odd", ("/no/such/program",)))
        with pytest.raises(UserError, match="/no/such/program: No such file"):
            await supervisor.wait()


async def test_signals_are_handled_as_before_once_it_has_ended(home: Path) -> None:
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        async with Supervisor(home):
            assert signal.getsignal(signal.SIGTERM) is not signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_children_stop_in_reverse_order(home: Path) -> None:
    events: list[ChildEvent] = []
    async with Supervisor(home, on_event=events.append) as supervisor:
        for name in ("temporal", "workflows", "agents"):
            await supervisor.start(ChildProcess(name, SLEEP))

    assert [event.name for event in events if event.what == "stopped"] == ["agents", "workflows", "temporal"]


async def test_who_does_not_stop_in_time_is_killed_with_what_it_started(home: Path) -> None:
    stubborn = textwrap.dedent(
        """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen(["sleep", "600"]).pid, flush=True)
        time.sleep(600)
        """
    )
    async with Supervisor(home) as supervisor:
        pid = await supervisor.start(ChildProcess("stubborn", (sys.executable, "-c", stubborn), stop_s=0.3))
        await until(lambda: supervisor.log("stubborn").read_text().strip() != "")
        grandchild = int(supervisor.log("stubborn").read_text())

    assert not alive(pid)
    await until(lambda: not alive(grandchild))


async def test_the_state_names_the_living_and_nothing_of_the_environment(home: Path) -> None:
    async with Supervisor(home) as supervisor:
        supervisor.know(address="127.0.0.1:1")
        pid = await supervisor.start(ChildProcess("agents", SLEEP, env={"OPENAI_API_KEY": "sk-secret"}))
        state = read_state(home)
        text = (home / "supervisor.json").read_text()

    assert state is not None
    assert (state.pid, state.children["agents"].pid, state.facts) == (os.getpid(), pid, {"address": "127.0.0.1:1"})
    assert "sk-secret" not in text
    assert read_state(home) is None


async def test_a_state_whose_writer_is_dead_counts_for_nothing(home: Path) -> None:
    async with Supervisor(home):
        text = json.loads((home / "supervisor.json").read_text())
    earlier = text["process"] | {"start": text["process"]["start"] - 1}
    (home / "supervisor.json").write_text(json.dumps(text | {"process": earlier}))

    assert read_state(home) is None


async def test_one_home_has_one_supervisor(home: Path) -> None:
    async with Supervisor(home):
        with pytest.raises(UserError, match="already in use"):
            async with Supervisor(home):
                pass
        async with Supervisor(home, name="other"):
            pass
    async with Supervisor(home):
        pass


PROGRAM = """
import asyncio, sys
from pathlib import Path
from headway.host import child_process as children
from headway.host.child_process import ChildProcess
from headway.host.child_watch import Timing
from headway.host.supervisor import Supervisor

async def main():
    async with Supervisor(Path(sys.argv[1]), leash=sys.argv[2]) as supervisor:
        for name in ("one", "two"):
            await supervisor.start(ChildProcess(name, (sys.executable, "-c", "import time; time.sleep(600)")))
        print("ready", flush=True)
        await supervisor.wait()

asyncio.run(main())
"""


@pytest.fixture(params=["kernel", "pipe"] if sys.platform == "linux" else ["pipe"])
def supervisor_process(request: pytest.FixtureRequest, home: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", PROGRAM, str(home), request.param]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def pids_under(home: Path) -> list[int]:
    state = read_state(home)
    assert state is not None
    return [child.pid for child in state.children.values() if child.pid is not None]


async def test_children_die_with_a_supervisor_that_is_killed(
    supervisor_process: subprocess.Popen[str], home: Path
) -> None:
    pids = pids_under(home)
    assert len(pids) == 2

    supervisor_process.kill()
    supervisor_process.wait()

    await until(lambda: all(not alive(pid) for pid in pids))


async def test_a_terminated_supervisor_stops_its_children_and_leaves_no_state(
    supervisor_process: subprocess.Popen[str], home: Path
) -> None:
    pids = pids_under(home)

    supervisor_process.terminate()

    assert await asyncio.to_thread(supervisor_process.wait, 20) == 0
    assert all(not alive(pid) for pid in pids)
    assert not (home / "supervisor.json").exists()


async def test_no_watcher_stays_behind_when_a_child_ends_on_its_own(home: Path) -> None:
    marker = f"/headway-test-{os.getpid()}"
    async with Supervisor(home, leash="pipe") as supervisor:
        await supervisor.start(ChildProcess("short", (sys.executable, "-c", "import time; time.sleep(0.2)", marker)))
        await until(lambda: any(marker in _line(process) for process in psutil.process_iter()))
        supervisor_state = read_state(home)
        assert supervisor_state is not None

    await until(lambda: not any(marker in _line(process) for process in psutil.process_iter()))


def _line(process: psutil.Process) -> str:
    try:
        return "" if process.status() == psutil.STATUS_ZOMBIE else " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _lines(log: Path) -> int:
    return len(log.read_text().splitlines())


async def test_the_log_of_a_child_that_never_ends_is_bounded(home: Path) -> None:
    script = "import sys, time\nn = 0\nwhile True:\n print(n, 'x' * 200, flush=True)\n n += 1\n time.sleep(0.0002)"
    async with Supervisor(home, timing=Timing(log_s=0.05), log_bytes=100_000) as supervisor:
        await supervisor.start(ChildProcess("talker", (sys.executable, "-c", script)))
        log = supervisor.log("talker")
        aside = log.with_name("talker.log.1")
        await until(aside.exists)
        first = aside.stat().st_mtime_ns  # the number of the file may be the same again
        await until(lambda: aside.exists() and aside.stat().st_mtime_ns > first and _lines(aside) > 2)
        assert log.stat().st_size + aside.stat().st_size < 50 * 100_000
        numbers = [int(line.split()[0]) for line in aside.read_text().splitlines()[1:-1]]
        assert numbers == sorted(numbers)
        newest = numbers[-1]
        await until(lambda: any(int(line.split()[0]) > newest for line in log.read_text().splitlines()[1:-1]))
