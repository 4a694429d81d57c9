"""What a worker process does at its start when the workflows' code has changed, on the real server."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Replayer

from headway.domain.errors import UserError
from headway.domain.handoff import HandoffStatus
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.planner_turn import Decision, PlanTurn, TurnOutcome
from headway.host.upgrade import FILE, check_upgrade, hash_of
from headway.host.worker_roles import worker_children
from tests.replay.changed import RenamedTask, SleepyPlanner
from tests.workflows.scripted import Script, finish, outcome, spawn, worker_done
from workflows.replay import WORKFLOWS, replayer

ROOT = Path(__file__).resolve().parents[2]
RUN, PLANNER, TASK = WORKFLOWS


class Upgrade:
    """Starts of a worker process with one code or another, as far as the check goes."""

    def __init__(self, client: Client, home: Path) -> None:
        self.client = client
        self.home = home
        self.told: list[str] = []
        self.replayers = 0

    async def start(self, code: str, workflows: tuple[type, ...] = WORKFLOWS, *, skip: tuple[str, ...] = ()) -> None:
        def made() -> Replayer:
            self.replayers += 1
            return replayer(workflows)

        self.told.clear()
        self.replayers = 0
        await check_upgrade(self.client, self.home, code, made, skip=skip, tell=self.told.append)

    @property
    def recorded(self) -> dict[str, object] | None:
        """What the state folder remembers of this service."""
        path = self.home / FILE
        known = json.loads(path.read_text()) if path.exists() else {}
        return known.get(f"{self.client.service_client.config.target_host} {self.client.namespace}")


@pytest.fixture
def upgrade(client: Client, home: Path) -> Upgrade:
    return Upgrade(client, home)


async def two_tasks(order: PlanTurn) -> TurnOutcome:
    if order.turn == 1:
        return outcome(order, Decision.WAIT, spawned=spawn(order, "quick", "long"))
    return finish(order) if not order.inbox else outcome(order, Decision.WAIT)


async def one_is_long(order: WorkOrder) -> WorkerDone:
    if order.title == "long":
        await asyncio.Event().wait()
    return worker_done(order, HandoffStatus.PARTIAL)


@pytest.fixture
async def open_run(client: Client) -> Script:
    """A run in the middle of its life, with no worker process left."""
    script = Script(client, "halfway")
    script.plan, script.work = two_tasks, one_is_long
    async with script.working():
        await script.start()
        await script.until_asked(2)
        while len(script.turns) < 2:  # noqa: ASYNC110 - the quick task's handoff was taken in
            await asyncio.sleep(0.05)
    await until_listed(client, 3)
    return script


async def until_listed(client: Client, count: int) -> None:
    """Return when the service lists so many open workflows."""
    while True:
        found = [one async for one in client.list_workflows("ExecutionStatus = 'Running'")]
        if len(found) >= count:
            return
        await asyncio.sleep(0.1)


async def test_nothing_is_open_so_the_code_is_recorded_at_once(upgrade: Upgrade) -> None:
    await upgrade.start("a")
    assert (upgrade.replayers, upgrade.told) == (0, [])
    assert upgrade.recorded is not None
    assert upgrade.recorded["code"] == "a"


async def test_the_same_code_replays_nothing(upgrade: Upgrade, open_run: Script) -> None:
    await upgrade.start("a")
    assert upgrade.replayers == 1
    await upgrade.start("a")
    assert (upgrade.replayers, upgrade.told) == (0, [])


async def test_other_code_that_repeats_everything_is_recorded(upgrade: Upgrade, open_run: Script) -> None:
    await upgrade.start("a")
    await upgrade.start("b")
    assert upgrade.told[-1] == "replayed 3 of 3"
    assert upgrade.recorded is not None
    assert upgrade.recorded["code"] == "b"


async def test_what_was_checked_on_one_service_says_nothing_of_another(
    upgrade: Upgrade, open_run: Script, home: Path
) -> None:
    (home / FILE).write_text(json.dumps({"elsewhere:7233 default": {"code": "a", "version": "0.0.1"}}))
    await upgrade.start("a")
    assert upgrade.replayers == 1
    assert "elsewhere:7233 default" in json.loads((home / FILE).read_text())


async def test_a_spoiled_record_is_made_again(upgrade: Upgrade, home: Path) -> None:
    for text in ("", "[]", "{", '{"x": 1}'):
        (home / FILE).write_text(text)
        await upgrade.start("a")
        assert upgrade.recorded is not None


async def test_code_that_does_not_fit_is_refused_with_both_ways_out(upgrade: Upgrade, open_run: Script) -> None:
    await upgrade.start("a")
    with pytest.raises(UserError) as refused:
        await upgrade.start("b", (RUN, SleepyPlanner, TASK))
    said = str(refused.value)
    assert "1 open workflow of 1 run did" in said
    assert "halfway: halfway/root-" in said
    assert " at event " in said
    assert "the version that ran them (0.1.0)" in said
    assert "--skip-run halfway" in said
    assert len(said.splitlines()) < 15, "it must be whole in the tail of a log"
    assert upgrade.recorded is not None
    assert upgrade.recorded["code"] == "a", "nothing was recorded"


async def test_a_task_alone_that_does_not_fit_is_found_too(upgrade: Upgrade, open_run: Script) -> None:
    with pytest.raises(UserError, match="'run_worker' does not match"):
        await upgrade.start("b", (RUN, PLANNER, RenamedTask))


async def test_a_skipped_run_lets_the_others_go_on_and_is_named_at_every_start(
    upgrade: Upgrade, open_run: Script
) -> None:
    misfit = (RUN, SleepyPlanner, TASK)
    await upgrade.start("b", misfit, skip=("halfway",))
    assert [line for line in upgrade.told if line.startswith("halfway was not checked")]
    await upgrade.start("b", misfit, skip=("halfway",))
    assert upgrade.replayers == 0, "the rest is known to fit"
    assert [line for line in upgrade.told if line.startswith("halfway was not checked")]
    with pytest.raises(UserError, match="--skip-run halfway"):
        await upgrade.start("b", misfit)
    await open_run.client.get_workflow_handle(open_run.turns[0].me).terminate()
    await asyncio.sleep(1)  # the service's list lags
    await upgrade.start("b", misfit)
    assert upgrade.recorded is not None
    assert upgrade.recorded["skipped"] == [], "what did not fit is closed"


async def test_a_workflow_that_is_not_ours_is_none_of_our_business(upgrade: Upgrade, client: Client) -> None:
    await client.start_workflow("Run", {"x": 1}, id="another-product", task_queue="their-queue")
    await client.start_workflow("Import", {"x": 1}, id="another-type", task_queue="headway")
    await until_listed(client, 2)
    await upgrade.start("b")
    assert upgrade.replayers == 0


async def test_a_run_that_no_worker_process_has_seen_yet_hinders_nobody(upgrade: Upgrade, client: Client) -> None:
    await client.start_workflow("Run", {"x": 1}, id="fresh", task_queue="headway")
    await until_listed(client, 1)
    await upgrade.start("b", (RUN, SleepyPlanner, TASK))
    assert upgrade.told[-1] == "replayed 1 of 1"


def test_the_hash_knows_content_names_and_places_of_sources_only(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "deep").mkdir(parents=True)
        (folder / "a.py").write_text("a = 1\n")
        (folder / "deep" / "b.py").write_text("b = 1\n")
    first = hash_of([one])
    assert first == hash_of([two]), "wherever it is installed"
    (one / "notes.md").write_text("x")
    (one / "__pycache__").mkdir()
    (one / "__pycache__" / "a.cpython-311.pyc").write_text("x")
    assert first == hash_of([one])
    (one / "a.py").write_text("a = 2\n")
    assert first != hash_of([one])
    (two / "deep" / "b.py").rename(two / "b.py")
    assert first != hash_of([two])
    assert hash_of([one, two]) != hash_of([two, one])


async def test_a_worker_process_refuses_to_start_and_starts_with_skip_run(
    upgrade: Upgrade, open_run: Script, client: Client, home: Path, tmp_path: Path
) -> None:
    """The whole process: a copy of the program whose planners decide otherwise."""
    program = _other_version(tmp_path / "program")
    refused = await _worker(program, home)
    out, _ = await refused.communicate()
    assert refused.returncode == 2, out
    assert "halfway: halfway/root-" in out.decode()
    assert "Traceback" not in out.decode()
    assert ": ready" not in out.decode()
    root = client.get_workflow_handle(open_run.turns[0].me)
    assert not any(
        event.HasField("workflow_task_failed_event_attributes") for event in (await root.fetch_history()).events
    )

    started = await _worker(program, home, "--skip-run", "halfway")
    assert started.stdout is not None
    lines = []
    while line := (await started.stdout.readline()).decode().strip():
        lines.append(line)
        if line == "workflows: ready":
            break
    assert lines[-1] == "workflows: ready", lines
    assert any(line.startswith("halfway was not checked") for line in lines)
    started.terminate()
    assert await asyncio.wait_for(started.wait(), 60) == 0


def _other_version(folder: Path) -> Path:
    """The program with a planner that calls its turn by another name."""
    folder.mkdir()
    for name in ("headway", "activities", "prompts"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "worker.py").write_text((ROOT / "worker.py").read_text())
    (folder / "workflows").mkdir()
    for path in (ROOT / "workflows").glob("*.py"):
        text = path.read_text()
        if path.name == "planner.py":
            text = text.replace(
                "        stored: StoredHandoff =", "        await workflow.sleep(1)\n        stored: StoredHandoff =", 1
            )
            assert "await workflow.sleep(1)" in text
        (folder / "workflows" / path.name).write_text(text)
    return folder / "worker.py"


async def _worker(program: Path, home: Path, *more: str) -> asyncio.subprocess.Process:
    env = {**os.environ, "HEADWAY_HOME": str(home), "OPENAI_API_KEY": "none", "PYTHONPATH": str(program.parent)}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, str(program), "--only", "workflows", *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=home,
        env=env,
    )


def test_only_the_workflows_role_is_told_which_runs_to_skip() -> None:
    told = {child.name: child.argv[-4:] for child in worker_children(skip_runs=("a", "b"))}
    assert told["workflows"] == ("--skip-run", "a", "--skip-run", "b")
    assert all("--skip-run" not in arguments for role, arguments in told.items() if role != "workflows")
