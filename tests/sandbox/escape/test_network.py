"""A command that may reach out: it gets out, and never to this machine itself."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from headway.sandbox.backends import network
from headway.sandbox.backends.backends import Backends
from headway.sandbox.local import LocalSandbox
from tests.sandbox.escape.conftest import Ground
from tests.sandbox.escape.test_escape import NETWORK, OUT, own_address

SECONDS = 600 + os.getpid() / 1e8
MINE = f"sleep {SECONDS}"
HAS_A_WAY_OUT = 'grep -q "\t00000000\t" /proc/net/route && echo "a way out"; :'


@pytest.fixture
def reaching(walled: LocalSandbox, ground: Ground) -> LocalSandbox:
    if walled.refuses_network:
        pytest.skip(f"level {walled.level}: {walled.refuses_network}")
    ground.told["ADDRESS"] = own_address()
    return walled


async def test_it_has_a_way_out_and_a_resolver(reaching: LocalSandbox, ground: Ground) -> None:
    result = await ground.run(reaching, f"{HAS_A_WAY_OUT}; cat /etc/resolv.conf", network=True)
    assert result.output == f"a way out\nnameserver {network.RESOLVER}\n"


@pytest.mark.parametrize("probe", sorted(NETWORK))
async def test_this_machines_services_stay_out_of_reach(reaching: LocalSandbox, ground: Ground, probe: str) -> None:
    assert OUT not in (await ground.run(reaching, NETWORK[probe], network=True)).output


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "10.0.2.2"])
async def test_addresses_that_hand_out_credentials_are_closed(
    reaching: LocalSandbox, ground: Ground, address: str
) -> None:
    line = f"(echo > /dev/tcp/{address}/80) 2>&1; :"
    assert "Permission denied" in (await ground.run(reaching, line, network=True)).output


async def test_the_command_cannot_open_the_ways_again(reaching: LocalSandbox, ground: Ground) -> None:
    line = "ip route del prohibit 169.254.0.0/16 && echo ESCAPED; ip link set tap0 down && echo ESCAPED; :"
    assert OUT not in (await ground.run(reaching, line, network=True)).output


async def test_without_the_policy_there_is_only_loopback_of_its_own(walled: LocalSandbox, ground: Ground) -> None:
    result = await ground.run(walled, HAS_A_WAY_OUT)
    assert result.output == ""


async def test_exit_codes_come_through(reaching: LocalSandbox, ground: Ground) -> None:
    assert (await ground.run(reaching, "exit 7", network=True)).exit_code == 7
    assert (await ground.run(reaching, "kill -TERM $$", network=True)).exit_code == 143


async def test_nothing_is_left_of_it_when_it_is_cancelled(reaching: LocalSandbox, ground: Ground) -> None:
    (ground.mine / "there").unlink(missing_ok=True)
    running = asyncio.create_task(ground.run(reaching, f"touch there; exec sleep {SECONDS}", network=True))
    while not (ground.mine / "there").exists():  # noqa: ASYNC110  # no event comes out of a sandbox
        await asyncio.sleep(0.01)
    assert await helpers_of()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for _ in range(200):
        if not await helpers_of():
            break
        await asyncio.sleep(0.01)
    assert not await helpers_of()


async def helpers_of() -> str:
    """Processes that serve the network of the command above, and itself."""
    found = await asyncio.to_thread(subprocess.run, ["pgrep", "-fl", MINE], capture_output=True, text=True, check=False)
    return found.stdout


def test_networks_that_are_only_in_this_machine_are_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Path(__file__).with_name("none")
    monkeypatch.setattr(network, "_ROUTES", table)  # no interface leads out, so that each is one of the machine's own
    closed = network.refused()
    for address in network.own_addresses():
        assert address.startswith("127.") or f"{address}/32" in closed
    assert [each for each in closed if each.endswith("/24")] or len(network.own_addresses()) == 1


async def test_where_no_program_serves_a_network_there_is_none(
    levels: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "helper", lambda: None)
    without = Backends(levels._private, levels._resources)
    said = without.tried[1]
    if said.level is None:
        pytest.skip(said.why_not)
    assert said.level.refuses_network == "slirp4netns is not installed"
    assert [each.topic for each in without.findings() if "slirp4netns" in each.remedy] == ["network"]


@pytest.mark.parametrize("words", ["open: Permission denied", ""], ids=["with words", "without"])
async def test_a_program_that_serves_no_network_is_named_with_its_reason_at_once(
    levels: Backends, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """At once: where a device is closed to a user, each start of a worker process would wait for the network."""
    refusing = tmp_path / "slirp4netns"
    refusing.write_text(f"#!/bin/sh\n[ -z '{words}' ] || echo '{words}' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(network, "helper", lambda: str(refusing))
    tried_again: list[str] = []
    without = Backends(levels._private, levels._resources, tell=tried_again.append)
    said = without.tried[1]
    if said.level is None:
        pytest.skip(said.why_not)
    told = words or "the program that serves a network ended without a word"
    assert said.level.refuses_network == f"{refusing}: a trial failed: {told}"
    assert not tried_again
