"""Control groups of version 2 as a kernel really has them: the tests of the sandbox run in a machine of their own.

Most test machines have version 1, or a version 2 in which nothing is delegated. In the guest the whole tree of version
2 is mounted, with every controller, and its root user owns it.
"""

import re
from pathlib import Path

import pytest

from tests.guest.booted import booted

WITHIN_S = 1_700.0
SUITES = "tests/sandbox/test_cgroup.py tests/sandbox/test_hierarchy.py tests/sandbox/test_resources.py"
PROGRAM = f"-m pytest -v -n 0 -p no:cacheprovider --color=no -rs -k 'not three_hundred' {SUITES}"
"""The guest has no memory for three hundred commands at once."""
CAGE = Path("headway/sandbox/cgroup/group.py")


@pytest.mark.long
@pytest.mark.timeout(WITHIN_S + 300)
def test_limits_kills_and_counts_hold_in_groups_of_version_2(tmp_path: Path) -> None:
    code, lines = booted(tmp_path, PROGRAM, WITHIN_S, {})
    assert code == 0
    assert not [line for line in lines if "may make no control groups" in line]
    assert not [line for line in lines if line.startswith("SKIPPED") and "cgroup cannot be had" in line]
    assert re.search(r"=+ (\d{2,}) passed", lines[-3])


@pytest.mark.long
@pytest.mark.timeout(WITHIN_S + 300)
def test_a_limit_on_memory_that_is_never_set_is_caught(tmp_path: Path) -> None:
    right = CAGE.read_text()
    planted = right.replace("limit_memory(memory, memory_mb * _MB, v2=v2)", "pass")
    assert planted != right
    code, lines = booted(tmp_path, PROGRAM, WITHIN_S, {str(CAGE): planted})
    assert code == 1
    assert any("test_two_commands_of_an_agent_share_its_limit" in line for line in lines if "FAILED" in line)
