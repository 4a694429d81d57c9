"""A program that reads for an agent: whatever it says, takes or starts, this process takes a bounded amount of it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from headway.system.bounded import Bounds, read_from
from tests.support.processes import gone

MB = 1 << 20


def say(line: str, **bounds: object) -> tuple[list[str], Bounds]:
    return ["sh", "-c", line], Bounds(**bounds)  # type: ignore[arg-type]


def test_what_a_program_says_is_read() -> None:
    argv, bounds = say("echo out; echo err >&2; exit 3")
    said = read_from(argv, bounds=bounds, most=MB)
    assert (said.code, said.out, said.err, said.end, said.starved) == (3, b"out\n", "err\n", "itself", False)


def test_output_is_read_to_a_bound_and_the_program_is_ended(tmp_path: Path) -> None:
    argv, bounds = say(f"echo $$ > {tmp_path}/pid; yes; echo never > {tmp_path}/after")
    said = read_from(argv, bounds=bounds, most=MB)
    assert (len(said.out), said.end) == (MB, "cut")
    assert gone(int((tmp_path / "pid").read_text()))
    assert not (tmp_path / "after").exists()


def test_lines_are_read_to_a_bound() -> None:
    argv, bounds = say("yes")
    said = read_from(argv, bounds=bounds, most=MB, lines=10)
    assert said.end == "cut"
    assert said.out.count(b"\n") > 10


def test_errors_are_read_to_a_bound() -> None:
    argv, bounds = say("yes | head -c 5000000 >&2; echo done")
    said = read_from(argv, bounds=bounds, most=MB)
    assert (said.out, len(said.err)) == (b"done\n", 4096)


def test_a_program_that_says_nothing_is_ended_after_its_time_with_all_that_it_started(tmp_path: Path) -> None:
    pid, seconds = tmp_path / "pid", 0.3
    while not (pid.exists() and pid.read_text().strip()):  # on a busy machine its time may be over before it starts any
        argv, bounds = say(f"sleep 300 & echo $! > {pid}; wait", seconds=seconds)
        began = time.monotonic()
        said = read_from(argv, bounds=bounds, most=MB)
        assert said.end == "late"
        assert time.monotonic() - began < seconds + 30
        seconds *= 2
    assert gone(int(pid.read_text()))


def test_a_program_that_closes_its_pipes_and_stays_is_late() -> None:
    argv, bounds = say("exec >&- 2>&-; sleep 300", seconds=0.3)
    assert read_from(argv, bounds=bounds, most=MB).end == "late"


@pytest.mark.skipif(sys.platform != "linux", reason="the system has no limit of address space")
def test_without_a_control_group_the_address_space_is_bounded() -> None:
    argv = [sys.executable, "-c", f"bytearray({600 * MB}); print('had it')"]
    assert read_from(argv, bounds=Bounds(memory_mb=2048), most=MB).out == b"had it\n"
    said = read_from(argv, bounds=Bounds(memory_mb=300), most=MB)
    assert said.starved
    assert said.out == b""


@pytest.mark.skipif(sys.platform != "linux", reason="the system does not tell")
def test_a_program_that_outlives_us_and_says_nothing_ends_by_its_processor_time() -> None:
    argv, bounds = say("while :; do :; done", seconds=0.5)
    began = time.monotonic()
    done = subprocess.run([*bounds.prefix, *argv], check=False)
    assert done.returncode < 0
    assert time.monotonic() - began < 60
