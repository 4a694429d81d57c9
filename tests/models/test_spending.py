"""What a run may spend in an hour on one machine: real files, several processes, short hours."""

import asyncio
import contextlib
import multiprocessing
import sqlite3
import time
from multiprocessing.connection import Connection
from pathlib import Path

import psutil
import pytest

from headway.domain.errors import HeldBack, Parked
from headway.domain.ids import RunName
from headway.domain.state.budget import UNLIMITED
from headway.models import spending_ledger
from headway.models.spending import Hourly, Spending
from headway.models.spending_ledger import PARTS, Aside, SpendingLedger

RUN = RunName("tidy-up")
LIMIT = 1_000
WORST = 200
PRICE = 90
PROCESSES = 3
CALLS = 8
SHORT_S = 3.0


class Clock:
    """Time as a test says."""

    def __init__(self) -> None:
        self.now = 1_760_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spending(tmp_path: Path, clock: Clock) -> Spending:
    return Spending(tmp_path, clock=clock, wall=float)


def open_files() -> int:
    """Descriptors of this process."""
    return int(psutil.Process().num_fds())


def said(_: str) -> None:
    """A beat that nobody minds."""


def _spend(folder: Path, line: Connection) -> None:
    """One process whose agents spend as fast as they may; when each call was paid."""
    paid: list[float] = []

    async def call(hourly: Hourly) -> None:
        async with hourly.spent_by(RUN, WORST, said) as bought:
            await asyncio.sleep(0)
            paid.append(time.time())
            bought.cost = PRICE

    async def work() -> None:
        hourly = Hourly(Spending(folder, hour_s=SHORT_S), LIMIT)
        await asyncio.gather(*(call(hourly) for _ in range(CALLS)))

    asyncio.run(work())
    line.send(paid)


