"""What must hold after any chaos, read from the agent logs, the hub, the service and the process table."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

import psutil
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError

from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, RunName, key_of, parent_of
from headway.eventlog.events.conversation import LlmResponse, Message
from headway.eventlog.events.envelope import AnyEvent, bodies
from tests.support.repositories import git
from tests.support.site import MARK, Machine


async def ended(run: WorkflowHandle[Any, Any], within_s: float) -> dict[str, Any]:
    """The run's report, also when the server is killed while we wait for it."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                report = await run.result()
            except RPCError:
                await asyncio.sleep(0.2)
            else:
                assert isinstance(report, dict)
                return report


async def still_open(site: Machine, run: str) -> list[str]:
    """Ids of the run's workflows that are not closed, itself included."""
    query = f"(WorkflowId = '{run}' OR WorkflowId STARTS_WITH '{run}/') AND ExecutionStatus = 'Running'"
    return sorted([found.id async for found in site.client.list_workflows(query)])


async def until_closed(site: Machine, run: str, within_s: float) -> None:
    """Return when nothing of the run is open any more."""
    async with asyncio.timeout(within_s):
        while True:
            with contextlib.suppress(RPCError):
                if not await still_open(site, run):
                    return
            await asyncio.sleep(0.1)


def commands(site: Machine) -> list[str]:
    """Command lines of processes that agents' commands of this machine left or have running."""
    found = []
    for process in psutil.process_iter():
        try:
            mark = process.environ().get(MARK, "")
            if mark.startswith(site.mark) and mark != site.mark:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def logs(site: Machine, run: str) -> dict[AgentId, list[AnyEvent]]:
    """Every agent's live line."""
    store = site.store
    return {agent: store.read(agent) for agent in store.agents(RunName(run)) if agent != AgentId(run)}


def prove_one_handoff_each(site: Machine, run: str, agents: int) -> None:
    """Each agent's log ends with one handoff."""
    ends = {agent: sum(event.type == "handoff" for event in line) for agent, line in logs(site, run).items()}
    assert len(ends) == agents
    assert set(ends.values()) == {1}, f"each agent exactly one handoff: {ends}"


def prove_handed_off_once(site: Machine, run: str, agents: int) -> None:
    """Each agent ended with one handoff, and its parent was told of it in one message."""
    prove_one_handoff_each(site, run, agents)
    lines = logs(site, run)
    taken = Counter(
        (agent, notice.child)
        for agent, line in lines.items()
        for message in bodies(line, Message)
        for notice in message.inbox or ()
    )
    below = [agent for agent in lines if "/" in parent_of(agent)]
    assert set(taken) == {(parent_of(agent), key_of(agent)) for agent in below}
    assert set(taken.values()) == {1}, f"each handoff taken once: {taken}"


def prove_landed_once(site: Machine, run: str, tasks: int) -> None:
    """Each task has one commit on the trunk, and the hub is whole."""
    commits = Counter(commit.task for commit in site.landed(run))
    assert len(commits) == tasks
    assert set(commits.values()) == {1}, f"each task's commit once: {commits}"
    prove_hub_whole(site, run)


def prove_hub_whole(site: Machine, run: str) -> None:
    """`git fsck` finds nothing wrong."""
    said = git("--git-dir", str(site.hub(run).folder), "fsck", "--full", "--strict", "--no-dangling", "--no-progress")
    assert [line for line in said.splitlines() if not line.startswith("notice: ")] == []


def prove_paid_once(site: Machine, run: str, most_repeated: int) -> int:
    """No model call whose answer is in a log was made again; returns how many were made that left no answer."""
    store, asked = site.store, site.rehearsal.report()
    for agent in store.agents(RunName(run)):
        steps = [reply.step for reply in bodies(store.all_events(agent), LlmResponse)]
        assert len(steps) == len(set(steps)), f"{agent}: an answer stands twice"
    answered = site.answers(run)
    repeated = int(asked["requests"]) - answered
    assert answered == sum(agent["steps"] for agent in asked["agents"].values()), "no logged answer made again"
    assert repeated <= most_repeated
    return repeated


def statuses(site: Machine, run: str) -> dict[str, list[HandoffStatus]]:
    """How the agents ended, by title; several agents may have one title."""
    found: dict[str, list[HandoffStatus]] = {}
    for handoffs in site.handoffs(run).values():
        for handoff in handoffs:
            found.setdefault(handoff.title, []).append(handoff.report.status)
    return found
