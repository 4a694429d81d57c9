"""A fleet whose model refuses it: real HTTP, the real client, several processes."""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from headway.domain.errors import HeldBack, Parked, TransientError
from headway.domain.ids import AgentId
from headway.models.adapter import Request
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.failures import ContextOverflow, Failing, FatalModelError
from headway.models.turn import UserMessage
from tests.models.servers import Answer, Asked, Server

OK = Answer({"model": "m", "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]})
PACE = 1 / 120
"""A quarter of an hour takes 7.5 s."""
OUTAGE_S = 900 * PACE
PROCESSES = 3
AGENTS = 300


def refusal(kind: str, **headers: str) -> Answer:
    code = {"rate": "rate_limit_exceeded", "quota": "insufficient_quota"}[kind]
    return Answer({"error": {"message": f"no {kind} left", "type": code, "code": code}}, 429, headers)


def request_of(number: int) -> Request:
    return Request(model="m", system="You work.", items=(), agent=AgentId(f"r/a{number}"))


class Outage:
    """Lets every first call of the fleet arrive, refuses them all, and goes on refusing for a while."""

    def __init__(self, first: Answer, then: Answer) -> None:
        self._gathered = threading.Barrier(AGENTS)
        self._lock = threading.Lock()
        self._first, self._then = first, then
        self.calls = 0
        self.further = 0
        self.began = 0.0

    def __call__(self, _: Asked) -> Answer:
        with self._lock:
            self.calls += 1
            place = self.calls
        if place <= AGENTS:
            self._gathered.wait(60)
            self.began = self.began or time.monotonic()
            return self._first
        if time.monotonic() - self.began < OUTAGE_S:
            with self._lock:
                self.further += 1
            return self._then
        return OK


def _fleet(url: str, folder: Path, numbers: range, line: Connection) -> None:
    """Agents that make one call each; what became of them."""

    async def live(model: Model, number: int) -> str:
        while True:
            try:
                return (await model.answer(request_of(number))).text
            except Parked as parked:  # as its workflow does
                await asyncio.sleep(parked.delay_s)

    async def work() -> list[str]:
        gates = CircuitBreakers(folder, patience_s=300 * PACE, pace=PACE)
        async with Model(endpoint_from({"OPENAI_BASE_URL": url}), gates) as model:
            return await asyncio.gather(*(live(model, number) for number in numbers))

    line.send(asyncio.run(work()))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(refusal("quota"), refusal("quota"), id="quota, no word of the reset"),
        pytest.param(
            refusal("rate"), refusal("rate"), id="too many calls, no word of the reset", marks=pytest.mark.long
        ),
        pytest.param(
            refusal("rate", **{"retry-after-ms": "50"}),
            refusal("rate", **{"retry-after-ms": "50"}),
            id="a reset too early",
            marks=pytest.mark.long,
        ),
        pytest.param(
            refusal("quota", **{"retry-after-ms": str(int(OUTAGE_S * 1000))}),
            refusal("quota"),
            id="the reset is named",
            marks=pytest.mark.long,
        ),
    ],
)
async def test_three_hundred_agents_of_three_processes_and_a_quarter_of_an_hour_without_quota(
    first: Answer, then: Answer, server: Server, tmp_path: Path
) -> None:
    outage = Outage(first, then)
    server.answer = outage
    context = multiprocessing.get_context("spawn")
    lines, processes = [], []
    for number in range(PROCESSES):
        ours, theirs = context.Pipe()
        numbers = range(number, AGENTS, PROCESSES)
        processes.append(context.Process(target=_fleet, args=(server.url, tmp_path, numbers, theirs)))
        lines.append(ours)
    for process in processes:
        process.start()
    said = [answer for line in lines for answer in await asyncio.to_thread(line.recv)]
    for process in processes:
        process.join()
    assert said == ["fine"] * AGENTS, "none failed, all went on"
    assert outage.further <= 3
    assert outage.calls == AGENTS * 2 + outage.further, "and none was asked for twice"


@pytest.fixture
def parked_model(server: Server, tmp_path: Path) -> Callable[..., Model]:
    """A model behind a gate."""

    def make(**more: Any) -> Model:
        return Model(endpoint_from({"OPENAI_BASE_URL": server.url}), CircuitBreakers(tmp_path, **more))

    return make


