"""What counts as progress of a run, read from the ends of its agents' logs."""

import time
from pathlib import Path

import pytest

from headway.domain.ids import AgentId, Incarnation, RunName
from headway.eventlog.events.conversation import Message
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.progress import NewestProgress, progress_of
from tests.support.events import landed, reply, request, retry

LONG = 512 * 1024
"""Bytes of a log that is read in several parts from its end."""


@pytest.fixture
def logs(tmp_path: Path) -> tuple[LocalStore, Path]:
    store = LocalStore(tmp_path)
    store.claim(RunName("r"), Incarnation("i"))
    return store, store.run_folder(RunName("r")) / "logs"


def test_a_run_without_logs_has_made_none(logs: tuple[LocalStore, Path]) -> None:
    assert progress_of(logs[0], RunName("r")) == NewestProgress(0, 0.0)


def test_a_request_that_nobody_answers_is_no_progress(logs: tuple[LocalStore, Path]) -> None:
    store, _ = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        said = log.append(reply())
        log.append(request(step=2))
        log.append(retry())
    assert progress_of(store, RunName("r")) == NewestProgress(said.seq + 1, said.ts)


def test_the_newest_of_all_agents_counts(logs: tuple[LocalStore, Path]) -> None:
    store, _ = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        said = log.append(reply())
    with store.open(AgentId("r/root-1/1.0-aaaaaaaa"), role="worker") as log:
        there = log.append(landed("c"))
    with store.open(AgentId("r/root-1"), role="planner") as log:
        log.append(request(step=2))
    assert progress_of(store, RunName("r")) == NewestProgress(said.seq + there.seq + 2, there.ts)


def test_half_a_line_and_a_long_log_are_no_trouble(logs: tuple[LocalStore, Path]) -> None:
    store, folder = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        while folder.joinpath("root-1.jsonl").stat().st_size < LONG:
            log.append(Message(text="x" * 2000))
        said = log.append(reply())
    with folder.joinpath("root-1.jsonl").open("ab") as file:
        file.write(b'{"type":"hando')
    assert progress_of(store, RunName("r")) == NewestProgress(said.seq + 1, said.ts)


@pytest.mark.parametrize("size", [8 * 1024, LONG])
def test_progress_before_a_long_silence_is_found(logs: tuple[LocalStore, Path], size: int) -> None:
    store, folder = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        said = log.append(reply())
        while folder.joinpath("root-1.jsonl").stat().st_size < size:
            log.append(retry("x" * 2000))
    assert progress_of(store, RunName("r")) == NewestProgress(said.seq + 1, said.ts)


@pytest.mark.parametrize("step_s", [3, -3, 3_600, -3_600, 31_536_000, -31_536_000])
def test_progress_counts_also_after_the_clock_was_stepped(
    logs: tuple[LocalStore, Path], step_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = logs
    real, seen = time.time, [progress_of(store, RunName("r")).number]
    for offset in (0.0, step_s, 0.0):
        monkeypatch.setattr(time, "time", lambda offset=offset: real() + offset)
        for agent in ("r/root-1", "r/root-1/1.0-aaaaaaaa"):
            with store.open(AgentId(agent), role="worker") as log:
                log.append(reply())
            seen.append(progress_of(store, RunName("r")).number)
    assert seen == sorted(set(seen))
