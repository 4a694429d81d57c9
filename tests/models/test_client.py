"""The one way to a model: counting, choosing, probing, cancelling."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import TransientError, UserError
from headway.domain.ids import AgentId
from headway.models.adapter import Request
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.probe import probe
from headway.models.token_estimate import TokenEstimate
from headway.models.turn import Turn, UserMessage
from tests.models.servers import Answer, Server

OK = {"id": "1", "model": "m", "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}
LISTED = {"object": "list", "data": [{"id": "first"}, {"id": "second"}, {"no": "id"}, "?"]}


async def test_tokens_are_as_reported_or_estimated(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    model = model_of()
    request = replace(request_, items=[model.encode(UserMessage("x" * 4000))])
    server.answer = Answer(OK)
    assert 1000 < (await model.answer(request)).tokens < 1200
    server.answer = Answer(OK | {"usage": {"prompt_tokens": 3000, "completion_tokens": 5}})
    assert (await model.answer(request)).tokens == 3005
    server.answer = Answer(OK)
    assert 2900 < (await model.answer(request)).tokens < 3100, "the report taught what a token weighs"
    assert model.worst_call(0) == model.endpoint.max_output
    assert model.worst_call(4000, request.model) > model.estimate_tokens(4000, request.model) + 8192


async def test_a_turn_survives_the_log(server: Server, model_of: Callable[..., Model], request_: Request) -> None:
    server.answer = Answer(OK)
    turn = await model_of().answer(request_)
    assert Turn.model_validate_json(turn.model_dump_json()) == turn


async def test_a_server_says_what_it_is(server: Server, model_of: Callable[..., Model]) -> None:
    server.answer = Answer(LISTED)
    model = model_of()
    assert (await probe(model, deep=False)).models == ("first", "second")
    server.answer = Answer(LISTED, headers={"X-Headway-Rehearsal": "demo"})
    assert (await probe(model)).rehearsal
    server.answer = Answer({"error": {"message": "who are you"}}, 401)
    problem = (await probe(model)).problem
    assert problem is not None
    assert "OPENAI_API_KEY" in problem


async def test_the_model_is_the_named_one_or_the_first_listed(server: Server, model_of: Callable[..., Model]) -> None:
    server.answer = Answer(LISTED)
    model = model_of()
    assert await model.choose_model("mine") == "mine"
    assert not server.asked
    assert await model.choose_model(None) == "first"
    server.answer = Answer({"data": []})
    with pytest.raises(UserError, match="HEADWAY_PLANNER_MODEL"):
        await model.choose_model("")


async def test_openai_is_never_asked_to_choose() -> None:
    async with Model(endpoint_from({"OPENAI_API_KEY": "sk-abcdef"})) as model:
        with pytest.raises(UserError, match=r"models\.planner\.model"):
            await model.choose_model(None)


async def test_a_cancelled_call_ends_at_once(server: Server, model_of: Callable[..., Model], request_: Request) -> None:
    server.answer = Answer(hang=True)
    call = asyncio.create_task(model_of().answer(request_))
    await asyncio.to_thread(server.arrived.wait, 10)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@given(st.lists(st.tuples(st.integers(200, 10**6), st.integers(1, 10**6))), st.integers(0, 10**6))
def test_an_estimate_never_leaves_sense(reports: list[tuple[int, int]], nbytes: int) -> None:
    calibration = TokenEstimate()
    for seen, tokens in reports:
        calibration.learn("m", seen, tokens)
    assert nbytes / 16 <= calibration.estimate(nbytes, "m") <= nbytes
    assert calibration.bound(nbytes, "m") >= calibration.estimate(nbytes, "m")


def test_a_short_request_teaches_nothing() -> None:
    calibration = TokenEstimate()
    calibration.learn("m", 50, 5000)
    calibration.learn("m", 5000, None)
    assert calibration.estimate(400, "m") == 100


async def test_a_proxy_of_the_environment_leads_to_others_and_never_to_this_machine(
    server: Server, model_of: Callable[..., Model], request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer = Answer(OK)
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    await model_of(OPENAI_BASE_URL="http://models.invalid/v1").answer(request_)
    await model_of().answer(request_)
    assert [asked.path for asked in server.asked] == [
        "http://models.invalid/v1/chat/completions",
        "/v1/chat/completions",
    ]


async def test_a_proxy_that_refuses_costs_nothing(
    server: Server, model_of: Callable[..., Model], request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.url.removesuffix("/v1"))
    with pytest.raises(TransientError) as raised:
        await model_of(OPENAI_BASE_URL="https://models.invalid/v1").answer(request_)
    assert not raised.value.cut_off


async def test_a_request_that_cannot_be_sent_costs_nothing(
    server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    with pytest.raises(TransientError) as raised:
        await model_of().answer(replace(request_, agent=AgentId("an\nagent")))
    assert not raised.value.cut_off
    assert not server.asked


async def test_headers_of_its_own_go_with_each_request_and_a_query_stays(server: Server, request_: Request) -> None:
    server.answer = Answer({"error": {"message": "the key abcdefgh is wrong"}}, 401)
    env = {"OPENAI_BASE_URL": f"{server.url}?api-version=1", "HEADWAY_HEADERS": '{"api-key": "abcdefgh"}'}
    async with Model(endpoint_from(env)) as model:
        with pytest.raises(TransientError) as failure:
            await model.answer(request_)
        with pytest.raises(TransientError):
            await model.models()
    assert "abcdefgh" not in str(failure.value)
    assert [asked.path for asked in server.asked] == ["/v1/chat/completions?api-version=1", "/v1/models?api-version=1"]
    for asked in server.asked:
        assert asked.headers["api-key"] == "abcdefgh"
        assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("input_", "cached", "written", "counted"),
    [(40, 900, 0, 940), (40, 600, 300, 940), (940, 900, 0, 940), (940, 0, 0, 940), (40, 10**6, 0, 40)],
    ids=["beside", "beside, written too", "within", "none", "more than was sent"],
)
async def test_what_a_gateway_counts_beside_the_input_is_input(  # noqa: PLR0917 - fixtures and cases
    input_: int, cached: int, written: int, counted: int, server: Server, request_: Request
) -> None:
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    usage = {"prompt_tokens": input_, "completion_tokens": 5, "prompt_tokens_details": details}
    server.answer = Answer(OK | {"usage": usage})
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url})) as model:
        turn = await model.answer(replace(request_, items=[model.encode(UserMessage("x" * 4000))]))
    assert (turn.usage.input, turn.tokens) == (counted, counted + 5)
    assert (turn.usage.cached or 0) <= counted


CUT = {"type": "function_call", "call_id": "c", "name": "shell", "arguments": '{"command": "rm -r a"}'}


@pytest.mark.parametrize(
    ("api", "body", "stop"),
    [
        (
            "responses",
            {"status": "completed", "output": [CUT], "usage": {"input_tokens": 9, "output_tokens": 1000}},
            "length",
        ),
        (
            "responses",
            {"status": "completed", "output": [CUT], "usage": {"input_tokens": 9, "output_tokens": 999}},
            "tool",
        ),
        ("responses", {"status": "completed", "output": [CUT | {"status": "incomplete"}]}, "length"),
        ("responses", {"status": "completed", "output": [CUT | {"status": "completed"}]}, "tool"),
        ("chat", OK | {"usage": {"prompt_tokens": 9, "completion_tokens": 1000}}, "length"),
        ("chat", OK | {"usage": {"prompt_tokens": 9, "completion_tokens": 1200}}, "text"),
        ("chat", OK | {"usage": {"prompt_tokens": 9, "completion_tokens": 10}}, "text"),
    ],
)
async def test_a_reply_as_long_as_a_reply_may_be_was_cut_whatever_the_server_says(  # noqa: PLR0917 - fixtures and cases
    api: str, body: dict[str, Any], stop: str, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer({"id": "r"} | body)
    assert (await model_of(HEADWAY_API=api).answer(request_)).stop == stop