def test_processes_together_stay_within_any_hour_and_every_call_is_made(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    lines, children = [], []
    for _ in range(PROCESSES):
        mine, theirs = context.Pipe()
        children.append(context.Process(target=_spend, args=(tmp_path, theirs)))
        children[-1].start()
        lines.append(mine)
    paid = sorted(at for line in lines for at in line.recv())
    for child in children:
        child.join()
    assert len(paid) == PROCESSES * CALLS
    most = LIMIT // PRICE
    # A call is booked a moment after it was paid, which a part of the hour covers.
    too_close = [later - earlier for earlier, later in zip(paid, paid[most:], strict=False)]
    assert min(too_close) >= SHORT_S - SHORT_S / PARTS


async def test_who_would_wait_for_long_is_parked_until_there_is_room(spending: Spending, clock: Clock) -> None:
    hourly = Hourly(spending, LIMIT)
    async with hourly.spent_by(RUN, LIMIT, said):
        pass
    clock.now += 60
    with pytest.raises(Parked, match=r"spends \$0\.00 an hour at most, goes on at \d\d:\d\d:\d\d UTC") as parked:
        async with hourly.spent_by(RUN, WORST, said):
            pytest.fail("there was room")
    assert 3_540 <= parked.value.delay_s <= 3_540 + 3_600 / PARTS
    (parking,) = spending.parkings(RUN)
    assert parking.parked
    assert parking.until == clock.now + parked.value.delay_s
    assert "goes on at" in parking.words
    clock.now += parked.value.delay_s
    async with hourly.spent_by(RUN, WORST, said):
        pass
    (after,) = spending.parkings(RUN)
    assert after.follows(parking)
    assert not after.parked


@pytest.mark.parametrize("raised", [2 * LIMIT, UNLIMITED])
async def test_who_goes_on_under_another_limit_is_told_of_as_parked_no_more(spending: Spending, raised: int) -> None:
    async with Hourly(spending, LIMIT).spent_by(RUN, LIMIT, said):
        pass
    with pytest.raises(Parked):
        async with Hourly(spending, LIMIT).spent_by(RUN, WORST, said):
            pytest.fail("there was room")
    (parking,) = spending.parkings(RUN)
    async with Hourly(spending, raised).spent_by(RUN, WORST, said):
        pass
    (after,) = spending.parkings(RUN)
    assert after.follows(parking)
    assert not after.parked


async def test_another_run_has_an_hour_of_its_own(spending: Spending) -> None:
    assert isinstance(await spending.room(RUN, LIMIT, LIMIT, said), Aside)
    assert isinstance(await spending.room(RunName("other"), LIMIT, LIMIT, said), Aside)
    assert spending.parkings(RunName("other")) == ()


async def test_what_a_dead_process_had_set_aside_counts_for_an_hour(tmp_path: Path, clock: Clock) -> None:
    await Spending(tmp_path, clock=clock, wall=float).room(RUN, LIMIT, LIMIT, said)
    later = Spending(tmp_path, clock=clock, wall=float)
    with later.ledger(RUN) as ledger:
        clock.now += 3_000
        assert ledger.set_aside(WORST, LIMIT, clock.now) == clock.now, "it may come back any time"
        clock.now += 620
        assert isinstance(ledger.set_aside(WORST, LIMIT, clock.now), Aside)


async def test_a_call_beyond_the_limit_by_itself_leaves_alone(spending: Spending, clock: Clock) -> None:
    aside = await spending.room(RUN, 5 * LIMIT, LIMIT, said)
    with spending.ledger(RUN) as ledger:
        assert ledger.set_aside(1, LIMIT, clock.now) == clock.now
        spending.settle(RUN, aside, 10)
        assert isinstance(ledger.set_aside(1, LIMIT, clock.now), Aside)


async def test_a_pause_reaches_who_waits(spending: Spending) -> None:
    await spending.room(RUN, LIMIT, LIMIT, said)

    def paused(_: str) -> None:
        raise HeldBack

    with pytest.raises(HeldBack):
        await spending.room(RUN, WORST, LIMIT, paused)


@pytest.mark.parametrize("step", [-31_536_000, -28_800, -5, 5, 28_800, 31_536_000])
async def test_a_step_of_the_wall_clock_changes_neither_wait_nor_room(
    step: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spending, real = Spending(tmp_path), time.time
    spending.settle(RUN, await spending.room(RUN, LIMIT, LIMIT, said), LIMIT)
    monkeypatch.setattr(time, "time", lambda: real() + step)
    for each in (spending, Spending(tmp_path)):
        with pytest.raises(Parked) as parked:
            await each.room(RUN, LIMIT, LIMIT, said)
        assert parked.value.delay_s == pytest.approx(3600, abs=60)


@pytest.mark.parametrize(
    ("off_s", "clock_went_s", "left_s"), [(0, 0, 3600), (1800, 1800, 1800), (7200, 7200, 0), (60, -86_400, 3600)]
)
def test_spending_before_a_boot_is_as_old_as_the_wall_clock_says_and_no_older_than_it_can_be(
    off_s: float, clock_went_s: float, left_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine was off for `off_s`; its clock, which nothing sets, moved by `clock_went_s`."""
    ledger, real = SpendingLedger(tmp_path / "r.db"), time.time
    ledger.settle(_aside(ledger, 500_000.0), LIMIT, 500_000.0)
    monkeypatch.setattr(spending_ledger, "boot_id", lambda: "another")
    monkeypatch.setattr(time, "time", lambda: real() + clock_went_s)
    found = SpendingLedger(tmp_path / "r.db").set_aside(LIMIT, LIMIT, 30.0)
    wait = 0.0 if isinstance(found, Aside) else found - 30.0
    assert wait == pytest.approx(left_s, abs=60)


def _aside(ledger: SpendingLedger, now: float) -> Aside:
    found = ledger.set_aside(LIMIT, LIMIT, now)
    assert isinstance(found, Aside)
    return found


def test_a_moment_that_is_to_come_counts_as_now(tmp_path: Path) -> None:
    ledger, ahead = SpendingLedger(tmp_path / "r.db"), 28_800.0
    ledger.settle(_aside(ledger, ahead), LIMIT, ahead)
    found = ledger.set_aside(LIMIT, LIMIT, 0.0)
    assert isinstance(found, float)
    assert found == pytest.approx(3600, abs=60)


async def test_a_run_of_the_same_name_does_not_inherit_what_the_removed_one_spent(tmp_path: Path, clock: Clock) -> None:
    spending = Spending(tmp_path, clock=clock, wall=float)
    aside = await spending.room(RUN, LIMIT, LIMIT, said)
    spending.settle(RUN, aside, LIMIT)
    with pytest.raises(Parked):
        await spending.room(RUN, LIMIT, LIMIT, said)
    assert [parking.parked for parking in spending.parkings(RUN)] == [True]
    (tmp_path / RUN).rename(tmp_path / ".gone-of-the-first")  # what `headway rm` does first
    assert spending.parkings(RUN) == ()
    assert isinstance(await spending.room(RUN, LIMIT, LIMIT, said), Aside)
    assert spending.parkings(RUN) == ()


async def test_a_run_without_agents_keeps_no_file_open(tmp_path: Path, clock: Clock) -> None:
    spending = Spending(tmp_path, clock=clock, wall=float)
    before = open_files()
    for number in range(20):
        run = RunName(f"run-{number}")
        spending.settle(run, await spending.room(run, WORST, LIMIT, said), PRICE)
        spending.forget(run)
    assert open_files() <= before


async def test_a_run_is_forgotten_while_a_thread_of_a_cancelled_call_writes(tmp_path: Path, clock: Clock) -> None:
    spending = Spending(tmp_path, clock=clock, wall=float)
    spending.settle(RUN, await spending.room(RUN, WORST, LIMIT, said), PRICE)
    other = sqlite3.connect(tmp_path / RUN / "spending.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    call = asyncio.create_task(spending.room(RUN, WORST, LIMIT, said))
    with spending.ledger(RUN) as ledger:
        while not ledger._lock.locked():  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.001)
    call.cancel()
    spending.forget(RUN)
    assert not ledger._lock.acquire(blocking=False), "the thread still writes"
    other.execute("ROLLBACK")
    with contextlib.suppress(asyncio.CancelledError):
        await call
    while ledger._lock.locked():  # noqa: ASYNC110 - the same
        await asyncio.sleep(0.001)
    (aside,) = other.execute("SELECT sum(aside) FROM part").fetchone()
    other.close()
    assert aside == WORST, "it was written to the end, by a connection that nothing closed meanwhile"
