"""Everything that runs on this machine for one `HEADWAY_HOME`: the service, unless the user named one, and workers."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from temporalio.client import Client

from headway.domain.errors import UserError
from headway.host.connection import AGENT_QUEUE, Target, connect, has_worker
from headway.host.home import VARIABLE
from headway.host.service import NAME, STOP_S, Service
from headway.host.service_settings import ServiceSettings
from headway.host.supervisor import Supervisor
from headway.host.temporal_cli import find_cli
from headway.host.worker_roles import ROLES, worker_children
from headway.system.silence import Patience

WORKERS_WITHIN_S = 60.0
ASK_AGAIN_S = 0.2


@dataclass(frozen=True)
class Site:
    """The started processes, and the way to reach them."""

    client: Client
    address: str
    ui_url: str | None


async def start_service(supervisor: Supervisor, settings: ServiceSettings, *, stop_s: float = STOP_S) -> Site:
    """Start the local service and wait until it is ready. At the end it has `stop_s` seconds after SIGTERM.

    Raises:
        UserError: No CLI, a taken port, a foreign database, or a server that does not come up.
    """
    cli = await asyncio.to_thread(find_cli, settings.cli)
    service = Service(settings, cli, supervisor.home, stop_s=stop_s)
    await supervisor.start(service.child())
    client = await service.ready(lambda: supervisor.trouble(NAME), lambda: supervisor.pids(NAME))
    site = Site(client, settings.address, settings.ui_url)
    supervisor.know(address=site.address, namespace=settings.namespace.name, ui=site.ui_url or "none")
    return site


async def join_service(supervisor: Supervisor, target: Target) -> Site:
    """Use the service that the user named; nothing of it is started."""
    client = await connect(target)
    supervisor.know(address=target.address, namespace=target.namespace)
    return Site(client, target.address, None)


async def start_workers(
    supervisor: Supervisor,
    site: Site,
    agents: int | None = None,
    env: Mapping[str, str | None] | None = None,
    skip_runs: Sequence[str] = (),
    *,
    allow_weak: bool = False,
) -> None:
    """Start the worker processes and wait until they poll.

    Raises:
        UserError: They do not within a minute in which they wrote no log and hardly computed.
    """
    more: dict[str, str | None] = {VARIABLE: str(supervisor.home)}
    if "ui" in supervisor.facts:
        # The service was started here: nothing that the environment or a profile says of another one applies to it.
        more |= {name: None for name in os.environ if name.startswith("TEMPORAL_")}
        more |= {"TEMPORAL_ADDRESS": site.address, "TEMPORAL_NAMESPACE": site.client.namespace}
        more |= {"TEMPORAL_CONFIG_FILE": os.devnull}
    more |= env or {}
    for child in worker_children(agents, more, skip_runs, allow_weak=allow_weak):
        await supervisor.start(child)
    await _until_polling(supervisor, site.client)
    supervisor.know(ready="yes")


async def _until_polling(supervisor: Supervisor, client: Client) -> None:
    patience, heard = Patience(WORKERS_WITHIN_S, time.monotonic(), lambda: supervisor.pids(*ROLES)), 0
    while not (await has_worker(client) and await has_worker(client, AGENT_QUEUE)):
        if patience.is_over(time.monotonic()):
            raise UserError(
                f"The worker processes did not begin to poll within {WORKERS_WITHIN_S:.0f} s.",
                f"See their logs in {supervisor.logs}.",
            )
        for role in ROLES:
            if (why := supervisor.trouble(role)) is not None:
                raise UserError(f"The worker processes did not start: {why}")
        said = sum(log.stat().st_size for log in map(supervisor.log, ROLES) if log.exists())
        if said != heard:
            # After an upgrade everything that is open is replayed first, which may take minutes, and is told.
            heard = said
            patience.heard(time.monotonic())
        await asyncio.sleep(ASK_AGAIN_S)