async def test_a_call_that_was_refused_goes_on_by_itself(server: Server, parked_model: Callable[..., Model]) -> None:
    answers = iter([refusal("rate", **{"retry-after": "0.2"}), OK])
    server.answer = lambda _: next(answers)
    async with parked_model() as model:
        turn = await model.answer(request_of(1))
    assert turn.text == "fine"
    assert turn.waited_s >= 0.2
    assert turn.seconds < turn.waited_s, "the wait is no work"


async def test_a_call_that_waits_hears_that_its_agent_is_paused(
    server: Server, parked_model: Callable[..., Model]
) -> None:
    server.answer = refusal("rate", **{"retry-after": "60"})

    def paused(what: str) -> None:
        assert "no rate left" in what
        raise HeldBack("paused")

    async with parked_model() as model:
        with pytest.raises(HeldBack):
            await model.answer(request_of(1), paused)


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_only_the_user_can_mend_parks_and_is_told(
    status: int, server: Server, parked_model: Callable[..., Model]
) -> None:
    server.answer = Answer({"error": {"message": "no"}}, status)
    async with parked_model(patience_s=1) as model:
        for number in range(5):
            with pytest.raises(Parked) as caught:
                await model.answer(request_of(number))
            assert caught.value.delay_s > 50
            assert "Set OPENAI_API_KEY" in str(caught.value) or "is not known" in str(caught.value)
    assert len(server.asked) == (2 if status == 403 else 1), "403 may be about what one agent says: a small call tells"


PAGE = "<!doctype html><title>Blocked</title><h1>This request was blocked by a security service</h1>"
FLAGGED = {"error": {"message": "Your input was flagged.", "code": 403, "metadata": {"reasons": ["violence"]}}}


@pytest.mark.parametrize("body", [PAGE, FLAGGED, {"error": {"message": "no"}}], ids=["a page", "moderation", "no word"])
async def test_a_request_that_is_blocked_for_its_text_holds_nobody(
    body: Any, server: Server, parked_model: Callable[..., Model]
) -> None:
    server.answer = lambda asked: Answer(body, 403) if b"poison" in asked.body else OK
    async with parked_model() as model:
        poisoned = replace(request_of(1), items=(model.encode(UserMessage("poison")),))
        with pytest.raises(FatalModelError) as caught:
            await model.answer(poisoned)
        assert "OPENAI_API_KEY" not in str(caught.value)
        assert (await model.answer(request_of(2))).waited_s < 1, "parked, it would wait for minutes"
    assert len(server.asked) == (2 if body is FLAGGED else 3), "the refused one, a small one, and the other agent's"


async def test_a_server_that_fails_call_after_call_is_asked_ever_more_rarely(
    server: Server, parked_model: Callable[..., Model]
) -> None:
    server.answer = Answer({"error": {"message": "Value is not callable"}}, 500)
    pace = PACE / 2
    async with parked_model(patience_s=100 * pace, pace=pace) as model:
        delay_s, told = 0.0, ""
        while not delay_s:
            try:
                await model.answer(request_of(1))
            except Parked as parked:
                delay_s, told = parked.delay_s, str(parked)
            except Failing:
                await asyncio.sleep(3 * pace)  # as Temporal does
        assert len(server.asked) < 20
        assert delay_s > 60 * pace, "minutes"
        assert "Value is not callable" in told
        server.answer = OK
        await asyncio.sleep(delay_s)
        assert (await model.answer(request_of(1))).text == "fine"


async def test_one_agents_own_failure_holds_nobody(server: Server, parked_model: Callable[..., Model]) -> None:
    answers = iter(
        [
            Answer({"error": {"message": "oops"}}, 500),
            Answer({"error": {"message": "too long", "code": "context_length_exceeded"}}, 400),
            OK,
        ]
    )
    server.answer = lambda _: next(answers)
    async with parked_model() as model:
        with pytest.raises(TransientError):
            await model.answer(request_of(1))
        with pytest.raises(ContextOverflow):
            await model.answer(request_of(2))
        assert (await model.answer(request_of(3))).waited_s < 1


async def test_a_server_that_is_down_is_asked_by_one(parked_model: Callable[..., Model], server: Server) -> None:
    server.close()
    async with parked_model(patience_s=0.5) as model:
        said = await asyncio.gather(*(model.answer(request_of(n)) for n in range(20)), return_exceptions=True)
    assert {type(each) for each in said} == {Parked}
    assert "cannot be reached" in str(said[0])
