"""Requests begin as earlier ones did, measured at the server; benchmarks/prefix.py measures more."""

from pathlib import Path

import orjson
import pytest

from benchmarks.agent_ground import INCARNATION
from benchmarks.prefix import LITTLE
from benchmarks.prefix_bytes import alike, prompt_of, repeated, shared_but_for, task_first
from benchmarks.prefix_ground import TASK, PrefixGround
from benchmarks.prefix_server import PLANNER_TURNS, TASKS
from headway.domain.headings import mark_of
from headway.models.endpoint import Api


async def test_a_worker_of_sixty_steps_repeats_its_bytes(tmp_path: Path) -> None:
    async with PrefixGround(tmp_path, steps=60) as ground:
        sent = [prompt_of(body) for body in await ground.work(0)]
    assert len(sent) > 60
    assert repeated(sent) >= 0.97


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_planner_of_thirteen_turns_repeats_its_bytes(api: Api, tmp_path: Path) -> None:
    async with PrefixGround(tmp_path, api) as ground:
        sent = [prompt_of(body) for body in await ground.plan()]
    assert len(sent) == PLANNER_TURNS + 1
    assert repeated(sent) >= 0.9


async def test_ten_workers_begin_alike_but_for_the_task(tmp_path: Path) -> None:
    async with PrefixGround(tmp_path, steps=1) as ground:
        first = [(await ground.work(number))[0] for number in range(TASKS)]
    tasks = [len(TASK.model_dump_json())] * TASKS
    assert shared_but_for([*map(prompt_of, first)], tasks) >= 0.9
    assert shared_but_for([*map(task_first, first)], tasks) < 0.5, "the measure sees the difference"


async def test_the_last_reply_is_asked_for_with_what_the_cache_holds(tmp_path: Path) -> None:
    async with PrefixGround(tmp_path, steps=60) as ground:
        *_, before, last = map(prompt_of, await ground.work(0, LITTLE))
    assert b"This is your last reply" in last
    assert alike(before, last) / len(last) >= 0.9


async def test_the_mark_of_a_cache_stands_where_the_shared_part_ends(tmp_path: Path) -> None:
    async with PrefixGround(tmp_path, steps=3, maker="claude-") as ground:
        workers = [[orjson.loads(body)["messages"] for body in await ground.work(number)] for number in range(2)]
        planner = orjson.loads((await ground.plan())[-1])["messages"]
    shared = [messages[1]["content"][0] for worker in workers for messages in worker]
    assert shared == [shared[0]] * len(shared)
    assert "cache_control" in shared[0]
    mark = mark_of(INCARNATION)
    for parts in (workers[0][0][1]["content"], planner[1]["content"]):
        assert parts[1]["text"].startswith(f"{mark}\n")
        assert mark in parts[0]["text"].partition("\n")[0]
