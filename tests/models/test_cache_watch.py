"""A server that reads nothing from a prompt cache is noticed, remembered for its model, and taken back when it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headway.models.adapter import Request, Reuse
from headway.models.cache_watch import CALLS, NO_CACHE, WORTH_TOKENS, CacheWatch
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from headway.models.roles import ModelRoles
from headway.models.turn import Usage
from tests.models.servers import Answer, Asked, Server

BIG = Usage(input=WORTH_TOKENS, output=10)
MISSED, READ = BIG.model_copy(update={"cached": 0}), BIG.model_copy(update={"cached": 1024})


def seen(request: Request, *usages: Usage) -> list[bool | None]:
    watch = CacheWatch()
    return [watch.saw(request, usage) for usage in usages]


def test_many_misses_in_a_row_tell_once(request_: Request) -> None:
    assert seen(request_, *[MISSED] * (CALLS + 5)) == [None] * (CALLS - 1) + [True] + [None] * 5
    assert seen(request_, *[BIG] * CALLS)[-1] is True, "a server that reports nothing counts as one that reads nothing"


def test_one_hit_begins_the_count_anew(request_: Request) -> None:
    assert True not in seen(request_, *[MISSED] * (CALLS - 1), READ, *[MISSED] * (CALLS - 1))


@pytest.mark.parametrize(
    "change",
    [{"step": 0}, {"reuse": Reuse(pause_s=300.0)}],
    ids=["an agent's first call", "a pause that outlives the cache"],
)
def test_calls_that_no_cache_could_serve_do_not_count(change: dict[str, Any], request_: Request) -> None:
    assert seen(replace(request_, **change), *[MISSED] * 2 * CALLS) == [None] * 2 * CALLS


def test_short_requests_do_not_count(request_: Request) -> None:
    assert seen(request_, *[Usage(input=WORTH_TOKENS - 1, cached=0)] * 2 * CALLS) == [None] * 2 * CALLS


@asynccontextmanager
async def far(server: Server, folder: Path, said: list[str], *, local: bool = False) -> AsyncIterator[Model]:
    """A model whose server counts as one elsewhere, unless it is said to be local."""

    class Far(Endpoint):
        @property
        def local(self) -> bool:
            return local

    gates = CircuitBreakers(folder)
    async with Model(Far(base_url=server.url), gates, said.append) as model:
        yield model
    gates.close()


def answering(server: Server, cached: int) -> None:
    choice = {"message": {"content": "fine"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 9_000, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": cached}}

    def answer(asked: Asked) -> Answer:
        return Answer(
            {"data": [{"id": "some-model"}]} if asked.method == "GET" else {"choices": [choice], "usage": usage}
        )

    server.answer = answer


async def test_it_is_told_by_doctor_until_something_is_read(server: Server, tmp_path: Path, request_: Request) -> None:
    said: list[str] = []
    answering(server, 0)
    async with far(server, tmp_path, said) as model:
        for _ in range(CALLS + 2):
            await model.answer(request_)
        models = ModelRoles(model, {"worker": request_.model})
        found = [each for each in (await models.probe(deep=False)).findings if "prompt cache" in each.says]
        assert [each.state for each in found] == ["lacking"]
        assert f"model '{request_.model}' reads nothing" in found[0].says
    assert len(said) == 1
    answering(server, 8_000)
    async with far(server, tmp_path, said) as another:
        assert NO_CACHE in another.left_out(request_.model)
        await another.answer(request_)
        assert NO_CACHE not in another.left_out(request_.model)


async def test_servers_in_the_own_network_are_not_watched(server: Server, tmp_path: Path, request_: Request) -> None:
    said: list[str] = []
    answering(server, 0)
    async with far(server, tmp_path, said, local=True) as model:
        for _ in range(CALLS + 2):
            await model.answer(request_)
    assert said == []


async def test_an_address_that_has_no_cache_is_told_with_its_price(tmp_path: Path) -> None:
    gates = CircuitBreakers(tmp_path)
    async with Model(Endpoint(base_url="https://api.anthropic.com/v1"), gates) as model:
        notes = ModelRoles(model, {})._uncached("default", ["claude-sonnet-5"])
    gates.close()
    assert "at 2 dollars a million tokens instead of 0.2" in notes[0].says
    assert "OpenRouter" in notes[0].remedy
