"""A generated run through the real machine, while the model's server fails in every way that a wait mends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headway.rehearsal.fault import Fault
from headway.rehearsal.generator import generate, tasks_of
from headway.rehearsal.shape import Shape
from tests.support.events import conflicted
from tests.support.repositories import git
from tests.support.site import Machine, shared_machine

# With this seed each fault hits one of the tasks at least, whose draws no timing changes.
SHAPE = Shape(tasks=12, levels=3, subplanners=2, hot=0.1, files=2, command_s=0.1, latency_ms=(5, 60), seed=349)

FAULTS = (
    Fault(kind="rate_limit", share=0.02, retry_after_s=0),
    Fault(kind="server_error", share=0.02),
    Fault(kind="unavailable", share=0.02, retry_after_s=1),
    Fault(kind="hang", share=0.02, seconds=1),
    Fault(kind="truncated", share=0.02),
    Fault(kind="html", share=0.02),
    Fault(kind="dropped", share=0.02),
    Fault(kind="unknown_tool", share=0.02, only="tasks"),
    Fault(kind="toolless", share=0.02, only="tasks"),
)
"""Neither `quota`, for which everybody waits a minute, nor `overflow`, which costs a task its attempt."""


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    async with shared_machine(tmp_path_factory.mktemp("machine")) as site:
        yield site


async def test_a_generated_run_on_a_faulty_server_ends_done_and_uses_its_playbook_up(
    shared: Machine, small_repository: Path
) -> None:
    with shared.playing(small_repository, generate(SHAPE, faults=FAULTS)) as site:
        run = await site.start("made", check="test $(ls made/0000 | wc -l) = 24")
        report = await asyncio.wait_for(run.result(), 120)
        asked = site.rehearsal.report()
        assert site.rehearsal.problems() == []
        assert report["outcome"] == "done"
        assert {agent: len(said) for agent, said in site.handoffs("made").items() if len(said) != 1} == {}
        assert len(site.handoffs("made")) == len(tasks_of(SHAPE)) + SHAPE.planners
        assert report["commits"] == len(tasks_of(SHAPE))
        wire = {fault.kind for fault in FAULTS if fault.is_outage}
        assert wire <= set(asked["faults"]), "each of them happened"
        assert asked["retries"] == sum(asked["faults"][kind] for kind in wire), "each was asked again, once"
        assert (asked["repeats"], asked["unheard"]) == (0, 0)
    assert_written(small_repository, "made", SHAPE)


async def test_generated_workers_resolve_their_conflicts_and_no_line_is_lost(
    shared: Machine, small_repository: Path
) -> None:
    shape = Shape(tasks=6, hot=0.5, command_s=2, partial=0.1, seed=2)
    with shared.playing(small_repository, generate(shape)) as site:
        run = await site.start("hot")
        await asyncio.wait_for(run.result(), 120)
        assert site.rehearsal.problems() == []
        events = [event for agent in site.handoffs("hot") for event in site.store.read(agent)]
        assert any(map(conflicted, events))
        ends = {said[0].title: said[0].report.status.value for said in site.handoffs("hot").values()}
        assert {task.title: task.ends for task in tasks_of(shape)}.items() <= ends.items()
    assert_written(small_repository, "hot", shape)


def assert_written(repository: Path, run: str, shape: Shape) -> None:
    """Each file of each task that lands is on the run's branch, and each line of a hot file stands there once."""
    for task in tasks_of(shape):
        for path in (*task.files, *([task.hot] if task.hot else [])):
            lines = git("-C", str(repository), "show", f"headway/{run}/main:{path}").splitlines()
            assert lines.count(task.title) == 1, (path, lines)
