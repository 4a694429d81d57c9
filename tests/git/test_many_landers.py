"""Many processes land at once: each landing that was acknowledged is on the trunk, once, and no change is lost."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from headway.git.changes import Changes
from headway.git.landing.landing import Conflicted, Landed
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, write

LANDERS = 8
CHANGES = 3
HOT = "hot.txt"


def in_processes(number: int, work: Callable[[int], None]) -> None:
    """Run `work` in processes of their own, and wait for all of them."""
    children = []
    for index in range(number):
        pid = os.fork()
        if pid == 0:
            try:
                work(index)
            except BaseException:  # noqa: BLE001 - a child must not go on as a test run
                traceback.print_exc(file=sys.stderr)
                os._exit(1)
            os._exit(0)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    assert codes == [0] * number


def _land_until_landed(ground: Ground, workspace: Workspace, line: str) -> Landed:
    """As an agent does: on a conflict both sides stay, and the change is landed again."""
    for _ in range(LANDERS * CHANGES):
        outcome = ground.land(workspace, f"Add {line}")
        if isinstance(outcome, Landed):
            return outcome
        assert isinstance(outcome, Conflicted), outcome
        hot = workspace.path / HOT
        sides = hot.read_text().split("\n")
        hot.write_text("".join(f"{text}\n" for text in sides if text and text[0] not in "<|=>"))
    raise AssertionError("never landed")


def test_no_landing_is_lost_or_doubled(ground: Ground, tmp_path: Path) -> None:
    acknowledged = tmp_path / "acknowledged"
    acknowledged.mkdir()

    def work(index: int) -> None:
        workspace = ground.open(index)
        for number in range(CHANGES):
            line = f"{index}-{number}"
            write(workspace.path, {f"own/{line}.txt": f"{line}\n"})
            if number % 2:
                hot = workspace.path / HOT
                hot.write_text((hot.read_text() if hot.exists() else "") + f"{line}\n")
            outcome = _land_until_landed(ground, workspace, line)
            (acknowledged / outcome.commit).write_text(line)
            assert workspace.changes() == Changes()

    in_processes(LANDERS, work)
    landed = ground.hub.landed(ground.facts.base)
    assert {commit.oid for commit in landed} == {place.name for place in acknowledged.iterdir()}
    assert len(landed) == ground.landings() == LANDERS * CHANGES
    for commit in landed:
        line = (acknowledged / commit.oid).read_text()
        assert commit.subject == f"Add {line}"
        assert f"own/{line}.txt" in ground.hub.changed_paths(f"{commit.oid}^", commit.oid)
    wanted = {f"{index}-{number}" for index in range(LANDERS) for number in range(CHANGES)}
    assert {name.removesuffix(".txt") for name in ground.hub.list_dir("HEAD", "own").split("\n")} == wanted
    hot = ground.on_trunk(HOT).decode().split()
    assert sorted(hot) == sorted(line for line in wanted if int(line.partition("-")[2]) % 2)
    ground.check_whole()


def test_workspaces_are_made_at_once_without_disturbing_each_other(ground: Ground) -> None:
    def work(index: int) -> None:
        for number in range(4):
            assert ground.open(index * 10 + number).changes() == Changes()

    in_processes(LANDERS, work)
