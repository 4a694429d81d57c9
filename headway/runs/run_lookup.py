"""A run as the Temporal service knows it, and every execution that belongs to it."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from temporalio.api.common.v1 import WorkflowExecution as ExecutionId
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, Incarnation, RunName, root_planner_id, run_name_problem

RUN_TYPE, PLANNER_TYPE = "Run", "Planner"
AT_ONCE = 50
BEHIND_S = 3.0
LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class KnownRun:
    """A run that the service has a record of.

    Attributes:
        status: Of its newest execution, in Temporal's words, in lower case.
        cancel_requested: The newest execution was asked to cancel.
    """

    name: RunName
    incarnation: Incarnation
    status: str
    is_open: bool
    cancel_requested: bool


async def find_run(client: Client, name: str) -> KnownRun | None:
    """The run of that name; None when the service has no record of one.

    Raises:
        UserError: No run can have that name.
    """
    if problem := run_name_problem(name):
        raise UserError(f"'{name}' is not a run's name: it {problem}", "`headway status` lists the runs.")
    described = await describe(client, name)
    if described is None or described.workflow_type != RUN_TYPE:
        return None
    raw = described.raw_description
    return KnownRun(
        name=RunName(name),
        incarnation=Incarnation(raw.workflow_execution_info.first_run_id or described.run_id),
        status=status_word(described.status),
        is_open=described.status is WorkflowExecutionStatus.RUNNING,
        cancel_requested=raw.workflow_extended_info.cancel_requested,
    )


def status_word(status: WorkflowExecutionStatus | None) -> str:
    """Temporal's word for how an execution stands, in lower case and in our spelling."""
    return status.name.lower().replace("canceled", "cancelled") if status is not None else "unknown"


async def need_run(client: Client, name: str) -> KnownRun:
    """The run of that name.

    Raises:
        UserError: There is none.
    """
    run = await find_run(client, name)
    if run is None:
        raise UserError(f"There is no run named '{name}'.", "`headway status` lists them.")
    return run


async def need_own_run(client: Client, home: Path, name: str) -> KnownRun:
    """The run of that name, if it may be changed from here: it has its folder in `home`, or has not begun.

    Raises:
        UserError: There is none, or it lives in another state folder.
    """
    run = await need_run(client, name)
    if await lives_elsewhere(client, home, run):
        raise UserError(
            f"The run '{name}' does not live in {home}: its files lie in another state folder, or were removed.",
            f"Set HEADWAY_HOME to its own. The service at {client.service_client.config.target_host} knows it, and "
            f"may be another user's; by hand: {end_by_hand(run.name, 'terminate')}",
        )
    return run


async def lives_elsewhere(client: Client, home: Path, run: KnownRun) -> bool:
    """Return True if a run has begun, and nothing of it is in this state folder.

    A folder of the same name may be that of another start of the name, also one whose removal was cut short.
    """
    from headway.eventlog.local_store import LocalStore

    store = LocalStore(home)
    folder = store.run_folder(run.name)
    started = {started_in(place) for place in (folder, *store.forgotten(run.name))}
    if run.incarnation in started or (folder.is_dir() and started_in(folder) is None):
        return False
    return bool(await root_planners(client, run))


def started_in(folder: Path) -> Incarnation | None:
    """The start of a run's name to which a run's folder belongs; None where the folder does not say."""
    try:
        return Incarnation((folder / "incarnation").read_text(encoding="utf-8").strip())
    except FileNotFoundError:
        return None


async def describe(client: Client, workflow: str) -> WorkflowExecutionDescription | None:
    """A workflow's newest execution; None when the service has no record of it."""
    try:
        return await client.get_workflow_handle(workflow).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


async def root_planners(client: Client, run: KnownRun) -> list[AgentId]:
    """The run's root planners that the service knows; a later one took the place of one that failed."""
    found: list[AgentId] = []
    while True:
        root = root_planner_id(run.name, run.incarnation, len(found) + 1)
        if await describe(client, root) is None:
            return found
        found.append(root)


async def open_agents(client: Client, run: RunName, most: int = 1_000) -> list[str]:
    """Ids of the run's workflows that are not closed, itself included; eventually consistent."""
    query = f"({_of(run)}) AND ExecutionStatus = 'Running'"
    return sorted([found.id async for found in client.list_workflows(query, limit=most)])


async def left_open(client: Client, run: RunName) -> list[str]:
    """Ids of open workflows below a closed run; a list that is only behind is given a moment to catch up."""
    until = time.monotonic() + BEHIND_S
    while (left := await open_agents(client, run)) and time.monotonic() < until:  # noqa: ASYNC110 - kept by the service
        await asyncio.sleep(LOOK_EVERY_S)
    return left


async def open_planners(client: Client, run: RunName, most: int) -> list[str]:
    """Ids of the run's planners that are not closed; eventually consistent."""
    query = f"({_of(run)}) AND ExecutionStatus = 'Running' AND WorkflowType = '{PLANNER_TYPE}'"
    return sorted([found.id async for found in client.list_workflows(query, limit=most)])


async def agents_of(client: Client, run: RunName, most: int = 10_000) -> list[AgentId]:
    """Ids of the run's planners and tasks, open and closed; eventually consistent."""
    found = {one.id async for one in client.list_workflows(_of(run), limit=most)}
    return [AgentId(agent) for agent in sorted(found) if agent != run]


async def executions(client: Client, run: RunName) -> list[WorkflowExecution]:
    """Every execution of the run and of everything below it, also earlier ones that continued as new."""
    return [found async for found in client.list_workflows(_of(run))]


async def delete_histories(client: Client, found: Iterable[WorkflowExecution]) -> None:
    """Ask the service to delete closed executions; those that are gone already are fine."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def delete(execution: WorkflowExecution) -> None:
        request = DeleteWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=ExecutionId(workflow_id=execution.id, run_id=execution.run_id),
        )
        async with gate:
            try:
                await client.workflow_service.delete_workflow_execution(request, retry=True)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise

    await asyncio.gather(*(delete(execution) for execution in found))


def end_by_hand(run: RunName, verb: str = "terminate") -> str:
    """The operator's command for workflows that do not end by themselves."""
    return f"temporal workflow {verb} --query \"RootWorkflowId='{run}' AND ExecutionStatus='Running'\""


def _of(run: RunName) -> str:
    # By id too: a service may keep a child's record longer than its root's.
    return f"RootWorkflowId = '{run}' OR WorkflowId = '{run}' OR WorkflowId STARTS_WITH '{run}/'"
