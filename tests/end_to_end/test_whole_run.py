"""A run on a real repository of thousands of files, through the real server, with worker processes that are killed."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.support.playbooks import flat, with_sub_planner
from tests.support.repositories import git
from tests.support.site import Machine, machine


async def finished(site: Machine, name: str, handle: object, within_s: float) -> dict[str, object]:
    """The run's report, once it ended."""
    report = await asyncio.wait_for(handle.result(), within_s)  # type: ignore[attr-defined]
    assert isinstance(report, dict)
    return report


async def test_a_run_with_a_sub_planner_on_five_thousand_files_ends_done(home: Path, large_repository: Path) -> None:
    async with machine(home, large_repository, with_sub_planner("whole", 4, 4)) as site:
        run = await site.start("whole", check="test -f made/3.py && test -f lower/3.py")
        report = await finished(site, "whole", run, 120)
        assert report["outcome"] == "done"
        assert report["commits"] == 8
        assert site.rehearsal.problems() == []
        files = git("-C", str(large_repository), "ls-tree", "-r", "--name-only", "headway/whole/main").split()
        assert len(files) == 5008
        assert Counter(commit.task for commit in site.landed("whole")).most_common(1)[0][1] == 1
        tree = await run.query("tree")
        assert {child["title"] for child in tree["children"]} >= {"The lower half", "Write part 0"}


@pytest.mark.long
@pytest.mark.parametrize("moments", [(8, 65), (8, 25, 45, 65, 85)])
async def test_kill_9_of_the_agents_process_at_any_moment_loses_and_repeats_nothing(
    home: Path, small_repository: Path, moments: tuple[int, ...]
) -> None:
    tasks, agents = 20, 8
    async with machine(home, small_repository, flat("killed", tasks, latency_ms=150), agents=agents) as site:
        run = await site.start("killed", check="test $(ls made | wc -l) = 20")
        for moment in moments:
            await site.until_requests(moment)
            site.kill("agents")
        report = await finished(site, "killed", run, 180)
        assert report["outcome"] == "done"
        handoffs = site.handoffs("killed")
        assert Counter(len(said) for said in handoffs.values()) == {1: tasks + 1}, "each agent exactly one handoff"
        commits = Counter(commit.task for commit in site.landed("killed"))
        assert len(commits) == tasks
        assert set(commits.values()) == {1}, "each task's commit once on the trunk"
        asked = site.rehearsal.report()
        answered = site.answers("killed")
        assert asked["requests"] - answered <= len(moments) * agents, "at most one more per agent in flight and kill"
        assert answered == sum(agent["steps"] for agent in asked["agents"].values()), "no logged answer made again"
