"""The failure table, over real HTTP and the real client."""

import re
import socket
import traceback
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.models.adapter import Request
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from, named_endpoints
from headway.models.failures import PARK_S, ContextOverflow, FatalModelError, Refused
from headway.models.retry_after import reset_in
from tests.models.conftest import SECRET, Ask
from tests.models.servers import Answer, Server


def problem(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": None, "param": None, "code": None} | more}


OVERFLOWS = [
    (400, problem("Your input exceeds the context window of this model.", code="context_length_exceeded")),
    (400, {"object": "error", "message": "This model's maximum context length is 16384 tokens.", "code": 400}),
    (400, problem("'max_tokens' is too large: 9. This model's maximum context length is 8 tokens", param="max_tokens")),
    (400, problem("the request exceeds the available context size, try increasing it", code=400)),
    (500, problem("the request exceeds the available context size", type="exceed_context_size_error", code=500)),
    (400, problem("the input length exceeds the context length")),
    (400, problem("prompt too long; exceeded max context length by 12 tokens")),
    (400, problem("prompt is too long: 210000 tokens > 200000 maximum")),
    (400, problem("input length and `max_tokens` exceed context limit: 199759 + 8192 > 200000")),
    (400, problem("The input token count (200000) exceeds the maximum number of tokens allowed (100000).")),
    (429, problem("Request too large for gpt on tokens per min (TPM): Limit 30000, Requested 45000", type="tokens")),
    (413, "<html>413 Request Entity Too Large</html>"),
    # xAI
    (400, {"code": "invalid-argument", "error": "This model's maximum prompt length is 131072 but the request has 9."}),
    # LM Studio, with 400, with 200, and of another version
    (400, {"error": "Trying to keep the first 5000 tokens when context the overflows. The context length is only 4."}),
    (200, {"error": "The number of tokens to keep from the initial prompt is greater than the context length."}),
    (400, problem("Reached context length of 4096 tokens with model qwen, the policy is stopAtLimit.")),
    # Kimi, GLM, Qwen
    (400, problem("Invalid request: Your request exceeded model token limit: 131072 (requested: 140000)")),
    (400, {"error": {"code": "1261", "message": "Prompt exceeds max length"}}),
    (400, problem("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 129024]")),
    # Together, SGLang, TGI
    (422, problem("The input (24571 tokens) is longer than the model's context length (8192 tokens).")),
    (400, {"object": "error", "message": "Requested token count exceeds the model's maximum context length of 32768."}),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.", "error_type": "v"}),
    (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1101"}),
    # GitHub Copilot, Poolside, DeepInfra, Cohere, MiniMax, Mistral, Fireworks
    (400, problem("prompt token count of 152345 exceeds the limit of 128000", code="model_max_prompt_tokens_exceeded")),
    (400, problem("Input length exceeds the maximum allowed input length of 131,072 tokens")),
    (400, problem("Requested input length 40001 exceeds maximum input length 32768")),
    (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 8000."}),
    (400, problem("invalid params, context window exceeds limit (2013)", type="bad_request_error")),
    (400, {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"}),
    (400, problem("The prompt is too long: 138000, model maximum context length: 131071")),
    # Gemini, whose errors are lists
    (
        400,
        [{"error": {"code": 400, "message": "The input token count (11) exceeds the maximum number of tokens (10)."}}],
    ),
    # OpenRouter, in the words of the server behind it
    (
        400,
        problem("Provider returned error", metadata={"raw": "the context length was exceeded", "provider_name": "x"}),
    ),
]

DETAILS = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]

TRANSIENTS: list[tuple[Answer, float | None]] = [
    *((Answer(problem("a relay lost it"), status), None) for status in (421, 425, 499, 520, 530)),
    # Errors in a 200, of which nothing else is known
    (Answer(problem("Our servers are overloaded.", code="server_is_overloaded"), 200), None),
    (Answer(problem("The server had an error", type="server_error"), 200), None),
    (Answer(problem("litellm.InternalServerError", code="500"), 200), None),
    (Answer(problem("litellm.Timeout", code="503"), 200), None),
    (Answer(problem("slow", code="429"), 200), None),
    (Answer(problem("slow", code="too_many_requests"), 200), None),
    (Answer(problem("busy", type="overloaded_error"), 200), None),
    (Answer({"error": "upstream connect error"}, 200), None),
    # A generation that came to nothing
    (Answer(problem("Failed to call a function.", code="tool_use_failed", failed_generation="<f"), 400), None),
    # Resets by the body, the words, and a gateway's header
    (Answer([{"error": {"code": 429, "message": "You exceeded your current quota", "details": DETAILS}}], 429), 34.0),
    (Answer(problem("Rate limit reached. Please try again in 1m30.5s."), 429), 90.5),
    (Answer(problem("Rate limit is exceeded. Try again in 6 seconds."), 429), 6.0),
    (Answer(problem("slow, type=throttling_error", type="throttling_error", code="429"), 429), None),
    (Answer(problem("slow"), 429, {"llm_provider-retry-after": "60"}), 60.0),
    (Answer(problem("slow"), 408), None),
    (Answer(problem("busy"), 409), None),
    (Answer(problem("Rate limit reached"), 429), None),
    (Answer(problem("Rate limit reached"), 429, {"retry-after": "17"}), 17.0),
    (Answer(problem("Rate limit reached"), 429, {"retry-after": "2", "retry-after-ms": "1500"}), 1.5),
    (Answer(problem("Rate limit reached"), 429, {"retry-after": "999999"}), 3600.0),
    (Answer(problem("oops"), 500), None),
    (Answer("<html>Bad Gateway</html>", 502), None),
    (Answer(problem("Loading model", type="unavailable_error"), 503, {"retry-after": "5"}), 5.0),
    (Answer(problem("overloaded"), 529), None),
    (Answer("", 200), None),
    (Answer("[]", 200), None),
    (Answer('{"choices": [{"message": {"content": "Hel', 200), None),
    (Answer('{"choices": [{"mess', 200, length=4096), None),
    (Answer(problem("upstream is down", code=502), 200), None),
    (Answer(problem("Rate limit reached", code=429), 200), None),
    (Answer(problem("slow"), 429, {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1m30s"}), 90.0),
    (Answer(problem("slow"), 429, {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "1m30s"}), None),
    (
        Answer(problem("slow"), 429, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "250ms"}),
        0.25,
    ),
]

PARKED = [
    (200, "<html><body>Sign in</body></html>", "this is not the API.*\nCorrect OPENAI_BASE_URL"),
    (200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, "Correct OPENAI_BASE_URL"),
    (401, problem(f"Incorrect API key provided: {SECRET}."), "OPENAI_API_KEY"),
    (403, problem("Country not supported"), "OPENAI_API_KEY"),
    (429, problem("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"), "quota"),
    (402, problem("Insufficient credits"), "quota"),
    (404, problem("The model `some-model` does not exist", code="model_not_found"), "'some-model'"),
    (403, problem("Project has no access to the model `some-model`", code="model_not_found"), "'some-model'"),
    (404, "404 page not found", "OPENAI_BASE_URL"),
    (400, problem("some-model is not a valid model ID", code=400), "HEADWAY_WORKER_MODEL"),
    (400, problem('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'), "vLLM"),
    (500, problem("tools param requires --jinja flag", code=500, type="server_error"), "llama.cpp"),
    (400, problem("registry.ollama.ai/library/old:latest does not support tools"), "Ollama"),
    (
        400,
        problem("/chat: Invalid model name passed in model=nosuch. Call `/v1/models`.", code="400"),
        "HEADWAY_WORKER_M",
    ),
    (400, problem("No connected db.", type="no_db_connection", code="400"), "OPENAI_API_KEY"),
    (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}], "OPENAI_API_KEY"),
    (429, problem("litellm.RateLimitError: You exceeded your current quota", type="throttling_error"), "quota left"),
    (400, problem("Function tools with reasoning_effort are not supported. Use /v1/responses."), "HEADWAY_API=resp"),
]

FATALS = [
    (400, problem("Unsupported value: 'max'", param="reasoning.effort", code="unsupported_value"), "reasoning.effort"),
    (422, {"detail": [{"msg": "field required"}]}, "422"),
    (400, problem("x" * 10_000), "xxx…"),
    (400, problem("The response was filtered", code="content_filter"), "filtered"),
    (403, problem("Your input was flagged for violence.", metadata={"reasons": ["violence"]}), "flagged"),
    (200, problem("Invalid type for 'input[3]'", code="invalid_type"), "Invalid type"),
    (451, problem("for legal reasons"), "451"),
]


@pytest.mark.parametrize(("status", "body"), OVERFLOWS)
async def test_what_does_not_fit_asks_for_compaction(status: int, body: Any, ask: Ask) -> None:
    with pytest.raises(ContextOverflow):
        await ask(Answer(body, status))


@pytest.mark.parametrize(("answer", "delay"), TRANSIENTS)
async def test_what_may_pass_is_tried_again_when_the_server_says(
    answer: Answer, delay: float | None, server: Server, ask: Ask
) -> None:
    with pytest.raises(TransientError) as caught:
        await ask(answer)
    assert caught.value.delay_s == delay
    assert len(server.asked) == 1, "the client itself tries nothing twice"


@pytest.mark.parametrize(("status", "body", "told"), PARKED)
async def test_what_only_the_user_can_mend_waits_and_says_how(
    status: int, body: Any, told: str, server: Server, ask: Ask
) -> None:
    with pytest.raises(TransientError, match=told) as caught:
        await ask(Answer(body, status))
    assert caught.value.delay_s == PARK_S
    assert server.url in str(caught.value)


@pytest.mark.parametrize(("status", "body"), [case[:2] for case in PARKED])
async def test_a_remedy_names_the_variables_of_the_endpoint_that_was_asked(
    status: int, body: Any, server: Server, request_: Request
) -> None:
    """A server that is declared by name has an address, a key, an API and a model of its own."""
    server.answer = Answer(body, status)
    env = {"HEADWAY_ENDPOINT_BOX_URL": server.url, "HEADWAY_ENDPOINT_BOX_KEY": SECRET}
    (endpoint,) = named_endpoints({"OPENAI_API_KEY": SECRET} | env)
    async with Model(endpoint) as model:
        with pytest.raises(TransientError) as caught:
            await model.answer(request_)
    variables = re.findall(r"\b(?:OPENAI|HEADWAY)_[A-Z_]+\b", str(caught.value))
    assert [name for name in variables if not name.startswith("HEADWAY_ENDPOINT_BOX_")] == []


@pytest.mark.parametrize("body", ["<html>Method Not Allowed</html>", {"detail": "Method Not Allowed"}])
async def test_an_address_that_takes_no_post_is_wrong_from_the_second_on(
    body: Any, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(body, 405)
    model = model_of()
    for failure in (TransientError, Refused):
        with pytest.raises(TransientError, match="takes no POST") as caught:
            await model.answer(request_)
        assert type(caught.value) is failure
    assert caught.value.delay_s == PARK_S


@pytest.mark.parametrize(("status", "body", "told"), FATALS)
async def test_what_would_be_refused_again_is_fatal(status: int, body: Any, told: str, ask: Ask) -> None:
    with pytest.raises(FatalModelError, match=told) as caught:
        await ask(Answer(body, status))
    assert len(str(caught.value)) < 700


async def test_nobody_listens(request_: Request) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        async with Model(endpoint_from({"OPENAI_BASE_URL": url})) as model:
            with pytest.raises(TransientError, match="cannot be reached"):
                await model.answer(request_)


async def test_silence_ends_after_the_time_allowed(server: Server, request_: Request) -> None:
    server.answer = Answer(hang=True)
    endpoint = endpoint_from({"OPENAI_BASE_URL": server.url}).model_copy(update={"timeout_s": 0.2})
    async with Model(endpoint) as model:
        with pytest.raises(TransientError, match="no answer in time"):
            await model.answer(request_)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 200])
@pytest.mark.parametrize("echo", [f"key {SECRET} is bad", "Incorrect API key provided: sk-liv***mnop"])
async def test_a_key_that_the_server_repeats_is_in_no_text(
    status: int, echo: str, server: Server, model_of: Callable[..., Model], request_: Request
) -> None:
    server.answer = Answer(problem(echo, param=SECRET) if status != 200 else echo, status)
    model = model_of()
    with pytest.raises((TransientError, FatalModelError)) as caught:
        await model.answer(request_)
    shown = "".join(traceback.format_exception(caught.value)) + repr(model) + repr(model.endpoint) + repr(caught.value)
    assert SECRET not in shown
    assert "sk-liv" not in shown
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


async def test_a_password_in_the_address_is_in_no_text(server: Server, request_: Request) -> None:
    server.answer = Answer(problem("no"), 500)
    url = server.url.replace("http://", "http://me:hunter2@")
    async with Model(endpoint_from({"OPENAI_BASE_URL": url})) as model:
        with pytest.raises(TransientError) as caught:
            await model.answer(request_)
        assert "hunter2" not in str(caught.value) + repr(model)


def test_a_gateway_tells_the_reset_as_a_time() -> None:
    now = 1_800_000_000.0
    assert reset_in({"x-ratelimit-reset": str(int(now) + 40)}, now) == 40
    assert reset_in({"x-ratelimit-reset": str(int(now * 1000) + 40_000)}, now) == 40
    assert reset_in({"x-ratelimit-reset": "12"}, now) == 12
    assert reset_in({"x-ratelimit-reset": "whenever"}, now) is None


def test_a_wait_may_be_told_as_a_date() -> None:
    now = 1_800_000_000.0
    assert reset_in({"retry-after": formatdate(now + 90, usegmt=True)}, now) == 90
    assert reset_in({"retry-after": formatdate(now - 90, usegmt=True)}, now) == 0
    assert reset_in({"retry-after": "soon"}, now) is None
    assert reset_in({"retry-after": "nan"}, now) is None
    assert reset_in({}, now) is None
