"""A process in which nothing works but what is measured: other tests of the suite leave threads and children behind.

`python -m tests.growth.alone runs FOLDER TASKS LANDINGS BEFORE RUNS`, or `kinds FOLDER`. It prints JSON.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

from headway.git.landing import landing_queue
from tests.growth.life import Life, Shape, life
from tests.growth.state import Bounds, Process, files_in, growth, more

MANY = 10**9


SHORT = Bounds(blocks=1_500, megabytes=10.0)
"""With few runs, what a process keeps once and for all counts for each of them."""

MEASURED = 50
"""From so many runs on, what a process keeps for each of them can be told from what it keeps once and for all."""

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


async def runs(folder: Path, shape: Shape, first: int, number: int) -> dict[str, list[str]]:
    """What `number` runs leave behind after the `first` ones, and, in a short life, what a leak adds."""
    bounds = SHORT if number < MEASURED else LONG
    async with life(folder, shape) as one:
        await one.runs(first)
        said = {"left": await grown(one, shape, number, bounds)}
        if number < MEASURED:
            with patch.object(landing_queue._turns, "_most", MANY):  # as it was: a connection for each run, for good
                said["leaks"] = await grown(one, shape, number, bounds)
        return said


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


KINDS: dict[str, Callable[[Planted], None]] = {
    each.__name__: each
    for each in (
        Planted.descriptor,
        Planted.entries,
        Planted.large,
        Planted.child,
        Planted.file,
        Planted.nothing,
    )
}


def kinds(folder: Path) -> dict[str, list[str]]:
    """What is found of each kind of growth, after a first look, which loads what a look needs."""
    said = {}
    growth(Process.look(folder), Process.look(folder), 1, Bounds(0, 0))
    for kind, plant in KINDS.items():
        planted = Planted(folder)
        before, files = Process.look(folder), files_in(folder)
        for _ in range(5):
            plant(planted)
        said[kind] = growth(before, Process.look(folder), 5, Bounds(blocks=150, megabytes=10.0))
        said[kind] += more(files, files_in(folder), "files of the state folder")
        planted.stack.close()
    return said


def main(what: str, folder: str, *numbers: str) -> None:
    """See the module."""
    if what == "kinds":
        print(json.dumps(kinds(Path(folder))))
    else:
        tasks, landings, first, number = map(int, numbers)
        print(json.dumps(asyncio.run(runs(Path(folder), Shape(tasks, landings), first, number))))


if __name__ == "__main__":
    main(*sys.argv[1:])
