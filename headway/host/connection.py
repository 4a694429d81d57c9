"""The Temporal service: its address, and a client for it."""

import asyncio
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, DescribeTaskQueueRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.envconfig import ClientConfigProfile, ClientConnectConfig
from temporalio.runtime import Runtime
from temporalio.service import RPCError, RPCStatusCode

from headway.domain.errors import UserError
from headway.host.supervisor_state import read_state
from headway.system.boot import boot_id
from headway.system.process import Process

WORKFLOW_QUEUE = "headway"
AGENT_QUEUE = "headway-agents"

CONNECT_S = 10.0
CONNECT_EVERY_S = 2.0
POLL_S = 75.0
"""A poller is heard of at least this often: a long poll takes 60 s."""


_IDENTITY = r"(?P<pid>\d+)@.* \((?P<start>\d+), (?P<boot>[^)]*)\)"


@dataclass(frozen=True)
class Target:
    """A Temporal service.

    Attributes:
        named: The user named it, by TEMPORAL_* or temporal.toml; otherwise it is the local one of `headway up`.
    """

    address: str
    namespace: str
    named: bool
    config: ClientConnectConfig


def target_of(home: Path) -> Target:
    """The service that the environment or a temporal.toml profile names, else the one that `headway up` runs.

    Raises:
        UserError: That configuration cannot be read.
    """
    try:
        profile = ClientConfigProfile.load(override_env_vars=_temporal_variables(os.environ))
        config = profile.to_client_connect_config()
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"Temporal's client configuration cannot be used: {error}",
            "See TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE and the other TEMPORAL_* variables.",
        ) from error
    namespace = profile.namespace or "default"
    if profile.address:
        return Target(profile.address, namespace, named=True, config=config)
    state = read_state(home)
    if state is not None and "address" in state.facts:
        return Target(state.facts["address"], state.facts.get("namespace", namespace), named=False, config={})
    from headway.host.service_settings import find_settings, load_settings

    settings = load_settings(find_settings())
    return Target(settings.address, profile.namespace or settings.namespace.name, named=False, config={})


def _temporal_variables(env: Mapping[str, str]) -> dict[str, str]:
    """The variables for the SDK's configuration. Left to itself the SDK reads all of them, and panics at one without
    UTF-8.

    Raises:
        UnicodeEncodeError: One of these is not UTF-8, which is a `ValueError`.
    """
    found = {name: value for name, value in env.items() if name.startswith("TEMPORAL_")}
    "".join((*found, *found.values())).encode()
    return found


async def connect(target: Target, *, runtime: Runtime | None = None, identity: str | None = None) -> Client:
    """A client of the service, which has answered and knows the namespace.

    Raises:
        UserError: It has not: names the tries and the remedy.
    """
    config: ClientConnectConfig = {**target.config, "target_host": target.address, "namespace": target.namespace}
    try:
        client = await asyncio.wait_for(
            Client.connect(**config, data_converter=pydantic_data_converter, runtime=runtime, identity=identity),
            CONNECT_S,
        )
        request = DescribeNamespaceRequest(namespace=target.namespace)
        await client.workflow_service.describe_namespace(request, retry=False)
    except (RuntimeError, TimeoutError) as error:
        raise UserError(
            f"No Temporal service answers at {target.address}: {_reason(error)}", _remedy(target)
        ) from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise UserError(
                f"The Temporal service at {target.address} has no namespace '{target.namespace}'",
                f"Set TEMPORAL_NAMESPACE, or create it: `temporal operator namespace create -n {target.namespace}`.",
            ) from error
        if error.status is not RPCStatusCode.PERMISSION_DENIED:
            # A client that may not describe a namespace may still work in it.
            raise UserError(
                f"The Temporal service at {target.address} does not answer: {error.message}", _remedy(target)
            ) from error
    return client


async def connect_when_up(home: Path, tell: Callable[[object], None]) -> Client:
    """A client of a worker process, once the service answers: a process that is restarted may be up before it.

    `tell` takes each failed try.
    """
    while True:
        try:
            return await connect(target_of(home), identity=worker_identity())
        except UserError as error:
            tell(error)
            await asyncio.sleep(CONNECT_EVERY_S)


async def has_worker(client: Client, queue: str = WORKFLOW_QUEUE) -> bool:
    """True if a living worker process polls `queue`: workflow tasks on Headway's own queue, activities on others."""
    kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW if queue == WORKFLOW_QUEUE else TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind)
    )
    return any(lives(poller) for poller in answer.pollers)


def worker_identity() -> str:
    """The identity of a worker process at the service. A client on this machine can tell by it whether it lives."""
    own = Process.own()
    return f"{own.pid}@{socket.gethostname()} ({own.start}, {own.boot})"


def lives(poller: PollerInfo) -> bool:
    """True if a worker process still polls.

    The service remembers pollers for minutes after they died, so one of this machine is looked up.
    """
    found = re.fullmatch(_IDENTITY, poller.identity)
    if found is not None and found["boot"] == boot_id():
        return Process(pid=int(found["pid"]), start=int(found["start"]), boot=found["boot"]).alive
    return time.time() - poller.last_access_time.seconds <= POLL_S


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_S:.0f} s"
    text = " ".join(str(error).split())
    return "connection refused" if "refused" in text.lower() else text


def _remedy(target: Target) -> str:
    if target.named:
        return (
            "That address comes from TEMPORAL_ADDRESS or a temporal.toml profile: start that service, correct it, or "
            "unset it and start the local one with `headway up`."
        )
    return "Start it with `headway up`, or name another one with TEMPORAL_ADDRESS or a temporal.toml profile."
