"""Habits of addresses: queries, keys, redirects, other paths, lists of models."""

from tests.peers.habit import BOTH, CHAT, STREAMED, Habit, Refusal, always, error
from tests.peers.talk import Ask

_WRONG_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)
_NO_DEPLOYMENT = "The API deployment for this resource does not exist. Please wait a moment and try again."
_NO_MAX_TOKENS = (
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
)


def _without_version(ask: Ask) -> bool:
    return "api-version" not in ask.query


def _without_header(ask: Ask) -> bool:
    return "api-key" not in ask.headers


def _unknown_path(ask: Ask) -> bool:
    return not ask.path.startswith("/v1/")


def _moved(status: int) -> Refusal:
    return Refusal(status, "moved", {"location": "/elsewhere/v1/chat/completions"})


def _odd(words: str) -> Refusal:
    return Refusal(200, {"error": words})


HABITS = (
    Habit("plain", "OpenAI, as documented"),
    Habit(
        "azure_classic",
        "Azure before /openai/v1: a version in the query, the key as `api-key`",
        refuses=(
            (_without_version, Refusal(404, {"error": {"code": "404", "message": "Resource not found"}})),
            (_without_header, Refusal(401, {"error": {"code": "401", "message": _WRONG_KEY}})),
        ),
        base="/openai/deployments/some-model",
        query="?api-version=2024-10-21",
        env={"HEADERS": '{"api-key": "habit-1234567890"}'},
    ),
    Habit(
        "azure_foundry",
        "Azure at /openai/v1: deployments are not listed, `max_tokens` is refused",
        refuses=(
            (
                lambda ask: ask.body.get("model") != "my-deployment",
                error(404, _NO_DEPLOYMENT, "DeploymentNotFound", None),
            ),
            (
                lambda ask: "max_tokens" in ask.body,
                error(400, _NO_MAX_TOKENS, "unsupported_parameter", param="max_tokens"),
            ),
        ),
        listed=Refusal(200, {"object": "list", "data": [{"id": "gpt-5.1-2025-11-13", "object": "model"}]}),
        model="my-deployment",
    ),
    Habit("moved301", "a proxy that sends http to https", BOTH, "refused", ((always, _moved(301)),)),
    Habit("moved308", "the same with 308", BOTH, "refused", ((always, _moved(308)),)),
    Habit(
        "lm_studio",
        "LM Studio, its address set without /v1: 200 for an unknown path",
        ends="refused",
        refuses=((_unknown_path, _odd("Unexpected endpoint or method. (POST /chat/completions)")),),
        listed=_odd("Unexpected endpoint or method. (GET /models). Returning 200 anyway"),
        base="",
    ),
    Habit(
        "lite_no_db",
        "LiteLLM 1.108 without a database, a wrong key",
        ends="refused",
        refuses=((always, error(400, "No connected db.", "400", "no_db_connection")),),
        listed=error(400, "No connected db.", "400", "no_db_connection"),
    ),
    Habit("no_models", "gateways that keep no list", listed=Refusal(404, {"detail": "Not Found"})),
    Habit(
        "key_refused",
        "OpenAI",
        ends="refused",
        refuses=((always, error(401, "Incorrect API key provided: sk-none.", "invalid_api_key")),),
        listed=error(401, "Incorrect API key provided: sk-none.", "invalid_api_key"),
    ),
    Habit(
        "bad_model_lite",
        "LiteLLM 1.108, of a name that it does not have",
        ends="refused",
        refuses=(
            (
                always,
                error(400, "/chat/completions: Invalid model name passed in model=nosuch. Call `/v1/models`.", "400"),
            ),
        ),
        listed=Refusal(200, {"object": "list", "data": [{"id": "another", "object": "model"}]}),
        model="nosuch",
    ),
    Habit("plain_sse", "gateways: a stream of the type text/plain", STREAMED, stream_kind="text/plain; charset=utf-8"),
    Habit("http10", "HTTP/1.0: the connection's end is the answer's", http10=True),
    Habit("slow", "any: each fourth answer is late", delayed=lambda ask: ask.every(4)),
    Habit("ollama", "Ollama: a small window, known once the model is loaded", CHAT, window=4096, model="tiny"),
)
