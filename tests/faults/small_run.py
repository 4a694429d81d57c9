"""A run from its preparation to its report, in one process, on a system whose calls fail; see `control`.

Temporal is played by a loop that asks again whatever may be asked again. It prints one JSON object.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import threading
import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.heartbeat import as_application_error
from headway.agents.first_calls import sizes_of
from headway.agents.handoff_store import HandoffStore
from headway.agents.loop import kept_reply
from headway.agents.tools.catalogue import WORKER_TOOLS
from headway.agents.worker.worker import WorkerAgent
from headway.domain.check import RunCheck
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, child_id
from headway.domain.messages import StoreHandoff, WorkerDone, WorkOrder
from headway.domain.refs import Ref
from headway.domain.run import PrepareRun, WriteReport
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import Reminder
from headway.eventlog.events.envelope import bodies
from headway.eventlog.events.work import LandedCommit
from headway.rehearsal.playbook import PlannerScript, Playbook, TaskScript
from headway.runs.check import Checker
from headway.runs.lifecycle import MachineFacts, RunLifecycle
from headway.runs.trials import Trials
from headway.system.files import write_whole
from prompts.prompts import Prompts
from tests.agents.stage import INCARNATION, PLENTY, ROOT, RUN, Stage, finish, step, use
from tests.faults.control import Control
from tests.support.disks import fill
from tests.support.sandboxes import PlainSandbox

AT_ONCE = 4
TRIES = 50
"""Tries in a row of one activity that may fail though no fault was made meanwhile: others may have met one before."""

MOST_TRIES = 5_000
"""Tries of one activity, where faults never end."""


class Failed(Exception):
    """Something failed that had to be waited for."""


class Run:
    """One run."""

    def __init__(self, folder: Path, tasks: int, latency_ms: int, state: Path | None) -> None:
        self.stage = Stage(folder, more={"check": "test -f t0.txt"}, state=state)
        self.latency_ms = latency_ms
        self.tasks = tasks
        self.kept_before = replies_in(self.stage)
        self.retries: Counter[str] = Counter()
        self.lost = 0
        self.asked = 0
        self.faults: Callable[[], int] = lambda: 0

    async def ask(self, what: str, effect: Callable[[], Awaitable[Any]]) -> Any:
        """An activity, asked again until it ends."""

        @as_application_error
        async def told() -> Any:
            return await effect()

        environment = ActivityEnvironment()
        self.asked += 1
        environment.info = replace(environment.info, activity_id=str(self.asked), workflow_run_id="r")
        in_vain = 0
        for _ in range(MOST_TRIES):
            faults = self.faults()
            try:
                return await environment.run(told)
            except ApplicationError as error:
                if error.non_retryable:
                    raise Failed(f"{what}: {error.type}: {error}") from error
                known = error.type in {"Shortage", "TransientError", "LeaseLost"}
                if not known:
                    traceback.print_exception(error)
                self.retries[f"{error.type}" if known else f"{what}: {error}"] += 1
                in_vain = in_vain + 1 if self.faults() == faults else 0
                if in_vain == TRIES:
                    raise Failed(f"{what}: fails though no call does: {error}") from error
                await asyncio.sleep(0)
        raise Failed(f"{what}: not done after {MOST_TRIES} tries")

    async def go(self) -> dict[str, Any]:
        stage = self.stage
        titles = [f"Task {number}" for number in range(self.tasks)]
        spawn = step(use("spawn_tasks", tasks=[{"title": title, "intent": "x"} for title in titles]), use("wait"))
        planner = PlannerScript(scope="root", calls=(spawn, finish("All of it.")))
        scripts = {
            title: [
                step(use("write_file", path=f"t{number}.txt", content=f"{number}\n"), text="y" * 6_000),
                # A full disk is told to the model as the command met it, and a model tries again.
                step(use("shell", command=f"until cp README.md s{number}.txt; do sleep 0.05; done")),
                step(use("land", message=title)),
                finish(title),
            ]
            for number, title in enumerate(titles)
        }
        tasks = tuple(TaskScript(title=title, calls=tuple(calls)) for title, calls in scripts.items())
        latency = self.latency_ms
        stage.serve_playbook(Playbook(name="small", planners=(planner,), tasks=tasks, latency_ms=latency))
        checker = Checker(stage.store, lambda _: stage.hub, lambda _: stage.places, PlainSandbox())
        preflight = Trials(stage.chosen, checker, lambda _: stage.places)
        desk = RunLifecycle(
            stage.store, lambda _: stage.hub, stage.chosen, Prompts.load(),
            machine=MachineFacts("plain", ()), preflight=preflight, folders=stage.store.run_folder,
            first_calls=sizes_of,
        )  # fmt: skip
        order = PrepareRun(run=RUN, incarnation=INCARNATION, spec=self._spec(), started_at=time.time())
        prepared = await self.ask("prepare", lambda: desk.prepare(order, (), lambda _: None))
        context = prepared.context
        first = await self.ask("turn", lambda: stage.turn("k1", context=context, scope=prepared.scope))
        gate = asyncio.Semaphore(AT_ONCE)

        async def work(spawned: Any) -> HandoffNotice:
            async with gate:
                me = child_id(ROOT, ChildKey(spawned.key))
                task = Ref(log=ROOT, seq=spawned.seq, item=spawned.item)
                granted = Amount(tokens=PLENTY, tasks=1)
                attempt = WorkOrder(context=context, me=me, task=task, title=spawned.title, granted=granted)
                done = await self.ask(me, lambda: self._worker().work(attempt, lambda _: None))
                assert isinstance(done, WorkerDone)
                return HandoffNotice(child=spawned.key, status=done.status, seq=done.ref.seq)

        inbox = tuple(await asyncio.gather(*map(work, first.spawned)))
        check = RunCheck(run=RUN, incarnation=INCARNATION, spec=context.spec, asked_by=ROOT)
        verdict = await self.ask("check", lambda: checker.check(check, lambda _: None))
        last = await self.ask(
            "turn", lambda: stage.turn("k2", first.seq, context=context, scope=prepared.scope, turn=2, inbox=inbox)
        )
        status = last.finish.status if last.finish else HandoffStatus.FAILED
        seq = last.finish.seq if last.finish else None
        handoff = StoreHandoff(context=context, me=ROOT, title="All", role="planner", status=status, report=seq)
        handoffs = HandoffStore(stage.store, lambda _: stage.hub)
        stored = await self.ask("handoff", lambda: handoffs.store(handoff))
        published = await self.ask("publish", lambda: asyncio.to_thread(stage.hub.publish, "headway/x/main"))
        asked = WriteReport(context=context, root=stored.ref, status=status, verdict=verdict)
        report = await self.ask("report", lambda: desk.report(asked))
        return {"inbox": inbox, "verdict": verdict, "published": published, "report": report}

    def _worker(self) -> WorkerAgent:
        """A worker whose files are kept at each step: a power loss costs what a script cannot do again."""
        stage = self.stage
        hubs, places = (lambda _: stage.hub), (lambda _: stage.places)
        return WorkerAgent(
            stage.store,
            hubs,
            places,
            PlainSandbox(),
            stage.chosen,
            Prompts.load(),
            time.time,
            tools=WORKER_TOOLS,
            snapshot_steps=1,
        )

    def _spec(self) -> dict[str, object]:
        policy = {"root_tasks_per_round": [1, 100], "network": "none"}
        return {"repo": str(self.stage.source), "instructions": "Make it tidy.", "check": "test -f t0.txt",
                "commit": {"author": "Bob Author <bob@example.org>"}, "policy": policy,
                "models": {role: {"model": "rehearsal"} for role in ("planner", "worker")}}  # fmt: skip


def was_rebuilt(stage: Stage, notice: HandoffNotice) -> bool:
    """Whether a worker was told that a crash of the machine took steps of it, which its script does not do again."""
    me = child_id(ROOT, notice.child)
    return any(reminder.why == "rebuilt" for reminder in bodies(stage.store.read(me), Reminder))


def replies_in(stage: Stage) -> int:
    """Replies that lie in the logs of a run."""
    return sum(event.type == "llm.response" for agent in stage.store.agents(RUN) for event in stage.log(agent))


def told_of(stage: Stage) -> list[str]:
    """Every commit that an agent was told had landed."""
    events = (event for agent in stage.store.agents(RUN) for event in stage.store.read(agent))
    return [each.commit for each in bodies(events, LandedCommit)]


def landed(stage: Stage, commit: str) -> bool:
    return stage.hub.is_ancestor(commit, "refs/heads/main")


def problems(run: Run, ended: dict[str, Any]) -> list[str]:
    """What of it is not as it would be on a sound system."""
    stage, found = run.stage, []
    trunk = {*stage.hub.repo.run("ls-tree", "--name-only", "refs/heads/main").text.split("\n")}
    lost = {
        n
        for n, notice in enumerate(ended["inbox"])
        if was_rebuilt(stage, notice) and (notice.status.value != "done" or not {f"t{n}.txt", f"s{n}.txt"} <= trunk)
    }
    found += [f"{commit} was told of and is not on the trunk" for commit in told_of(stage) if not landed(stage, commit)]
    statuses = Counter(notice.status.value for n, notice in enumerate(ended["inbox"]) if n not in lost)
    if statuses != {"done": run.tasks - len(lost)}:
        found.append(f"handoffs: {dict(statuses)}")
    if not ended["verdict"].passed and 0 not in lost:
        found.append(f"check: {ended['verdict'].why}")
    if not run.tasks - len(lost) <= ended["report"].commits <= run.tasks:
        found.append(f"commits: {ended['report'].commits} of {run.tasks}")
    wanted = {f"{kind}{number}.txt" for kind in "ts" for number in range(run.tasks) if number not in lost}
    run.lost = len(lost)
    found += [f"{name} is not on the trunk" for name in sorted(wanted - trunk)]
    replies = replies_in(stage)
    paid = sum(rehearsal.requests for rehearsal in stage.rehearsals)
    if paid + run.kept_before != replies:
        found.append(f"had {run.kept_before} replies, bought {paid}, kept {replies}")
    fsck = stage.hub.repo.run("fsck", "--full", "--no-dangling", ok=None)
    if fsck.code:
        found.append(f"fsck: {fsck.err[:300]}")
    return found


def _replace(owner: object, name: str, other: object) -> None:
    """Put something in the place of a part that is there: a fault in a part that has moved would prove nothing."""
    assert name in vars(owner), f"{owner} has no {name}"
    setattr(owner, name, other)


def plant(name: str) -> None:
    """A fault of the engine, put in on purpose."""
    match name:
        case "reply":  # a reply that cannot be written is thrown away
            from headway.agents.loop import conversation

            async def thrown_away(note: Any, log: Any, progress: Any) -> Any:
                event = note()
                log.sync()
                return event

            _replace(conversation, "kept", thrown_away)
        case "table":  # a full disk counts as a bug of ours
            from activities import heartbeat
            from headway.system import shortage

            shortage._LACKING.clear()
            _replace(heartbeat, "lacking", lambda _: None)
        case "sync":  # a log is never synced
            from headway.eventlog.local_log import LocalLog

            _replace(LocalLog, "_sync", lambda _: None)
        case _:
            return


class Brim:
    """Fills a disk and frees it again, at random moments, in a thread; `fills` times so far."""

    full = False

    def __init__(self, disk: Path, seed: int) -> None:
        self.fills = 0
        self._disk, self._chance = disk, random.Random(seed)
        self._over, self._broken = threading.Event(), [Exception("the thread has not ended")]
        self._thread = threading.Thread(target=self._go_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._broken:
            raise self._broken[0]

    def faults(self) -> int:
        """Another number at each look while the disk is full, and after."""
        return time.monotonic_ns() if self.full else self.fills

    def _go_on(self) -> None:
        try:
            while not self._over.wait(self._chance.uniform(0.02, 0.3)):
                self.full = True
                ballast = fill(self._disk, leave=self._chance.choice([0, 0, 4_096, 60_000]))
                self.fills += 1
                self._over.wait(self._chance.uniform(0.02, 0.3))
                shutil.rmtree(ballast)
                self.full = False
            self._broken.clear()
        except OSError as error:
            self._broken = [error]


@contextlib.contextmanager
def counted(run: Run, file: Path) -> Iterator[None]:
    """Keep in a file, on another disk, how often the model was asked."""
    over = threading.Event()

    def count() -> None:
        while not over.wait(0.002):
            write_whole(file, f"{sum(each.requests for each in run.stage.rehearsals)}".encode(), synced=False)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def main(asked: argparse.Namespace) -> dict[str, Any]:
    plant(asked.planted)
    _replace(kept_reply, "AGAIN_S", 0.01)
    run = Run(asked.folder, asked.tasks, asked.latency, asked.state)
    if asked.state is not None:
        told: dict[str, Any] = {"had": run.kept_before}
        with counted(run, asked.folder / "requests"):
            ended = await run.go()
    elif asked.brim is not None:
        with Brim(asked.folder, asked.brim) as brim:
            run.faults = brim.faults
            ended = await run.go()
        told = {"fills": brim.fills}
    else:
        control = Control.open()
        run.faults = control.failed
        if asked.every is not None:
            control.by_number(asked.first, asked.every)
        else:
            control.by_target(asked.times, asked.share)
        try:
            ended = await run.go()
        except Failed as error:
            return control.end() | {"problems": [str(error)], "retries": run.retries}
        told = control.end()
    found = problems(run, ended)
    await run.stage.close()
    return told | {"problems": found, "retries": run.retries, "lost": run.lost}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", type=int, default=1)
    parser.add_argument("--times", type=int, default=1, help="how often each kind of call on each file fails")
    parser.add_argument("--share", type=int, default=1, help="of so many kinds of call one fails")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, help="instead: the call FIRST fails, and each EVERY after it")
    parser.add_argument("--brim", type=int, metavar="SEED", help="instead: the disk of FOLDER is full now and then")
    parser.add_argument("--state", type=Path, help="instead: no fault; the state lies there, perhaps from before")
    parser.add_argument("--latency", type=int, default=0, help="milliseconds that a reply takes")
    parser.add_argument("--planted", default="")
    return parser.parse_args()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(arguments()))))
