"""Servers with one habit each: all lands as on a plain server, or the run ends truthfully, within bounds."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from headway.domain.errors import TransientError
from headway.domain.messages import WorkerDone
from tests.agents.stage import Stage
from tests.peers.habit import Form, Habit
from tests.peers.habits import CASES, HABITS
from tests.peers.playing import fleet
from tests.peers.script import READ, TASKS, files_of
from tests.peers.server import HabitServer
from tests.support.environment import own_git
from tests.support.repositories import make_repository

__all__ = ["own_git"]

MOST_TRIES = 20
SHORT: tuple[tuple[str, Form], ...] = (
    ("mistral", "chat"),
    ("single_call", "responses"),
    ("split_surrogates", "chat, streamed"),
    ("overloaded_stream", "responses, streamed"),
    ("bad_name", "chat, streamed"),
    ("args_object", "responses"),
    ("plain_overflow", "chat"),
    ("text_hermes", "chat"),
    ("text_glm_xml", "responses, streamed"),
)


def named(name: str) -> Habit:
    return next(habit for habit in HABITS if habit.name == name)


async def test_a_worker_lands_what_was_sent(tmp_path: Path) -> None:
    """All at once: nearly all of the time they wait for git."""
    await asyncio.gather(*(landed_by_a_worker(named(name), form, tmp_path / name) for name, form in SHORT))


async def landed_by_a_worker(habit: Habit, form: Form, folder: Path) -> None:
    """A worker does its task as the engine has it: a failure that may pass is followed by the next try."""
    api, _, streamed = form.partition(", ")
    more: dict[str, Any] = {"streams": bool(streamed), "api_key": SecretStr("sk-habit-1234567890")}
    folder.mkdir()  # noqa: ASYNC240 - a folder of its own
    with HabitServer([habit]) as server:
        stage = Stage(folder, api=api, endpoint=more, files={READ: "value = 0\n"})  # type: ignore[arg-type]
        stage.listen_to(server.address(habit, form))
        order = stage.task(TASKS[0])
        try:
            for _ in range(MOST_TRIES):
                try:
                    done = await stage.work(order)
                except TransientError:
                    continue
                break
            assert isinstance(done, WorkerDone)
            report = stage.handoff(done.ref).report
            assert report.status == "done", f"{habit.name}: {report.summary}"
            for path, text in files_of(TASKS[0]).items():
                assert stage.on_trunk(path) == text, habit.name
        finally:
            await stage.close()


def test_the_table_is_whole() -> None:
    assert len(HABITS) == 66
    assert {form for _, form in CASES} == {"chat", "chat, streamed", "responses", "responses, streamed"}


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_every_habit_in_whole_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is no longer what the table says, or says, fails."""
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", "/dev/null")
    home = tmp_path / "state"
    home.mkdir(mode=0o700)
    repository = make_repository(tmp_path / "repository", 20)
    async with fleet(CASES, home, repository, {}) as site:
        played = await site.play_all([*map(site.order, CASES)])
    verdicts = {"lands": "lands", "partly": "ends truthfully", "refused": "ends truthfully", "parked": "waits"}
    expected = [verdicts[habit.ends] for habit, _ in CASES]
    wrong = [each.row for each, verdict in zip(played, expected, strict=True) if each.verdict != verdict]
    assert not wrong, "\n".join(wrong)
