"""What counts as progress of a run, read from the ends of its agents' logs."""

import os
from pathlib import Path

import pytest

from headway.domain.ids import AgentId, Incarnation, RunName
from headway.trace.log_store import LogStore
from headway.trace.progress import TAIL, last_progress


@pytest.fixture
def logs(tmp_path: Path) -> tuple[LogStore, Path]:
    store = LogStore(tmp_path)
    store.claim(RunName("r"), Incarnation("i"))
    return store, store.run_folder(RunName("r")) / "logs"


def test_a_run_without_logs_has_made_none(logs: tuple[LogStore, Path]) -> None:
    assert last_progress(logs[1]) == 0.0


def test_a_request_that_nobody_answers_is_no_progress(logs: tuple[LogStore, Path]) -> None:
    store, folder = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        reply = log.append("llm.response", {"step": 1})
        log.append("llm.request", {"step": 2})
        log.append("llm.retry", {"step": 2})
    assert last_progress(folder) == reply.ts


def test_the_newest_of_all_agents_counts(logs: tuple[LogStore, Path]) -> None:
    store, folder = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        log.append("llm.response", {"step": 1})
    with store.open(AgentId("r/root-1/1.0-aaaaaaaa"), role="worker") as log:
        landed = log.append("land", {"commit": "c"})
    with store.open(AgentId("r/root-1"), role="planner") as log:
        log.append("llm.request", {"step": 2})
    assert last_progress(folder) == landed.ts


def test_half_a_line_and_a_long_log_are_no_trouble(logs: tuple[LogStore, Path]) -> None:
    store, folder = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        while folder.joinpath("root-1.jsonl").stat().st_size < 2 * TAIL:
            log.append("message", {"text": "x" * 2000})
        reply = log.append("llm.response", {"step": 1})
    with folder.joinpath("root-1.jsonl").open("ab") as file:
        file.write(b'{"type":"hando')
    assert last_progress(folder) == reply.ts


def test_a_log_that_is_older_than_the_newest_progress_is_not_opened(logs: tuple[LogStore, Path]) -> None:
    store, folder = logs
    with store.open(AgentId("r/root-1"), role="planner") as log:
        reply = log.append("llm.response", {"step": 1})
    other = folder / "root-3.jsonl"
    other.write_bytes(b'{"type":"handoff","ts":99999999999}\n')
    os.utime(other, (1, 1))
    assert last_progress(folder) == reply.ts
