"""The same job with nothing of ours but the worker: `temporal server start-dev` as it is, and the stock CLI."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headway.host.service_settings import find_settings, load_settings
from headway.host.temporal_cli import find_cli
from headway.rehearsal.host import Rehearsal
from headway.system.ports import free_ports
from tests.support.playbooks import flat, with_sub_planner
from tests.support.repositories import git
from tests.support.site import machine

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def process(
    *argv: str, log: Path, env: dict[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process for the time of a block."""
    with log.open("wb") as out:
        started = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **(env or {})}, cwd="/"
        )
        try:
            yield started
        finally:
            started.send_signal(signal.SIGTERM)
            await asyncio.wait_for(started.wait(), 60)


async def say(*argv: str) -> str:
    """What a command prints; it must succeed."""
    asked = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd="/"
    )
    out, err = await asked.communicate()
    assert asked.returncode == 0, f"{argv}: {err.decode()}{out.decode()}"
    return out.decode()


async def test_the_stock_cli_starts_a_run_reads_it_and_gets_its_result(home: Path, large_repository: Path) -> None:
    port, ui_port = free_ports(2)
    temporal = str(find_cli(load_settings(find_settings()).cli).path)
    server = ("server", "start-dev", "--port", str(port), "--ui-port", str(ui_port), "--log-level", "error")
    address = ("--address", f"127.0.0.1:{port}")
    with Rehearsal(with_sub_planner("stock", 3, 2)) as rehearsal:
        env = {
            "HEADWAY_HOME": str(home),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{port}",
            "OPENAI_BASE_URL": rehearsal.url,
            "HEADWAY_HEARTBEAT_S": "5",
        }
        async with process(temporal, *server, log=home.parent / "server.log"):
            await until_healthy(temporal, *address)
            async with process(sys.executable, str(ROOT / "worker.py"), log=home.parent / "worker.log", env=env):
                raw = json.dumps({"repo": str(large_repository), "instructions": "Write the files."})
                start = ("--type", "Run", "--task-queue", "headway", "--workflow-id", "r1", "--input", raw)
                await say(temporal, "workflow", "start", *start, *address)
                result = await say(temporal, "workflow", "result", "-w", "r1", "-o", "json", *address)
                tree = await say(temporal, "workflow", "query", "-w", "r1", "--type", "tree", *address)
                history = await say(temporal, "workflow", "show", "-w", "r1", *address)
    assert json.loads(result)["result"]["outcome"] == "done_unproven"
    assert "Write part 0" in tree
    assert "The lower half" in tree
    assert "ActivityTaskCompleted" in history
    assert len(git("-C", str(large_repository), "log", "--oneline", "main..headway/r1/main").splitlines()) == 5


async def until_healthy(temporal: str, *address: str) -> None:
    """Return when the server answers."""
    while True:
        asked = await asyncio.create_subprocess_exec(
            temporal,
            "operator",
            "cluster",
            "health",
            *address,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        if await asked.wait() == 0:
            return


async def test_long_instructions_long_tasks_and_two_runs_at_once(home: Path, small_repository: Path) -> None:
    playbook = flat("long", 3)
    root = playbook.planners[0]
    spawn = root.calls[1].tools[0]
    tasks = [{**task, "context": "Background. " * 700} for task in spawn.args["tasks"]]
    assert len(tasks[0]["context"]) > 8000
    long_step = root.calls[1].model_copy(
        update={"tools": (spawn.model_copy(update={"args": {"tasks": tasks}}), *root.calls[1].tools[1:])}
    )
    root = root.model_copy(update={"calls": (root.calls[0], long_step, *root.calls[2:])})
    playbook = playbook.model_copy(update={"planners": (root,)})
    instructions = "Write the files.\n" + "All of this matters. " * 10_000
    assert len(instructions) > 200_000
    async with machine(home, small_repository, playbook) as site:
        runs = [await site.start(name, instructions=instructions) for name in ("one", "two")]
        reports = [await asyncio.wait_for(run.result(), 100) for run in runs]
        assert [report["outcome"] for report in reports] == ["done_unproven"] * 2
        assert [len(site.landed(name)) for name in ("one", "two")] == [3, 3]
        history = await runs[0].fetch_history()
        sizes = [event.ByteSize() for event in history.events if event.event_id > 1]
        assert max(sizes) < 250_000, "the instructions pass through history once more at most, for preparing"
