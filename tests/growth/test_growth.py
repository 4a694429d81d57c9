"""After many runs in one process, what the process and its state folder hold is back where it was, or bounded.

The long form, 100 runs with 1,000 tasks, is `python -m tests.long tests/growth`.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest

from headway.git import turns
from tests.growth.life import Life, Shape, life
from tests.growth.state import Bounds, Process, files_in, growth, more

MANY = 10**9

SHORT = Bounds(blocks=1_500, megabytes=10.0)
"""With few runs, what a process keeps once and for all counts for each of them."""

LONG = Bounds(blocks=1_000, megabytes=0.7)
"""A block is some 80 bytes. Runs of 10 tasks and 90 landings were measured at 460 to 585 blocks and 0.17 to 0.35 MB,
without an object of a growing kind; the bound is for a machine at work with other things."""


def files_of_a_run(shape: Shape) -> dict[str, int]:
    """The most files that an ended run may have, by pattern of name."""
    landings = (shape.tasks - 1) * shape.landings
    once = (
        ".incarnation.lock incarnation report.md spending.db spending.db-shm spending.db-wal hub.git.lock "
        "logs/run.jsonl logs/root-#.jsonl open/root-#.json generations/in-use.flock generations/building.flock "
        "hub.git/HEAD hub.git/config hub.git/headway.json hub.git/info/attributes hub.git/info/exclude "
        "hub.git/growth.json hub.git/land.flock hub.git/publish.flock hub.git/landings.db hub.git/landings.db-shm "
        "hub.git/landings.db-wal hub.git/refs/heads/main hub.git/refs/headway/published/headway/life-#-#/main "
        # The work of the one task that did not land.
        "hub.git/refs/headway/wip/life-#-#/root-#/#.#-# "
        # Of the connection that is kept.
        "hub.git/landing/answers/#-#/alive"
    )
    return dict.fromkeys(once.split(), 1) | {
        "logs/root-#/#.#-#.jsonl": shape.tasks,
        "blobs/#/#.gz": 2 * shape.tasks,
        # Until packing, which begins after 500 landings: a pack for each batch, and what agents wrote.
        "hub.git/objects/pack/pack-#.idx": landings + 2,
        "hub.git/objects/pack/pack-#.pack": landings + 2,
        "hub.git/objects/#/#": 4 * landings + 20,
    }


def unexpected_in(run: dict[str, int], shape: Shape) -> list[str]:
    """Files of an ended run beyond those that it may have, a line each. Its newest warm files are not judged."""
    allowed = files_of_a_run(shape)
    return more(
        allowed, {name: n for name, n in run.items() if not name.startswith("generations/#/")}, "files of a run"
    )


async def grown(one: Life, shape: Shape, runs: int, bounds: Bounds) -> list[str]:
    """What so many more runs leave behind, a line each."""
    first = one.count
    before, files = await one.look(), one.outside_of_runs()
    await one.runs(runs)
    found = growth(before, await one.look(), runs, bounds)
    found += more(files, one.outside_of_runs(), "files of the state folder")
    for number in range(first, one.count):
        found += unexpected_in(one.of_run(number), shape)
    assert set(one.ends) == {("done", (shape.tasks - 1) * shape.landings)}, one.ends
    return found


@pytest.mark.timeout(600)
async def test_a_few_runs_leave_nothing_in_their_process_and_a_leak_would_be_seen(tmp_path: Path) -> None:
    shape = Shape(tasks=2, landings=2)
    async with life(tmp_path, shape) as one:
        await one.runs(3)
        assert await grown(one, shape, 2, SHORT) == []
        with patch.object(turns._turns, "_most", MANY):  # as it was: a connection for each run, for good
            leaks = await grown(one, shape, 2, SHORT)
        assert any("descriptors: HOME/runs/life-#-#/hub.git/landings.db:" in leak for leak in leaks), leaks


@pytest.mark.long
@pytest.mark.timeout(3_600)
async def test_a_hundred_runs_leave_nothing_in_their_process(tmp_path: Path) -> None:
    shape = Shape(tasks=10, landings=2)
    async with life(tmp_path, shape) as one:
        await one.runs(12)
        assert await grown(one, shape, 100, LONG) == []


class Planted:
    """A process that does the same thing again and again, and leaves something each time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.kept: list[object] = []
        self.stack = ExitStack()

    def descriptor(self) -> None:
        self.kept.append(self.stack.enter_context((self.home / "open").open("a")))

    def entries(self) -> None:
        self.kept.append([f"task {len(self.kept)} {number}" for number in range(200)])

    def large(self) -> None:
        self.kept.append(os.urandom(20_000_000))

    def child(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.stack.callback(process.wait)
        self.stack.enter_context(process.stdin or ExitStack())

    def file(self) -> None:
        (self.home / f"task-{len(os.listdir(self.home))}.lock").touch()  # noqa: PTH208 - a count

    def nothing(self) -> None:
        bytearray(1_000_000)


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[Planted]:
    made = Planted(tmp_path)
    yield made
    made.stack.close()


@pytest.mark.parametrize(
    ("plant", "seen"),
    [
        (Planted.descriptor, "descriptors: HOME/open: 0 -> 5"),
        (Planted.entries, "blocks a run"),
        (Planted.large, "MB a run"),
        (Planted.child, "child processes: python"),
        (Planted.file, "files of the state folder: task-#.lock"),
        (Planted.nothing, ""),
    ],
)
def test_each_kind_of_growth_is_seen(planted: Planted, plant: Callable[[Planted], None], seen: str) -> None:
    before, files = Process.look(planted.home), files_in(planted.home)
    for _ in range(5):
        plant(planted)
    found = growth(before, Process.look(planted.home), 5, Bounds(blocks=150, megabytes=10.0))
    found += more(files, files_in(planted.home), "files of the state folder")
    assert [line for line in found if seen and seen in line] or (found == [] and not seen), found


def test_a_file_that_a_run_should_not_have_is_seen() -> None:
    shape = Shape(tasks=3, landings=1)
    assert unexpected_in(files_of_a_run(shape), shape) == []
    assert unexpected_in({"hub.git/refs/headway/wip/life-#-#/root-#/#.#-#": 3}, shape) != []
    assert unexpected_in({"workspaces/life-#-#/.#-#-#.lock": 1}, shape) != []
