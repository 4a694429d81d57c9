"""Plays whole runs on one machine, each against another server, and judges each by what landed."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from headway.domain.ids import RunName
from headway.rehearsal.playbook import Playbook
from headway.runs.run_end import RunEnd, run_end_of
from tests.peers.habit import Form, Habit
from tests.peers.script import everything
from tests.peers.server import HabitServer, place_of
from tests.support.repositories import git
from tests.support.site import Machine, machine

LIMITS = {"tokens": 3_000_000}
MOST_CALLS = 40
QUIET_S = 40.0
"""Seconds without a call after which a run that has not ended is looked at."""
LONGEST_S = 600.0
WAITS = ("parked", "on hold", "needs attention", "needs_attention", "model calls failed")
"""Words by which a status tells what is waited for."""

Case = tuple[Habit, Form]


@dataclass(frozen=True)
class Order:
    """A run that is to be played.

    Attributes:
        endpoint: The endpoint's name.
        asked: How often its server was asked so far; by default, what the run's logs tell.
        planner: Endpoint and model of the planner, where they are others.
        quiet_s: Seconds without a call after which it is looked at, if it has not ended.
    """

    name: str
    form: Form
    endpoint: str
    model: str
    asked: Callable[[], int] | None = None
    most_calls: int = MOST_CALLS
    planner: tuple[str, str] | None = None
    quiet_s: float = QUIET_S

    @property
    def run(self) -> str:
        """The run's name."""
        return re.sub("[^a-z0-9]+", "-", f"{self.name} {self.form}".lower())


@dataclass(frozen=True)
class Played:
    """A run that was played.

    Attributes:
        landed: Whether the trunk holds all that was asked.
        foreign: Paths of the trunk that hold what was never sent, and commits that stand twice.
        outcome: Of the run; `waits` where it waits for the user.
        told: Its own words.
    """

    order: Order
    landed: bool
    foreign: tuple[str, ...]
    outcome: str
    exit_code: int | None
    calls: int
    seconds: float
    told: str

    @property
    def verdict(self) -> str:
        """In a word or two; `WRONG` where the run did harm, did not say what it did, or went on asking."""
        if self.foreign:
            return f"WRONG: {', '.join(self.foreign)}"
        if self.calls > self.order.most_calls:
            return f"WRONG: {self.calls} calls"
        if self.landed:
            return "lands" if self.exit_code == 0 else f"WRONG: lands, and ends as {self.outcome}"
        if self.outcome in {"done", "goes on"} or not self.told:
            return f"WRONG: {self.outcome}, and not all landed"
        return "waits" if self.outcome == "waits" else "ends truthfully"

    @property
    def is_right(self) -> bool:
        return not self.verdict.startswith("WRONG")

    @property
    def row(self) -> str:
        """A row of the table."""
        api, _, streamed = self.order.form.partition(", ")
        cells = (self.order.name, api, "yes" if streamed else "no", self.verdict, self.outcome, self.exit_code)
        said = self.told.replace("|", "/")[:90] if self.verdict != "lands" else ""
        return "| " + " | ".join(map(str, (*cells, self.calls, said))) + " |"


HEAD = (
    "| server | API | streamed | verdict | outcome | exit | calls | says |\n"
    "|---|---|---|---|---|---|---|---|"
)  # fmt: skip


@asynccontextmanager
async def fleet(
    cases: Sequence[Case], home: Path, repository: Path, env: Mapping[str, str], *, agents: int = 16
) -> AsyncIterator["Fleet"]:
    """A machine whose endpoints are these habits, and what `env` declares."""
    with HabitServer({habit.name: habit for habit, _ in cases}.values()) as server:
        given = {"HEADWAY_PARKED_S": "300", **env}
        for habit, form in cases:
            given |= server.environment(habit, form)
        async with machine(home, repository, Playbook(name="unasked"), agents=agents, env=given) as site:
            yield Fleet(site, server)


