"""The check of a commit: what it says, and what it leaves behind."""

from pathlib import Path
from typing import Any

import pytest

from headway.domain.check import CheckVerdict, RunCheck
from headway.runs.check import Checker, failing_lines
from tests.agents.stage import INCARNATION, ROOT, RUN, Stage
from tests.support.sandboxes import PlainSandbox


async def verdict(stage: Stage) -> CheckVerdict:
    checker = Checker(stage.store, lambda _: stage.hub, lambda _: stage.places, PlainSandbox(), lambda: 7.0)
    order = RunCheck(run=RUN, incarnation=INCARNATION, spec=stage.context.spec, asked_by=ROOT)
    return await checker.check(order, stage.beats.append)


@pytest.mark.parametrize(
    ("more", "passed", "why", "failing"),
    [
        ({"check": "grep -q hello README.md"}, True, "passed", ""),
        ({"check": "echo fine; echo 'E: assertion failed'; exit 1"}, False, "exit code 1", "E: assertion failed"),
        ({"check": "test -f made", "setup": "touch made"}, True, "passed", ""),
        ({"check": "true", "setup": "echo boom; exit 4"}, False, "setup: exit code 4", "boom"),
        ({"check": "sleep 60", "limits": {"command_seconds": 1}}, False, "killed: timed out after 1 s", ""),
        ({}, False, "no check was given", ""),
    ],
    ids=["green", "red", "after setup", "setup fails", "too long", "none"],
)
async def test_a_check_says_what_it_found_and_leaves_nothing(
    tmp_path: Path, more: dict[str, Any], passed: bool, why: str, failing: str
) -> None:
    stage = Stage(tmp_path, limits=more.pop("limits", {}), more=more)
    found = await verdict(stage)
    assert found == CheckVerdict(
        commit=stage.base, passed=passed, why=why, failing=failing, at=7.0, seconds=found.seconds
    )
    assert list(stage.places.folder.glob("*/[!.]*")) == []


def test_the_lines_that_tell_of_the_failure_come_first() -> None:
    output = "\n".join(["building", *(f"ok {n}" for n in range(50)), "FAILED test_two", "error: three"])
    assert failing_lines(output) == "FAILED test_two\nerror: three"
    assert failing_lines("one\n\ntwo\n") == "one\ntwo"


async def test_a_torn_note_of_another_workspace_throws_no_verdict_away(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    stage = Stage(tmp_path, more={"check": f"echo x >> {ran}"})
    for _ in range(2):  # two generations, as after 25 commits
        build = stage.places.generations.begin()
        assert build is not None
        with build:
            build.publish(None)
    other = stage.places.open(stage.task().me, 1, 1)
    (other.home / "owner.json").write_bytes(b"")
    assert (await verdict(stage)).passed
    assert ran.read_text() == "x\n"
