"""Every worker that uses up what it may use is asked for one last reply, whatever the limit and wherever it lies."""

import random
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headway.domain.handoff import Handoff, HandoffStatus
from headway.domain.messages import Grant, WorkerDone, WorkOrder
from headway.domain.state.budget import Amount, Sizes
from headway.domain.state.grant import TaskGrant
from tests.agents.scripted_model import OVERFLOW, ScriptedModel, reply
from tests.agents.stage import Stage
from tests.models.servers import Answer

LAST = "This is your last reply"
MINE = {"status": "partial", "summary": "In my own words."}
PRICE = {"price": {"input": 2, "output": 10}}
CALL = Amount(tokens=20_000, micro_usd=125_000)
FILES = {f"large-{number}.txt": "Lorem ipsum dolor.\n" * number * 600 for number in (1, 2, 3)}
SIZES = Sizes(task_call=CALL)


class Reader:
    """A model that reads large files for as long as it may, and hands off when it is told to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rate = self.random.uniform(0.2, 0.35)
        self.overflows_at = 10**9
        self.asked_last = 0

    def __call__(self, body: dict[str, Any]) -> Answer:
        size = sum(len(str(message.get("content"))) for message in body["messages"])
        last = body["messages"][-1]["content"]
        if isinstance(last, str) and LAST in last:
            self.asked_last += 1
            return OVERFLOW if size > self.overflows_at else reply("", ("finish", MINE), tokens=int(size * self.rate))
        tokens = int(size * self.rate * self.random.uniform(0.95, 1.05))
        calls = [self._reads() for _ in range(self.random.randint(1, 2))]
        return reply("So " * self.random.randint(1, 2_000), *calls, tokens=tokens)

    def _reads(self) -> tuple[str, dict[str, Any]]:
        path = f"large-{self.random.randint(1, 3)}.txt"
        return "read_file", {"path": path, "start": self.random.randint(1, 100)}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, limits={"task_minutes": 60}, files=FILES, more={"models": {"worker": PRICE}})
    yield stage
    await stage.close()


async def worked(stage: Stage, number: int, model: Reader, limit: Amount, hours_at: int | None = None) -> Handoff:
    """Work on a task whose slices grow up to a limit; its hours end at a look at the clock."""
    looks = iter(range(10**6))
    server = ScriptedModel(model)
    with closing(server):
        stage.listen_to(server.url)
        order = stage.task(f"Task {number}", number)
        context = order.context.model_copy(
            update={"sizes": SIZES, "bounds_dollars": True, "deadline": None if hours_at is None else float(hours_at)}
        )
        slices = TaskGrant.first(CALL.times(3).least(limit) + Amount(tasks=1), 0, CALL)
        while True:
            worker = stage.worker(lambda: float(next(looks)))
            asked: WorkOrder = order.model_copy(
                update={"context": context, "granted": slices.total, "more": not slices.final}
            )
            outcome = await worker.work(asked, stage.beats.append)
            if isinstance(outcome, WorkerDone):
                assert limit.covers(outcome.spent - Amount(tasks=1))
                return stage.handoff(outcome.ref)
            # A recall takes back what it does not need, now and then; then its planner answers.
            slices.give_back(outcome.spent, slices.grant_version[0] + model.random.randint(0, 1))
            total = slices.total + outcome.need
            final = not limit.covers(total - Amount(tasks=1))
            slices.take(Grant(total=slices.total if final else total, final=final, grant_version=slices.grant_version))


def own_words(handoff: Handoff) -> bool:
    report = handoff.report
    return (report.status, report.summary, handoff.facts.harness_made) == (HandoffStatus.PARTIAL, MINE["summary"], "")


RANGE = [2 + step / 4 for step in range(40)] + [15.0, 25.0, 40.0]


@pytest.mark.parametrize("part", ["tokens", "micro_usd"])
@pytest.mark.parametrize("range_", [(2.0, 4.0), pytest.param(RANGE, marks=pytest.mark.long)], ids=["few", "many"])
async def test_what_pays_for_two_calls_or_more_ends_in_the_agents_words(
    stage: Stage, part: str, range_: list[float]
) -> None:
    for number, times in enumerate(range_):
        plenty = Amount(tokens=10**9, micro_usd=10**9)
        limit = plenty.model_copy(update={part: int(getattr(CALL, part) * times)})
        assert own_words(await worked(stage, number, Reader(number), limit)), f"{times} calls"


async def test_hours_that_end_at_any_step_end_in_the_agents_words(stage: Stage) -> None:
    for number, looks in enumerate((0, 2, 7)):
        model = Reader(number)
        handoff = await worked(stage, number, model, Amount(tokens=10**6, micro_usd=10**7), hours_at=looks)
        assert own_words(handoff), f"at look {looks}"
        assert model.asked_last == 1


async def test_minutes_that_end_end_in_the_agents_words(tmp_path: Path) -> None:
    for number, minutes in enumerate((0.003,)):
        (folder := tmp_path / str(number)).mkdir()
        stage = Stage(folder, limits={"task_minutes": minutes}, files=FILES)
        assert own_words(await worked(stage, number, Reader(number), Amount(tokens=10**7, micro_usd=10**9)))
        await stage.close()


async def test_a_last_reply_that_does_not_fit_into_the_window_is_asked_for_in_fewer_words(stage: Stage) -> None:
    model = Reader(1)
    model.overflows_at = 6_000
    assert own_words(await worked(stage, 1, model, Amount(tokens=10**7, micro_usd=10**9), hours_at=9))
    assert model.asked_last > 1
