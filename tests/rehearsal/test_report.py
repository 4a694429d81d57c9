"""What the rehearsal counts."""

import asyncio
import json
import socket
import time
import urllib.request
from typing import Any

import pytest

from headway.domain.errors import UserError
from headway.domain.headings import ROOT_HEADING, task_heading
from headway.models.failures import FatalModelError
from headway.rehearsal.host import Rehearsal
from headway.rehearsal.latency import latency_s
from headway.rehearsal.place import place_of
from headway.rehearsal.playbook import Playbook
from headway.rehearsal.playbook_reader import parse_playbook
from headway.rehearsal.reply import reply_at
from headway.rehearsal.request_reader import read_conversation
from headway.rehearsal.scripts import Scripts
from tests.rehearsal.agents import Agent, model_at

PLAYBOOK = parse_playbook("""
name: counted
planners:
- scope: root
  calls:
  - tools: [{spawn_tasks: {tasks: []}}]
  - after_handoffs: 1
    tools: [{finish: {status: done, summary: s}}]
tasks:
- title: "T*"
  calls:
  - tools: [{shell: {command: "true"}}]
    repeat: 5
""")


def fetch(url: str) -> Any:
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)


async def test_the_report_counts_who_asked_what() -> None:
    with Rehearsal(PLAYBOOK) as rehearsal:
        async with model_at(rehearsal.url) as model:
            one = Agent(model, task_heading("T1"), "r/one")
            await one.go()
            await one.ask()
            await one.go()
            await one.ask(words_only=True)
            root = Agent(model, ROOT_HEADING, "r/root")
            for _ in range(3):
                await root.go()
        report = await asyncio.to_thread(fetch, rehearsal.url.removesuffix("/v1") + "/rehearsal/report")
        assert report == rehearsal.report()
    assert report["requests"] == 7
    assert report["agents"] == {
        "r/one": {"who": "task 'T1'", "requests": 4, "steps": 3, "repeats": 1, "retries": 0, "unheard": 0},
        "r/root": {"who": "planner 'root'", "requests": 3, "steps": 3, "repeats": 0, "retries": 0, "unheard": 0},
    }
    assert report["repeats"] == 1
    assert report["under_use"] == [
        "planner 'root': of its 2 calls, 2 was never asked for",
        "task 'T*': of its 5 calls, 3 to 5 were never asked for",
    ]
    assert report["over_use"] == []
    assert rehearsal.problems() == report["under_use"]


async def test_over_use_is_counted_once_a_line() -> None:
    with Rehearsal(PLAYBOOK) as rehearsal:
        async with model_at(rehearsal.url) as model:
            for _ in range(3):
                with pytest.raises(FatalModelError):
                    await Agent(model, task_heading("other")).ask()
        assert rehearsal.problems()[0] == "no script fits task 'other'; asked 3 times"


async def test_waiting_answers_overlap() -> None:
    playbook = PLAYBOOK.model_copy(update={"latency_ms": 300})
    with Rehearsal(playbook) as rehearsal:
        async with model_at(rehearsal.url) as model:
            started = time.perf_counter()
            await asyncio.gather(*(Agent(model, task_heading(f"T{n}"), f"r/{n}").go() for n in range(100)))
            assert time.perf_counter() - started < 5
    report = rehearsal.report()
    assert report["max_in_flight"] > 10
    assert report["in_flight"] == 0
    assert len(report["agents"]) == 100


def latency(playbook: Playbook, body: bytes) -> float:
    scripts = Scripts(playbook)
    talk = read_conversation("chat", {"messages": [{"role": "user", "content": task_heading("T")}]})
    return latency_s(reply_at(scripts, place_of(scripts, talk), talk).latency_ms, playbook.seed, body)


def test_a_drawn_latency_depends_on_seed_and_request_alone() -> None:
    playbook = PLAYBOOK.model_copy(update={"latency_ms": (10, 1000)})
    drawn = [latency(playbook, body) for body in (b"a", b"b", b"c", b"d")]
    assert all(0.01 <= seconds <= 1 for seconds in drawn)
    assert len(set(drawn)) == 4
    assert drawn == [latency(playbook, body) for body in (b"a", b"b", b"c", b"d")]
    assert drawn[0] != latency(playbook.model_copy(update={"seed": 1}), b"a")


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="port"):
            Rehearsal(PLAYBOOK, taken.getsockname()[1]).start()
