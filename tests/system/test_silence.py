"""A process that does not answer is told from one that could not: no processor, a disk, a machine that slept."""

import os
import subprocess
import sys
import time
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.system.silence import Patience, Silence, Threads, threads_of


def _threads(*, states: str = "S", delay_s: float = 0.0, cpu_s: float = 0.0, counted: bool = True) -> Threads:
    delays = {"1": int(delay_s * 1e9), "2": 0} if counted else {}
    return Threads(frozenset(states), delays, cpu_s)


def _silent_for(
    seconds: int,
    each: Threads,
    *,
    per_second_delay: float = 0.0,
    per_second_cpu: float = 0.0,
    starts: bool = False,
) -> float:
    silence = Silence(0.0)
    if not starts:
        silence.heard(0.0)
    for second in range(seconds):
        delays = {name: int(second * per_second_delay * 1e9) for name in each.delays_ns}
        silence.look(float(second), Threads(each.states, delays, second * per_second_cpu))
    return silence.counted_s


def test_a_blocked_loop_counts() -> None:
    assert _silent_for(31, _threads()) == pytest.approx(30)


def test_a_stopped_process_counts() -> None:
    assert _silent_for(31, _threads(states="T")) == pytest.approx(30)


def test_code_that_keeps_the_interpreters_lock_counts() -> None:
    assert _silent_for(31, _threads(states="SR"), per_second_cpu=1.0) == pytest.approx(30)


def test_a_process_that_imports_modules_for_minutes_has_not_fallen_silent() -> None:
    assert _silent_for(201, _threads(states="R"), per_second_cpu=1.0, starts=True) == pytest.approx(20)


def test_a_start_that_hangs_counts() -> None:
    assert _silent_for(31, _threads(), starts=True) == pytest.approx(30)


def test_a_process_without_a_processor_does_not_count() -> None:
    assert _silent_for(1000, _threads(states="R"), per_second_delay=1.0) < 1


def test_half_a_processor_counts_half() -> None:
    assert _silent_for(61, _threads(states="R"), per_second_delay=0.5) == pytest.approx(30)


def test_a_process_that_waits_for_a_disk_does_not_count() -> None:
    silence = Silence(0.0)
    for second in range(1000):
        silence.look(float(second), _threads(states="SD"))
    assert silence.counted_s == 0
    assert silence.waits_for_disk


def test_a_machine_that_stood_still_does_not_count() -> None:
    """A clock that runs on while a virtual machine is paused: the gap counts as one look."""
    silence = Silence(0.0)
    silence.look(1.0, _threads())
    silence.look(100_000.0, _threads())
    assert silence.counted_s <= 2


def test_a_heartbeat_clears_all() -> None:
    silence = Silence(0.0)
    for second in range(20):
        silence.look(float(second), _threads())
    silence.heard(20.0)
    assert silence.counted_s == 0
    assert not silence.is_due(21.0)
    assert silence.is_due(23.0)


@pytest.mark.parametrize(("states", "cpu", "expected"), [("T", 0.0, 30), ("R", 1.0, 30), ("R", 0.1, 0), ("S", 0.0, 0)])
def test_where_the_kernel_keeps_no_count_only_what_is_certain_counts(states: str, cpu: float, expected: int) -> None:
    assert _silent_for(31, _threads(states=states, counted=False), per_second_cpu=cpu) == expected


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0, 1), st.sampled_from(["S", "R", "T", "D"])), max_size=40))
def test_no_more_counts_than_passed_and_was_not_held_up(looks: list[tuple[float, float, str]]) -> None:
    silence, now, delay, bound = Silence(0.0), 0.0, 0.0, 0.0
    silence.look(now, _threads())
    for passed, held_up, state in looks:
        now, delay = now + passed, delay + passed * held_up
        silence.look(now, _threads(states=state, delay_s=delay))
        bound += 0 if state == "D" else min(2.0, passed)
        assert 0 <= silence.counted_s <= bound + 1e-6


def test_a_process_is_waited_for_while_it_computes() -> None:
    for program, over in (("while True: pass", False), ("import time; time.sleep(600)", True)):
        with subprocess.Popen([sys.executable, "-c", program]) as child:
            patience, seen = Patience(1.5, time.monotonic(), partial(list, [child.pid])), threads_of(child.pid)
            while not patience.is_over(time.monotonic()) and seen is not None and seen.cpu_s < 1.0:
                time.sleep(0.02)
                seen = threads_of(child.pid)
            assert patience.is_over(time.monotonic()) is over
            child.kill()


def test_what_no_process_stands_for_is_waited_for_by_the_clock() -> None:
    patience = Patience(60.0, 0.0, tuple)
    assert not patience.is_over(59.0)
    assert patience.is_over(60.5)
    patience.heard(60.5)
    assert not patience.is_over(100.0)


def test_a_real_process_is_seen_with_all_its_threads() -> None:
    # The kernel counts processor time in hundredths of a second.
    program = "import threading, time; sum(range(5_000_000)); threading.Thread(target=time.sleep, args=(60,)).start(); "
    program += "print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        seen = threads_of(child.pid)
        assert seen is not None
        assert seen.states <= set("SR")
        assert seen.cpu_s > 0
        if os.path.exists("/proc/self/schedstat"):  # noqa: PTH110
            assert len(seen.delays_ns) == 2
        child.kill()
    assert threads_of(child.pid) is None
