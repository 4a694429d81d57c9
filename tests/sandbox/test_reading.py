"""What reads for an agent runs in the agent's own control group, and so with the agent's memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.domain.errors import ToolError
from headway.editing.files import Files
from headway.git.hub import Hub
from headway.sandbox.cgroup.groups import Groups
from headway.sandbox.resources import Resources
from headway.system.bounded import Bounds, read_from
from tests.git.ground import make_repository

MB = 1 << 20


@pytest.fixture
def resources() -> Iterator[Resources]:
    cages = Groups.detect()
    if cages is None or "memory" not in cages.limits:
        pytest.skip("no control group with a memory controller can be made here")
    held = Resources(cages)
    yield held
    held.close()


def test_a_program_runs_in_the_group_of_its_agent(resources: Resources) -> None:
    with resources.reading("some/agent", 64) as bounds:
        said = read_from(["cat", "/proc/self/cgroup"], bounds=bounds, most=MB)
        assert resources.cages is not None
        assert resources.cages.of("some/agent", 64).name in said.out.decode()
        assert resources.cages.users("some/agent") == 1
    assert resources.cages.users("some/agent") == 0


def test_an_agent_s_memory_bounds_its_search_of_a_hub(resources: Resources, tmp_path: Path) -> None:
    source = make_repository(tmp_path / "repo", {"line": b"a" * (100 * MB), "small": "ab\n"})
    hub = Hub(tmp_path / "hub.git")
    hub.prepare(str(source), None)
    small = hub.held_to(lambda: resources.reading("small/agent", 32))
    with pytest.raises(ToolError, match="more than 32 MB of memory"):
        small.grep("HEAD", "ab")
    large = hub.held_to(lambda: resources.reading("large/agent", 512))
    assert large.grep("HEAD", "ab") == ["small:1:ab"]
    assert small.grep("HEAD", "ab", "small") == ["small:1:ab"], "the group is as good as before"


def test_an_agent_s_memory_bounds_its_search_of_a_workspace(resources: Resources, tmp_path: Path) -> None:
    (tmp_path / "line").write_bytes(b"a" * (200 * MB))
    (tmp_path / "small").write_text("ab\n")
    files = Files(tmp_path, lambda: resources.reading("small/agent", 32))
    with pytest.raises(ToolError, match="memory"):
        files.grep("a.*b")
    assert files.grep("ab", "small") == "small:1:ab"


def test_a_group_that_cannot_be_entered_is_told(tmp_path: Path) -> None:
    said = read_from(["true"], bounds=Bounds(doors=(tmp_path / "no" / "door",)), most=MB)
    assert said.code == 125
