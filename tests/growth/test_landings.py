"""After ten thousand landings by one process on one hub, neither the process nor the hub has grown with their number.

The long form is `python -m tests.long tests/growth`.
"""

import itertools
import threading
from pathlib import Path

import pytest

from benchmarks.landing_ground import Ready, generate
from headway.domain.ids import Oid
from headway.git import maintenance
from headway.git.hub import Hub
from headway.git.landing import landing_queue
from headway.git.landing.landing_queue import queue_of
from headway.git.landing.queue_files import Queued
from tests.git.ground import held
from tests.growth.state import Bounds, Process, files_in, growth

SUBMITTERS = 8


def land(hub: Hub, work: list[list[Queued]]) -> None:
    """Land everything, in one thread for each list."""
    failed: list[object] = []

    def submit(share: list[Queued]) -> None:
        try:
            with queue_of(hub, held, synced=False) as queue:
                for queued in share:
                    verdict = queue.submit(queued, lambda: None)
                    if verdict.state != "landed":
                        failed.append(verdict)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            failed.append(error)

    threads = [threading.Thread(target=submit, args=(share,)) for share in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed[:3]


def batch(hub: Hub, base: Oid, start: int, number: int) -> list[list[Queued]]:
    """Changes of so many files, which are in the hub when this returns."""
    ready, each = Ready(hub, base), range(SUBMITTERS)
    work = [list(itertools.islice(ready.disjoint(start + me, SUBMITTERS), number // SUBMITTERS)) for me in each]
    ready.flush()
    ready.reader.close()
    return work


@pytest.mark.parametrize(
    ("number", "blocks"),
    [pytest.param(160, 30.0, id="short"), pytest.param(10_000, 1.0, id="10,000", marks=[pytest.mark.long])],
)
@pytest.mark.timeout(1_800)
def test_landings_leave_nothing_in_their_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, blocks: float
) -> None:
    monkeypatch.setattr(maintenance, "SHORTEST_S", 1.0)
    source = generate(tmp_path / "source.git", 10)
    hub = Hub(tmp_path / "run" / "hub.git")
    base = hub.prepare(str(source), None).base
    step = 400 if number > 400 else number // 2

    def round_of(count: int, at: int) -> None:
        for start in range(0, count, step):
            land(hub, batch(hub, base, (at + start) * SUBMITTERS, step))

    round_of(step, 0)
    settle(hub, base)
    landing_queue._turns.close()  # what is remembered of trees has its own bound
    before = Process.look(tmp_path)
    round_of(number, step)
    settle(hub, base)
    landing_queue._turns.close()
    assert growth(before, Process.look(tmp_path), number, Bounds(blocks=blocks, megabytes=30 / number)) == []
    files = files_in(hub.folder)
    assert files["objects/pack/pack-#.pack"] <= 2 * maintenance.LANDINGS, "packed now and then"
    assert {name: count for name, count in files.items() if name.startswith("refs/")} == {"refs/heads/main": 1}
    assert [name for name in files if name.startswith("landing/")] == []
    assert int(hub.repo.run("rev-list", "--count", f"{base}..refs/heads/main").text) == number + step


def settle(hub: Hub, base: Oid) -> None:
    """Return when no packing goes on."""
    for process in maintenance._running:
        process.wait(300)
    maintenance._running.clear()
    assert hub.tip() != base
