"""What a power loss leaves empty or torn counts as of another boot: it is set aside or skipped, and stops nothing."""

from pathlib import Path

import pytest

from headway.domain.errors import HeadwayError
from headway.git.gc import reclaim, reclaimable
from headway.git.workspace.base_layers import BaseLayers
from headway.git.workspace.snapshot import snapshot
from tests.git.ground import RUNGS, Ground, write

TORN = [b"", b"{", b"\0" * 200, None]


def tear(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize("content", TORN)
@pytest.mark.parametrize("note", ["owner.json", "standing.json"])
@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_a_workspace_with_torn_notes_is_set_aside_and_rebuilt(ground: Ground, note: str, content: bytes | None) -> None:
    mine, other = ground.open(1), ground.open(2)
    write(mine.path, {"mine.txt": "mine\n"})
    ground.land(mine)
    write(mine.path, {"kept.txt": "kept\n"})
    kept = snapshot(ground.hub, mine, mine.task, lambda: None)
    assert kept is not None
    if note == "standing.json" and content is None:
        pytest.skip("a workspace that never moved has none")
    tear(mine.home / note, content)
    write(other.path, {"other.txt": "other\n"})
    ground.land(other)  # and so does a check, and everything else of the run
    ground.workspaces.discard(other)
    assert reclaimable(ground.workspaces, lambda _: False, run_ended=False) == []
    again = ground.open(1, lease=2)
    assert again.rebuilt
    assert (again.path / "kept.txt").read_text() == "kept\n"
    assert again.changes().paths == ("kept.txt",)
    found = reclaimable(ground.workspaces, lambda _: True, run_ended=True)
    assert [why for left in found if (why := reclaim(ground.workspaces, left))] == []
    assert [home.name for home in ground.workspaces.folder.glob("*/*") if not home.name.startswith(".")] == []


@pytest.mark.parametrize("content", TORN)
@pytest.mark.parametrize("rung", ["overlay"], indirect=True)
def test_a_generation_with_torn_facts_is_skipped(ground: Ground, content: bytes | None) -> None:
    first = ground.open(1)
    tear(ground.workspaces.generations.folder / "1" / "facts.json", content)
    again = ground.open(1, lease=2)
    assert again.rebuilt
    assert ground.open(2).path.is_dir()
    assert ground.workspaces.generations.due(None) == "no"
    assert ground.workspaces.generations.numbers() == [1, 2]
    ground.workspaces.reclaim()
    assert first.home == again.home


def test_housekeeping_never_fails_its_caller(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (OSError(28, "No space left on device"), HeadwayError("x"), ValueError("x")):

        def failing(self: BaseLayers, error: Exception = error) -> list[int]:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(BaseLayers, "numbers", failing)
            assert ground.workspaces.reclaim() == []
    workspace = ground.open(3)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        ground.workspaces.discard(workspace)
