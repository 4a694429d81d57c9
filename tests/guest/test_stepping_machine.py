"""The clock of a whole machine steps, Temporal's server with it, while a run works there.

`python -m tests.long tests/guest -s` shows what the guest says. A planted fault is a file of the checkout that reads
otherwise in the guest.
"""

from pathlib import Path

import pytest

from tests.guest.booted import booted
from tests.guest.console import Step
from tests.guest.inside import STEPS
from tests.guest.machines import STEPPING

WITHIN_S = 1_700.0
STEADY = Path("headway/system/steady.py")


def steps(lines: list[str]) -> list[Step]:
    return [step for line in lines if (step := Step.read(line)) is not None]


@pytest.mark.long
@pytest.mark.timeout(WITHIN_S + 300)
def test_a_run_goes_on_while_the_clock_of_the_machine_steps(tmp_path: Path) -> None:
    code, lines = booted(tmp_path, STEPPING, WITHIN_S, {})
    made = steps(lines)
    assert [step.offset_s for step in made] == [offset for offset, _ in STEPS], (
        "the run was over before all steps were made"
    )
    assert [step for step in made if not step.applied] == []
    assert code == 0


@pytest.mark.long
@pytest.mark.timeout(WITHIN_S + 300)
def test_a_steady_clock_that_is_the_wall_clock_is_caught(tmp_path: Path) -> None:
    right = STEADY.read_text()
    planted = right.replace("return time.clock_gettime(_CLOCK)", "return time.time()")
    assert planted != right
    code, lines = booted(tmp_path, STEPPING, WITHIN_S, {str(STEADY): planted})
    assert any("headway up is ready" in line for line in lines), "it failed for another reason"
    assert steps(lines)
    assert code != 0
