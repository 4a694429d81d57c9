"""The runner of workflow code, the same in worker processes and in every replay: its types and its sandbox."""

from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.worker import Interceptor, Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from workflows.odd_messages import CONVERTER, OneInputEach
from workflows.planner import Planner
from workflows.run import Run
from workflows.task import Task

WORKFLOWS: tuple[type, ...] = (Run, Planner, Task)
INTERCEPTORS: tuple[Interceptor, ...] = (OneInputEach(),)


def reading(client: Client) -> Client:
    """The same client for a worker of workflows, which reads their inputs as every replay does."""
    return Client(**(client.config() | {"data_converter": CONVERTER}))


def sandbox() -> SandboxedWorkflowRunner:
    """The sandbox that keeps workflow code from the world. Only the domain and the activities' names pass through."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules("headway.domain", "activities")
    )


def replayer(workflows: tuple[type, ...] = WORKFLOWS) -> Replayer:
    """Runs workflow code over recorded histories: no service, no activity, no model.

    It never takes a slow machine for a difference: the duration of a step says nothing about its decisions.
    """
    return Replayer(
        workflows=workflows,
        workflow_runner=sandbox(),
        data_converter=CONVERTER,
        interceptors=INTERCEPTORS,
        debug_mode=True,
        # Its own log would tell every difference once more, as a warning with a stack.
        runtime=Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter="off"))),
    )
