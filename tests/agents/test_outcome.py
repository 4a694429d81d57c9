"""A model is told what the machine did to its command, in words, and nothing when nothing happened."""

from dataclasses import replace
from pathlib import Path

import pytest

from headway.sandbox.outcome import Ran, how_it_ended, measured, remarks
from headway.sandbox.runner import CommandResult, KilledFor
from headway.sandbox.spec import SandboxSpec

FINE = CommandResult(0, 1.0, output="", output_cut=False, output_bytes=0, cpu_s=0.5)
WALLS = SandboxSpec(agent="run/one", workspace=Path("/w"), memory_mb=512)


def test_an_ordinary_end_is_told_in_one_word_and_measured() -> None:
    assert how_it_ended(FINE) == "exit code 0"
    assert remarks(FINE, WALLS) == []
    assert measured("make", "", FINE) == Ran(command="make", exit_code=0, note="", cpu_s=0.5)


def test_out_of_memory_is_told_also_when_the_shell_ended_well() -> None:
    behind_a_pipe = replace(FINE, out_of_memory=True, tree_peak_kb=524_288)
    assert how_it_ended(behind_a_pipe) == "exit code 0, out of memory"
    [said] = remarks(behind_a_pipe, WALLS)
    assert "512 MB together" in said
    assert measured("make", "", behind_a_pipe).out_of_memory


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("timeout", "killed: timed out after 1 s"),
        ("output_limit", "killed: output limit"),
        ("oom", "killed: out of memory"),
        ("processes", "killed: too many processes"),
        ("disk_quota", "killed: the workspace is over its disk quota"),
        ("cancelled", "killed: cancelled"),
    ],
)
def test_why_a_command_was_killed_is_told(why: KilledFor, words: str) -> None:
    assert how_it_ended(replace(FINE, exit_code=None, killed_for=why)) == words


def test_refused_forks_a_full_disk_and_waiting_are_told() -> None:
    said = remarks(
        replace(FINE, forks_refused=3, disk_full=True, waited_s=12.3, waited_for=("memory", "slot", "slot")), WALLS
    )
    assert ["processes" in said[0], "quota" in said[1]] == [True, True]
    assert said[2].startswith("Waited 12 s for memory of this machine and other builds and tests on this machine")


def test_a_moment_of_waiting_is_only_measured() -> None:
    moment = replace(FINE, waited_s=0.2, waited_for=("slot",))
    assert remarks(moment, WALLS) == []
    assert measured("make", "", moment).waited_s == 0.2
