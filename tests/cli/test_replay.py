"""`headway replay`: histories from files and from the service, with no model, no activity and no worker process."""

import asyncio
import gzip
import json
from pathlib import Path

import pytest
from temporalio.client import Client

from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.host.history import read_history
from headway.host.service_settings import find_settings, load_settings
from headway.host.temporal_cli import find_cli
from headway.runs.decisions import Decisions
from headway.runs.short_ids import short_id
from tests.replay.recordings import FOLDER, kept
from tests.replay.scenarios import Stage, levels
from tests.support.command import headway

SIMPLE = FOLDER / "planner-simple.json"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    """A history in which the planner's turns have another name than its code gives them."""
    path = tmp_path / "changed.json"
    path.write_text(SIMPLE.read_text().replace('"name": "plan_turn"', '"name": "think"'))
    return path


async def test_a_file_replays_without_any_service(home: Path) -> None:
    said = await headway(home, "replay", str(SIMPLE), OPENAI_API_KEY="")
    events = len(read_history(SIMPLE).events)
    assert (said.code, said.out) == (0, f"replays deterministically: {events} events\n"), said
    assert said.err == ""


async def test_a_mismatch_is_one_readable_line_and_exit_code_1(home: Path, changed: Path) -> None:
    said = await headway(home, "replay", str(changed), str(SIMPLE))
    assert said.code == 1, said
    first, second, last = said.out.splitlines()
    assert first.startswith("replay-plain/root-")
    assert "'think'" in first
    assert "'plan_turn'" in first
    assert second.endswith("ok")
    assert last == "1 of 2 do not replay with this code."
    assert said.err == ""


async def test_decisions_are_shown_turn_by_turn(home: Path) -> None:
    said = await headway(home, "replay", "--decisions", str(FOLDER / "planner-rests-and-cancels.json"))
    assert said.code == 0, said
    shown = [line.split("  ")[-1] if "  turn" not in line else line[:8] for line in said.out.splitlines()]
    assert "  turn 1" in shown
    assert "late" in shown
    assert "    finishes done: all done" in said.out.splitlines()
    assert any(line.startswith("    cancelled  1.1-") and line.endswith("unwanted") for line in said.out.splitlines())


def test_decisions_over_a_chain_know_the_titles_of_what_was_spawned_before() -> None:
    decisions = Decisions()
    for history in kept("planner-continue-as-new"):
        decisions.add(history)
    took = [line for line in decisions.lines if line.startswith("    took")]
    assert len(took) == 24
    assert all("partial  task " in line for line in took)
    assert "  continues as new" in decisions.lines


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("planner-gave-up", "    gave up: no usable reply"),
        ("planner-idle", "    waits"),
        ("planner-budget-asks", "    is out of budget: needs 300,000 tokens"),
        ("planner-failed-turn", "  turn 1  has no decision"),
        ("planner-reset-replans", "  was reset: "),
        ("planner-reset-replans", "    took over from before the reset"),
        ("planner-with-sub-planner", "    spawned sub-planner"),
        ("planner-in-place-of-another", "    was told 1 message(s) by the user"),
        ("planner-simple", "    was shown before its finish counts: the check: passed"),
    ],
)
def test_every_way_that_a_turn_ends_is_told(name: str, ending: str) -> None:
    decisions = Decisions()
    for history in kept(name):
        decisions.add(history)
    assert any(line.startswith(ending) for line in decisions.lines), decisions.lines


async def test_a_run_on_the_service_replays_with_everything_in_it(home: Path, client: Client, tmp_path: Path) -> None:
    stage = Stage(client, "levels")
    async with stage.working():
        await levels(stage)
    root = stage.root

    said = await headway(home, "replay", stage.name)
    lines = said.out.splitlines()
    assert said.code == 0, said
    assert len(lines) == 1 + 2 + 2 + 1, "the run, two planners, two tasks, the sum"
    assert all(line.endswith("ok") for line in lines[:-1])
    assert lines[-1].startswith("replays deterministically: ")
    assert lines[-1].endswith(" in 5 histories")

    one = await headway(home, "replay", root, "--decisions")
    assert one.code == 0, one
    assert f"\n{root}\n  turn 1" in one.out
    assert "spawned sub-planner" in one.out

    task = await headway(home, "replay", f"{stage.name}/{short_id(tasks_of(said.out)[0])}")
    assert (task.code, task.out.splitlines()[0].split()[0]) == (0, tasks_of(said.out)[0])
    unknown = await headway(home, "replay", f"{stage.name}/9.9")
    assert f"The run '{stage.name}' has no agent '9.9'." in unknown.refusal

    shown = await _by_the_stock_cli(client, root)
    path = tmp_path / "shown.json.gz"
    path.write_bytes(gzip.compress(shown))
    assert read_history(path).workflow_id == root
    assert (await headway(home, "replay", str(path))).code == 0


def tasks_of(listed: str) -> list[AgentId]:
    """The tasks in the lines of a replay."""
    return [AgentId(line.split()[0]) for line in listed.splitlines() if " Task " in line]


async def _by_the_stock_cli(client: Client, workflow: str) -> bytes:
    cli = find_cli(load_settings(find_settings()).cli)
    address = client.service_client.config.target_host
    process = await asyncio.create_subprocess_exec(
        *(str(cli.path), "workflow", "show", "--address", address, "-w", workflow, "-o", "json"),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert json.loads(out)["events"]
    return out


async def test_what_the_service_does_not_know_is_said(home: Path, client: Client) -> None:
    assert "knows no workflow 'nobody'" in (await headway(home, "replay", "nobody")).refusal
    assert "is not a file, a run's name or" in (await headway(home, "replay", "what is this")).refusal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a history"),
        ("{}", "is not a history"),
        ('{"events": []}', "is not a history"),
        ('{"events": [{"eventId": "1", "eventType": "EVENT_TYPE_WORKFLOW_EXECUTION_STARTED"}]}', "of which workflow"),
    ],
)
def test_a_file_that_is_no_history_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match=said):
        read_history(path)


async def test_a_file_that_is_not_there_is_named(home: Path) -> None:
    assert "gone.json: cannot be read" in (await headway(home, "replay", "gone.json")).refusal