@dataclass(frozen=True)
class Fleet:
    """The machine, and the server that it asks."""

    site: Machine
    server: HabitServer

    def order(self, case: Case) -> Order:
        """A run against a habit."""
        habit, form = case
        place = place_of(habit, form)
        return Order(habit.name, form, place, habit.model, asked=lambda: self.server.asked[place])

    async def play_all(self, orders: Sequence[Order], at_once: int = 8) -> list[Played]:
        """Every order, so many at once; each row is printed as it comes."""
        room = asyncio.Semaphore(at_once)

        async def one(order: Order) -> Played:
            async with room:
                played = await play(self.site, order)
                print(played.row, f"{played.seconds:.0f} s", file=sys.stderr, flush=True)
                return played

        return list(await asyncio.gather(*map(one, orders)))


async def play(site: Machine, order: Order) -> Played:
    """One run, to its end, or until it waits for the user."""
    name, began = order.run, time.monotonic()
    counted = order.asked or (lambda: events_of(site.home, name, "llm.request"))
    worker = {"endpoint": order.endpoint, "model": order.model}
    planner = dict(zip(worker, order.planner, strict=True)) if order.planner else worker
    run = await site.start(name, models={"planner": planner, "worker": worker}, limits=LIMITS, check="test -d src")
    waiting = asyncio.create_task(run_end_of(site.client, RunName(name)))
    told, ending, asked, changed = "", None, -1, began
    while ending is None and time.monotonic() < began + LONGEST_S:
        done, _ = await asyncio.wait({waiting}, timeout=1)
        if done:
            ending = waiting.result()
        elif (now := counted()) != asked:
            asked, changed = now, time.monotonic()
        elif time.monotonic() > changed + order.quiet_s:
            told = await asyncio.to_thread(_status, site, name)
            if _waits(told):
                break
    if ending is None:
        waiting.cancel()
        await run.cancel()
    landed, foreign = _landed(site.home, name)
    return Played(
        order=order,
        landed=landed,
        foreign=foreign,
        outcome=ending.outcome if ending else "waits" if _waits(told) else "goes on",
        exit_code=ending.exit_code if ending else None,
        calls=counted(),
        seconds=time.monotonic() - began,
        told=_words(ending) if ending else " ".join(told.split()),
    )


def _landed(home: Path, name: str) -> tuple[bool, tuple[str, ...]]:
    """Whether all stands on a run's trunk, and what stands there that should not."""
    hub, wanted = home / "runs" / name / "hub.git", everything()
    if not hub.exists():
        return False, ()
    paths = git("-C", str(hub), "ls-tree", "-r", "--name-only", "main", "made/").split()
    held = {path: git("-C", str(hub), "show", f"main:{path}") for path in paths}
    titles = Counter(git("-C", str(hub), "log", "--format=%s", "main").splitlines())
    twice = tuple(f"'{title}' landed twice" for title, count in titles.items() if count > 1)
    torn = tuple(f"{path} is not what was sent" for path, text in held.items() if wanted.get(path) != text)
    return held == wanted, (*torn, *twice)


def events_of(home: Path, name: str, kind: str) -> int:
    """How many events of a kind a run's logs hold."""
    logs = (home / "runs" / name / "logs").rglob("*.jsonl")
    return sum(log.read_bytes().count(f'"type":"{kind}"'.encode()) for log in logs)


def _status(site: Machine, name: str) -> str:
    address = site.client.service_client.config.target_host
    env = {**os.environ, "HEADWAY_HOME": str(site.home), "TEMPORAL_ADDRESS": address}
    command = [sys.executable, "-c", "from headway.cli.entry import main; main()", "status", name]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _waits(status: str) -> bool:
    return any(word in status for word in WAITS)


def _words(ending: RunEnd) -> str:
    if ending.report is None:
        return " ".join(ending.failure.split())
    return " ".join(f"{ending.report.summary} {ending.report.problem}".split())
