"""Submitters that land as fast as they can: threads in four processes, all on one core, so that rates are per core."""

import itertools
import json
import os
import random
import shutil
import statistics
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.landing_ground import Ready
from headway.domain.ids import Oid
from headway.git.hub import TRUNK, Hub
from headway.git.landing.landing_queue import LandingQueue, queue_of
from headway.git.landing.queue_files import Queued
from headway.git.workspace import overlay

PROCESSES = 4
ROUNDS = 3
HOT_SHARE = 20
"""One landing in so many is of the hot file."""
WORK_S = 0.2
RESOLVE_S = 0.05
"""How long a submitter works for a landing, and on a conflict, on the average: an hour of 300 agents in seconds."""


@dataclass
class Row:
    """What one load came to. Waits are in seconds, from the first submission to the landing."""

    waits: list[float] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    gave_up: int = 0
    conflicts: int = 0
    wasted: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Landings per second."""
        return len(self.waits) / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU of all processes for one landing: those of git and of the submitters included."""
        return self.cpu_s * 1e3 / len(self.waits)

    def wait_ms(self, share: float) -> float:
        """The wait that this share of landings was below."""
        return sorted(self.waits)[min(int(len(self.waits) * share), len(self.waits) - 1)] * 1e3


@contextmanager
def hub_in(folder: Path, source: Path) -> Iterator[tuple[Hub, Oid]]:
    """A fresh hub of `source` below `folder`, which goes with it."""
    place = folder / f"headway-bench-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    try:
        hub = Hub(place / "hub.git")
        yield hub, hub.prepare(str(source), None).base
    finally:
        overlay.unmount_below(place)
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def one_core() -> Iterator[None]:
    """This process, and what it starts, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def disjoint(hub: Hub, base: Oid, submitters: int, *, synced: bool, seconds: float, most: int) -> Row:
    """Everybody changes files of their own."""
    ready = Ready(hub, base)
    share = most // submitters
    work = [list(itertools.islice(ready.disjoint(each, submitters), share)) for each in range(submitters)]
    ready.flush()
    ready.reader.close()

    def land(turns: LandingQueue, me: int, until: float, row: Row) -> None:
        for queued in work[me]:
            if time.time() > until:
                return
            _landed(turns, queued, row)

    return _measured(hub, base, submitters, land, synced=synced, seconds=seconds)


def _landed(turns: LandingQueue, queued: Queued, row: Row) -> Oid:
    begun = time.monotonic()
    verdict = turns.submit(queued, lambda: None)
    assert verdict.state == "landed", verdict
    assert verdict.commit is not None
    row.waits.append(time.monotonic() - begun)
    row.commits.append(verdict.commit)
    return verdict.tip


def with_hot_file(hub: Hub, base: Oid, submitters: int, *, synced: bool, each: int) -> Row:
    """One landing in twenty appends to one file that all append to; who conflicts resolves, three times at most."""
    ready = Ready(hub, base)
    work = [list(itertools.islice(ready.disjoint(me, submitters), each)) for me in range(submitters)]
    ready.flush()
    ready.reader.close()

    def land(turns: LandingQueue, me: int, _until: float, row: Row) -> None:
        mine, dice = Ready(hub, base), random.Random(me)
        seen = base
        for number, queued in enumerate(work[me]):
            time.sleep(dice.uniform(0, 2 * WORK_S))
            if (number + me) % HOT_SHARE:
                seen = _landed(turns, queued, row)
            else:
                seen = _landed_hot(turns, mine, (me, number), seen, row)
        mine.reader.close()

    return _measured(hub, base, submitters, land, synced=synced, seconds=600.0)


def _landed_hot(turns: LandingQueue, mine: Ready, who: tuple[int, int], seen: Oid, row: Row) -> Oid:
    hot, dice = mine.paths[0], random.Random(f"{who}")
    begun = time.monotonic()
    for attempt in range(ROUNDS):
        # On a conflict both sides stay: the file as the trunk has it, and the own line.
        body = mine.blob(seen, hot) + f"line of {who}\n".encode()
        queued = mine.change(hot, body, seen, who[0], f"bench:hot-{who}-{attempt}")
        mine.flush()
        verdict = turns.submit(queued, lambda: None)
        seen = verdict.tip
        if verdict.commit is not None:
            row.waits.append(time.monotonic() - begun)
            row.commits.append(verdict.commit)
            return seen
        assert verdict.state == "conflicted", verdict
        row.conflicts += 1
        time.sleep(dice.uniform(0, 2 * RESOLVE_S))
    row.gave_up += 1
    return seen


def conflict_ms(hub: Hub, base: Oid, times: int = 15) -> float:
    """Median time of an answer to a conflicting submission, markers made; nobody else lands."""
    ready = Ready(hub, base)
    hot = ready.paths[0]
    text = ready.blob(base, hot)
    first = ready.change(hot, text + b"first\n", base, 0, "bench:first")
    others = [ready.change(hot, text + f"other {n}\n".encode(), base, n, f"bench:{n}") for n in range(1, times + 1)]
    ready.flush()
    ready.reader.close()
    took = []
    with queue_of(hub, lambda _fence: True) as turns:
        assert turns.submit(first, lambda: None).state == "landed"
        for other in others:
            begun = time.monotonic()
            assert turns.submit(other, lambda: None).state == "conflicted"
            took.append(time.monotonic() - begun)
    return statistics.median(took) * 1e3


Load = Callable[[LandingQueue, int, float, Row], None]


def _measured(hub: Hub, base: Oid, submitters: int, load: Load, *, synced: bool, seconds: float) -> Row:
    results = hub.folder.parent / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir()
    start = time.time() + 0.3
    processes = []
    for mine in range(PROCESSES):
        shares = [(load, each) for each in range(mine, submitters, PROCESSES)]
        work = partial(_process, hub, shares, (start, start + seconds), results / f"{mine}.json", synced=synced)
        processes.append(_forked(work))
    row = Row()
    for pid in processes:
        _, status, used = os.wait4(pid, 0)
        assert status == 0, "a submitter failed"
        row.cpu_s += used.ru_utime + used.ru_stime
    ends = []
    for found in results.iterdir():
        told = json.loads(found.read_bytes())
        ends.append(told.pop("end"))
        part = Row(**told)
        row.waits += part.waits
        row.commits += part.commits
        row.gave_up += part.gave_up
        row.conflicts += part.conflicts
        row.wasted += part.wasted
    row.seconds = max(ends) - start
    _nothing_lost_or_doubled(hub, base, row)
    return row


def _process(hub: Hub, shares: list[tuple[Load, int]], span: tuple[float, float], to: Path, *, synced: bool) -> None:
    rows = [Row() for _ in shares]
    with queue_of(hub, lambda _fence: True, synced=synced) as turns:
        threads = [
            threading.Thread(target=load, args=(turns, me, span[1], row))
            for (load, me), row in zip(shares, rows, strict=True)
        ]
        while time.time() < span[0]:
            time.sleep(0.005)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = Row(wasted=turns.wasted)
    for row in rows:
        whole.waits += row.waits
        whole.commits += row.commits
        whole.gave_up += row.gave_up
        whole.conflicts += row.conflicts
    to.write_text(json.dumps({**vars(whole), "end": time.time()}))


def _forked(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - a child must not go on as the benchmark
            traceback.print_exc(file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def _nothing_lost_or_doubled(hub: Hub, base: Oid, row: Row) -> None:
    on_trunk = hub.repo.run("rev-list", "--first-parent", f"{base}..{TRUNK}").text.split()
    assert sorted(on_trunk) == sorted(row.commits), "a landing was lost or doubled"
    assert len(hub.landed(base)) == len(row.commits)
