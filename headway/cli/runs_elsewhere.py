"""Runs that the service at hand does not know and that may go on at another one."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, RunName

if TYPE_CHECKING:
    from temporalio.client import Client


async def refuse_elsewhere(client: "Client", home: Path, name: RunName) -> None:
    """Refuse to act on a run whose service is another one. For a run that the service at hand does not know.

    A run that has ended, and one of a state folder that never worked with another service, pass.

    Raises:
        UserError: It may go on there.
    """
    from headway.host.upgrade import services_of, this_service

    here, known = this_service(client), await asyncio.to_thread(services_of, home)
    others = sorted(known - {here})
    if (here in known and not others) or await asyncio.to_thread(_has_ended, home, name):
        return
    where = ", ".join(each.replace(" ", " (namespace ", 1) + ")" for each in others) or "one that is not noted"
    raise UserError(
        f"The service at {client.service_client.config.target_host} does not know the run '{name}', whose log has no "
        f"end: it may go on at another service. Of this state folder: {where}.",
        f"Set TEMPORAL_ADDRESS to that one, or unset it for the local one of `headway up`. Where no service knows the "
        f"run any more, delete {home / 'runs' / name}.",
    )


def _has_ended(home: Path, name: RunName) -> bool:
    """True for a run that has written its report, or never began its log."""
    from headway.eventlog.events.life import RunEnd
    from headway.eventlog.local_store import LocalStore

    store = LocalStore(home)
    return store.last(AgentId(name)) is None or store.newest(AgentId(name), RunEnd) is not None
