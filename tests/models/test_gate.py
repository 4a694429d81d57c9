"""The gate before a model, over real files and in several processes."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from headway.domain.errors import HeldBack, Parked, TransientError
from headway.domain.ids import RunName
from headway.models import breaker_store
from headway.models.breaker_state import Kind
from headway.models.breaker_store import BreakerStore, open_breakers
from headway.models.circuit_breaker import CircuitBreaker, CircuitBreakers, Permit, outage_of
from headway.models.failures import Refused
from headway.system.steady import steady

ADDRESS, MODEL = "http://here/v1", "m"


def quiet(_: str) -> None:
    """Nobody listens."""


def refusal(kind: Kind = "rate", reset_s: float | None = None) -> Refused:
    return Refused(kind, "it said no", "wait", reset_s)


def opened(folder: Path, *, patience_s: float = 300, pace: float = 1.0) -> CircuitBreakers:
    return CircuitBreakers(folder, patience_s=patience_s, pace=pace)


def gate_of(gates: CircuitBreakers, address: str, model: str, account: str) -> CircuitBreaker:
    """A gate that no other one of the test pushes out."""
    with gates.using(address, model, account) as gate:
        return gate


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[CircuitBreakers]:
    made = opened(tmp_path)
    yield made
    made.close()


@pytest.fixture
def gate(gates: CircuitBreakers) -> CircuitBreaker:
    return gate_of(gates, ADDRESS, MODEL, "key")


@contextlib.asynccontextmanager
async def held_back(gate: CircuitBreaker) -> AsyncIterator[asyncio.Task[Permit]]:
    """A call that has to wait; told when it does."""
    waits = asyncio.Event()

    async def call() -> Permit:
        async with gate.permit(lambda _: waits.set()) as permit:
            return permit

    task = asyncio.create_task(call())
    await waits.wait()
    yield task
    task.cancel()
    await asyncio.wait({task})


async def test_a_refusal_holds_calls_of_every_process_that_come_after(tmp_path: Path, gate: CircuitBreaker) -> None:
    other = opened(tmp_path)  # a file of its own, as another process has it
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=60))
    async with held_back(gate_of(other, ADDRESS, MODEL, "key")) as call:
        assert not call.done()
    async with (
        gate_of(other, ADDRESS, MODEL, "another key").permit(quiet),
        gate_of(other, ADDRESS, "n", "key").permit(quiet),
    ):
        pass
    other.close()


async def test_who_waits_is_told_why_and_can_be_called_off(gate: CircuitBreaker) -> None:
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=60))
    said = []

    def progress(what: str) -> None:
        said.append(what)
        if len(said) == 2:
            raise HeldBack("paused")

    with pytest.raises(HeldBack):
        async with gate.permit(progress):
            raise AssertionError
    assert "parked until" in said[0]
    assert "it said no" in said[0]
    assert not gate._queue


async def test_a_wait_longer_than_patience_gives_the_slot_up(tmp_path: Path) -> None:
    gates = opened(tmp_path, patience_s=300)
    gate = gate_of(gates, ADDRESS, MODEL, "key")
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal("quota", reset_s=900))
    with pytest.raises(Parked) as caught:
        async with gate.permit(quiet):
            raise AssertionError
    assert steady() + caught.value.delay_s == pytest.approx(gate.file.state().until, abs=0.5)
    assert "it said no" in str(caught.value)
    assert "wait" in str(caught.value)
    gates.close()


async def test_short_refusals_that_go_on_and_on_give_the_slot_up_too(tmp_path: Path) -> None:
    gates = opened(tmp_path, patience_s=0.3, pace=0.002)
    gate = gate_of(gates, ADDRESS, MODEL, "key")

    async def refused_again_and_again() -> None:
        while True:
            async with gate.permit(quiet) as permit:
                await gate.refused(permit, refusal("key"))

    with pytest.raises(Parked) as caught:
        await refused_again_and_again()
    assert steady() + caught.value.delay_s > gate.file.state().until, "the longer it lasts, the rarer it is looked at"
    gates.close()


async def test_the_first_call_after_the_reset_goes_alone_and_the_rest_follow_its_answer(gate: CircuitBreaker) -> None:
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=0))
    out: list[int] = []
    begun, answer = asyncio.Event(), asyncio.Event()

    async def call(number: int) -> None:
        async with gate.permit(quiet) as permit:
            out.append(number)
            begun.set()
            await answer.wait()
            out.remove(number)
            await gate.answered(permit)

    calls = [asyncio.create_task(call(number)) for number in range(20)]
    await begun.wait()
    for _ in range(3):
        async with held_back(gate):  # everybody has looked meanwhile
            assert len(out) == 1
    answer.set()
    await asyncio.gather(*calls)
    assert gate.file.state().permits(steady()) >= 20, "each answer let one more"


async def test_a_permit_comes_back_when_its_call_is_cancelled(gate: CircuitBreaker) -> None:
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=0))
    async with gate.permit(quiet) as first, held_back(gate) as second:
        assert first.handle is not None
        second.cancel()
    async with gate.permit(quiet) as third:
        assert third.handle is not None


def _hold(folder: Path, line: Connection) -> None:
    """Take the one permit and keep it."""

    async def hold() -> None:
        async with gate_of(opened(folder), ADDRESS, MODEL, "key").permit(quiet):
            line.send("held")
            await asyncio.sleep(600)

    asyncio.run(hold())


async def test_a_holder_that_is_killed_returns_its_permit(tmp_path: Path, gate: CircuitBreaker) -> None:
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=0))
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path, theirs))
    process.start()
    assert await asyncio.to_thread(ours.recv) == "held"
    async with held_back(gate) as call:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        assert (await call).handle is not None
    await asyncio.to_thread(process.join)


async def test_what_is_closed_can_be_read_from_outside_and_holds_no_key(tmp_path: Path, gates: CircuitBreakers) -> None:
    gate = gate_of(gates, ADDRESS, MODEL, "sk-secret-secret")
    gate_of(gates, ADDRESS, "open", "sk-secret-secret")
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=60))
    found = open_breakers(tmp_path)
    assert [(address, model, flow.why) for address, model, flow in found] == [(ADDRESS, MODEL, "it said no")]
    gate.runs.add(RunName("a"))
    assert [parking.model for parking in gates.parkings(RunName("a"))] == [MODEL]
    assert gates.parkings(RunName("b")) == (), "a run hears of the models that it uses"
    gates.forget(RunName("a"))
    assert gates.parkings(RunName("a")) == ()
    assert not any(b"sk-secret" in content for content in contents(tmp_path))


async def test_a_file_that_a_crash_ruined_is_made_anew(tmp_path: Path) -> None:
    first = opened(tmp_path)
    gate = gate_of(first, ADDRESS, MODEL, "key")
    async with gate.permit(quiet) as permit:
        await gate.refused(permit, refusal(reset_s=60))
    first.close()
    ruin(tmp_path)
    second = opened(tmp_path)
    assert gate_of(second, ADDRESS, MODEL, "key").file.state().free
    second.close()


def ruin(folder: Path) -> None:
    for path in folder.glob("*.db"):
        path.write_bytes(b"\0" * 20_000)


def contents(folder: Path) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_a_file_that_cannot_be_written_is_no_end_of_an_agent(gate: CircuitBreaker) -> None:
    async with gate.permit(quiet) as permit:
        gate.file._writer.close()
        with pytest.raises(TransientError, match="cannot be read or written"):
            await gate.refused(permit, refusal())
    gate.file._writer = sqlite3.connect(":memory:")


@pytest.mark.parametrize("step", [-31_536_000, -3600, 3600, 31_536_000])
async def test_a_step_of_the_wall_clock_moves_no_reset(
    step: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = BreakerStore(tmp_path, ADDRESS, MODEL), time.time
    file.change(lambda flow: flow.refused(0, "rate", 20.0, "slow down", "", steady()))
    monkeypatch.setattr(time, "time", lambda: real() + step)
    for each in (file, BreakerStore(tmp_path, ADDRESS, MODEL)):
        flow = each.state()
        assert 0 < flow.until - steady() <= 20
        assert (flow.permits(steady()), flow.permits(steady() + 20)) == (0, 1)
        assert outage_of(ADDRESS, MODEL, flow).until == pytest.approx(real() + step + 20, abs=5)


async def test_a_way_that_an_earlier_boot_closed_is_tried_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = BreakerStore(tmp_path, ADDRESS, MODEL)
    file.change(lambda flow: flow.refused(0, "quota", 3600.0, "nothing left", "", steady() + 1_000_000))
    monkeypatch.setattr(breaker_store, "boot_id", lambda: "another")
    assert BreakerStore(tmp_path, ADDRESS, MODEL).state().permits(steady()) == 1
