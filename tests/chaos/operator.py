"""What an operator does to a run from outside, and how a test waits for what comes of it."""

import asyncio
from typing import Any

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowHandle

from headway.domain.ids import AgentId, RunName, child_id, key_of, parent_of
from headway.domain.results import Spawn
from headway.eventlog.events.conversation import Message, ToolResult
from headway.eventlog.events.envelope import bodies, only
from headway.host.service_settings import find_settings, load_settings
from headway.host.temporal_cli import find_cli
from tests.chaos.proofs import logs
from tests.support.site import Machine


async def until_phase(run: WorkflowHandle[Any, Any], phase: str) -> dict[str, Any]:
    """The run's status, once it is in that phase."""
    async with asyncio.timeout(60):
        while True:
            status: dict[str, Any] = await run.query("status")
            if status["phase"] == phase:
                return status
            await asyncio.sleep(0.1)


def root_of(site: Machine, run: str) -> AgentId:
    """The run's only root planner."""
    [root] = [agent for agent in site.store.agents(RunName(run)) if parent_of(agent) == AgentId(run)]
    return root


def titled(site: Machine, run: str, title: str) -> list[AgentId]:
    """The agents that were asked for under that title."""
    results = [event for line in logs(site, run).values() for event in only(line, ToolResult)]
    spawns = [(event.agent, event.body.result) for event in results if isinstance(event.body.result, Spawn)]
    return [child_id(agent, child.key) for agent, spawn in spawns for child in spawn.spawned if child.title == title]


def was_told(site: Machine, run: str, child: AgentId) -> bool:
    """Whether the child's parent was told of its handoff."""
    line = logs(site, run).get(parent_of(child), [])
    told = [notice.child for message in bodies(line, Message) for notice in message.inbox or ()]
    return key_of(child) in told


async def reset(site: Machine, agent: AgentId, event_id: int) -> None:
    """What `temporal workflow reset --event-id` does: from the completion of a workflow task on, all is done again."""
    description = await site.client.get_workflow_handle(agent).describe()
    await site.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=site.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=agent, run_id=description.run_id),
            reason="test",
            request_id=f"{agent}-{description.run_id}",
            workflow_task_finish_event_id=event_id,
        )
    )


async def stock(site: Machine, *argv: str) -> None:
    """A command of the stock CLI; it must succeed."""
    temporal = str(find_cli(load_settings(find_settings()).cli).path)
    address = ("--address", site.supervisor.facts["address"])
    asked = await asyncio.create_subprocess_exec(
        temporal, *argv, *address, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asked.communicate()
    assert asked.returncode == 0, said.decode()
