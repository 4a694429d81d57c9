"""What a server lacks is said before an agent finds out, with the flag that sets it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headway.domain.diagnostic import Diagnostic
from headway.models.adapter import Request
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.probe import probe
from headway.models.turn import AssistantTurn
from tests.models.servers import Answer, Asked, Server

READY = {"message": {"tool_calls": [{"id": "1", "function": {"name": "ready", "arguments": "{}"}}]}}
WORKS = Answer({"model": "m", "choices": [READY | {"finish_reason": "tool_calls"}]})
TALKS = Answer({"model": "m", "choices": [{"message": {"content": '{"name": "ready"}'}, "finish_reason": "stop"}]})
NO_PARSER = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'


def served(**entry: Any) -> Answer:
    return Answer({"object": "list", "data": [{"id": "m", "object": "model"} | entry]})


def problem(message: str, status: int = 400) -> Answer:
    return Answer({"error": {"message": message, "type": None, "param": None, "code": status}}, status)


VLLM = {"/v1/models": served(owned_by="vllm", max_model_len=131072), "/v1/chat/completions": WORKS}
LLAMA = {
    "/v1/models": served(owned_by="llamacpp", meta={"n_ctx_train": 131072}),
    "/props": Answer({"default_generation_settings": {"n_ctx": 131072}, "total_slots": 1}),
    "/v1/chat/completions": WORKS,
}
OLLAMA = {
    "/v1/models": served(owned_by="library"),
    "/api/ps": Answer({"models": [{"name": "m", "model": "m", "context_length": 131072}]}),
    "/v1/chat/completions": WORKS,
}

LACKING: dict[str, tuple[dict[str, Answer], list[str]]] = {
    "vLLM as it should be": (VLLM, []),
    "llama.cpp as it should be": (LLAMA, []),
    "Ollama as it should be": (OLLAMA, []),
    "vLLM without a parser for tools": (
        VLLM | {"/v1/chat/completions": problem(NO_PARSER)},
        ["--enable-auto-tool-choice --tool-call-parser NAME"],
    ),
    "a list whose model is nowhere": (VLLM | {"/v1/chat/completions": problem("no such model", 404)}, ["404"]),
    "vLLM with a short window": (
        VLLM | {"/v1/models": served(owned_by="vllm", max_model_len=65536)},
        ["HEADWAY_WINDOW says 128,000. Set HEADWAY_WINDOW=65536, or raise it: `vllm serve --max-model-len"],
    ),
    "llama.cpp without --jinja": (
        LLAMA | {"/v1/chat/completions": problem("tools param requires --jinja flag", 500)},
        ["--jinja"],
    ),
    "llama.cpp with a tiny window": (
        LLAMA | {"/props": Answer({"default_generation_settings": {"n_ctx": 4096}})},
        ["HEADWAY_WINDOW=4096", "a window of 4,096 tokens is small for an agent. Raise it: `llama-server -c N`"],
    ),
    "Ollama with its default window": (
        OLLAMA | {"/api/ps": Answer({"models": [{"name": "m", "context_length": 4096}]})},
        ["HEADWAY_WINDOW=4096", "OLLAMA_CONTEXT_LENGTH"],
    ),
    "Ollama with a model without tools": (
        OLLAMA | {"/v1/chat/completions": problem("registry.ollama.ai/library/m does not support tools")},
        ["take a model that has tools"],
    ),
    "a model that only talks of tools": (
        VLLM | {"/v1/chat/completions": TALKS},
        ["was asked to call a tool and did not"],
    ),
    "a server without models": (
        {"/v1/models": Answer({"data": []})},
        ["lists no models. Load one: `ollama pull NAME`"],
    ),
    "a wrong key": ({"/v1/models": problem("who are you", 401)}, ["Set OPENAI_API_KEY to a key"]),
    "a wrong path": ({"/v1/models": Answer("404 page not found", 404)}, ["OPENAI_BASE_URL, which mostly ends in /v1"]),
    "LM Studio without /v1": (
        {"/v1/models": Answer({"error": "Unexpected endpoint or method. (GET /models)"})},
        ["Correct OPENAI_BASE_URL, which mostly ends in /v1"],
    ),
    "a web page": (
        {"/v1/models": Answer("<html>Sign in</html>")},
        ["not the API of a model's server. Correct OPENAI_"],
    ),
}


def serve(server: Server, answers: dict[str, Answer]) -> None:
    nothing = Answer({"error": {"message": "no such page"}}, 404)

    def answer(asked: Asked) -> Answer:
        return answers.get(asked.path, nothing)

    server.answer = answer


@pytest.mark.parametrize(("answers", "told"), LACKING.values(), ids=LACKING)
async def test_what_is_lacking_is_told_with_its_remedy(
    answers: dict[str, Answer], told: list[str], server: Server, model_of: Callable[..., Model]
) -> None:
    serve(server, answers)
    found = await probe(model_of())
    notes = found.notes
    assert len(notes) == len(told), notes
    assert not {"good", "broken"} <= {each.state for each in found.findings}, "one server is not both"
    for note, part in zip(notes, told, strict=True):
        assert part in note


async def test_a_model_that_is_not_there_is_told_with_those_that_are(
    server: Server, model_of: Callable[..., Model]
) -> None:
    serve(server, VLLM)
    found = await probe(model_of(), ("other",))
    assert found.problem is not None
    assert "does not list model 'other', but m" in found.problem


async def test_nobody_there(server: Server, model_of: Callable[..., Model]) -> None:
    model = model_of()
    server.close()
    found = await probe(model)
    assert [finding.state for finding in found.findings] == ["broken"]
    assert "Start that server" in found.findings[0].remedy


async def test_a_server_beyond_the_own_network_is_only_asked_for_its_list(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(server, VLLM)
    from headway.models import endpoint

    monkeypatch.setattr(endpoint, "is_local", lambda _: False)
    env = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "k" * 12}
    async with Model(endpoint_from(env)) as model:
        found = await probe(model)
    assert found.findings == (Diagnostic(topic="model", state="good", says=f"{server.url} (chat): 1 model"),)
    assert [asked.path for asked in server.asked] == ["/v1/models"]


async def test_the_window_of_a_model_that_is_loaded_by_the_small_call_is_seen(
    server: Server, model_of: Callable[..., Model]
) -> None:
    loaded: list[dict[str, Any]] = []

    def answer(asked: Asked) -> Answer:
        if asked.path == "/v1/chat/completions":
            loaded.append({"name": "m", "model": "m", "context_length": 4096})
        return Answer({"models": loaded}) if asked.path == "/api/ps" else OLLAMA[asked.path]

    server.answer = answer
    assert any("takes 4,096 tokens" in note for note in (await probe(model_of())).notes)


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_what_is_left_out_of_requests_is_told(server: Server, tmp_path: Path, request_: Request) -> None:
    refused = problem("'messages.0' : property 'reasoning_content' is unsupported")
    serve(server, VLLM)
    gates = CircuitBreakers(tmp_path)
    async with Model(endpoint_from({"OPENAI_BASE_URL": server.url}), gates) as model:
        assert (await probe(model)).notes == ()
        assert not files_in(tmp_path), "a look makes no file"
        answers = iter([refused, WORKS])
        server.answer = lambda _: next(answers)
        thought = model.encode(AssistantTurn(({"role": "assistant", "content": "x", "reasoning_content": "hm"},)))
        await model.answer(replace(request_, model="m", items=[thought]))
        serve(server, VLLM)
        (note,) = (await probe(model)).notes
    gates.close()
    assert "'m' is asked without reasoning_content" in note
    assert "is unsupported" in note
