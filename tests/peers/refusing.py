"""Habits of refusing: overflow, quota, moderation, chance, and the shapes of a conversation."""

import re
import time

from headway.domain.headings import task_of
from tests.peers.habit import BOTH, CHAT, RESPONSES, Habit, Refusal, always, error
from tests.peers.script import POISON
from tests.peers.talk import Ask

OVERFLOW_AT = 5
QUOTA_FROM, QUOTA_S = 6, 3.0
KEY_CHANGES_AT = 8

_ID = re.compile("[a-zA-Z0-9]{9}")
_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")


def _gemini(code: int, message: str, status: str, **more: object) -> Refusal:
    return Refusal(code, [{"error": {"code": code, "message": message, "status": status, **more}}])


def _too_long(ask: Ask) -> bool:
    return ask.replies >= OVERFLOW_AT


def _nobody_replied(ask: Ask) -> bool:
    return any(
        message.role == "assistant" and not message.text.strip() and not message.calls and message.thoughts is None
        for message in ask.messages
    )


def _poisoned(ask: Ask) -> bool:
    first = next((message.text for message in ask.messages if message.role == "user"), "")
    task = task_of(first)
    return ask.number > 0 and task is not None and POISON in task[0]


def _unsigned(ask: Ask) -> bool:
    calls = [message.raw.get("tool_calls") or [{}] for message in ask.messages if message.calls]
    return any("google" not in (each[0].get("extra_content") or {}) for each in calls)


def _long_id(ask: Ask) -> bool:
    return any(not _ID.fullmatch(call.id) for message in ask.messages for call in message.calls)


def _odd_name(ask: Ask) -> bool:
    return any(not _NAME.fullmatch(call.name) for message in ask.messages for call in message.calls)


def _out_of_turn(ask: Ask) -> bool:
    return any(pair in {("tool", "user"), ("user", "user")} for pair in ask.pairs)


def _user_after_tool(ask: Ask) -> bool:
    return ("tool", "user") in ask.pairs


def _several(ask: Ask) -> bool:
    return any(len(message.calls) > 1 for message in ask.messages)


def _thoughtless(ask: Ask) -> bool:
    return any(message.calls and message.thoughts is None for message in ask.messages)


def _plain_thought(ask: Ask) -> bool:
    return any(item.get("type") == "reasoning" and not item.get("encrypted_content") for item in ask.items)


def _old_thought(ask: Ask) -> bool:
    return ask.number >= KEY_CHANGES_AT and any(
        item.get("type") == "reasoning" and not str(item.get("encrypted_content")).startswith("gB")
        for item in ask.items
    )


class Quota:
    """Refuses everything for a while, from a request on."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def __call__(self, ask: Ask) -> bool:
        if ask.number < QUOTA_FROM:
            return False
        began = self._since.setdefault(f"{ask.api}{ask.body.get('stream')}", time.monotonic())
        return time.monotonic() < began + QUOTA_S


_ORDER = "Unexpected role 'user' after role 'tool'"
_ALTERNATE = "Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/..."
_UNSIGNED = "Function call is missing a thought_signature in functionCall parts. This is required for tools to work."
_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_FLAGGED = 'openai/gpt-5.5 requires moderation on OpenAI. Your input was flagged for "violence".'
_RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{QUOTA_S:g}s"}
_FAILED_CALL = "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details."
_NO_ITEM = "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."
_UNREAD = "The encrypted content for item rs_1 could not be verified."

HABITS = (
    Habit(
        "lm_studio_full",
        "LM Studio: 200 for an overflow",
        refuses=(
            (
                _too_long,
                Refusal(
                    200,
                    {
                        "error": "The number of tokens to keep from the initial prompt is greater than the context "
                        "length. Try to load the model with a larger context length, or provide a shorter input"
                    },
                ),
            ),
        ),
    ),
    Habit(
        "gemini_overflow",
        "Gemini: errors in a list",
        refuses=(
            (
                _too_long,
                _gemini(
                    400,
                    "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
                    "INVALID_ARGUMENT",
                ),
            ),
        ),
    ),
    Habit(
        "plain_overflow",
        "OpenAI",
        refuses=(
            (
                _too_long,
                error(400, "Your input exceeds the context window of this model.", "context_length_exceeded"),
            ),
        ),
    ),
    Habit(
        "xai_overflow",
        "xAI",
        refuses=(
            (
                _too_long,
                Refusal(
                    400,
                    {
                        "code": "Client specified an invalid argument",
                        "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
                    },
                ),
            ),
        ),
    ),
    Habit(
        "or_moderation",
        "OpenRouter: 403 for one agent's input",
        ends="partly",
        refuses=((_poisoned, Refusal(403, {"error": {"code": 403, "message": _FLAGGED}})),),
    ),
    Habit(
        "gemini_errors",
        "Gemini: refuses a parameter, demands signatures",
        CHAT,
        refuses=(
            (
                lambda ask: "parallel_tool_calls" in ask.body,
                _gemini(
                    400,
                    'Invalid JSON payload received. Unknown name "parallel_tool_calls": Cannot find field.',
                    "INVALID_ARGUMENT",
                ),
            ),
            (_unsigned, _gemini(400, _UNSIGNED, "INVALID_ARGUMENT")),
        ),
    ),
    Habit(
        "gemini_signatures",
        "Gemini 3",
        CHAT,
        refuses=((_unsigned, _gemini(400, _UNSIGNED, "INVALID_ARGUMENT")),),
    ),
    Habit(
        "gemini_quota",
        "Gemini, free of charge: the delay stands in the body",
        refuses=((Quota(), _gemini(429, _QUOTA, "RESOURCE_EXHAUSTED", details=[_RETRY])),),
    ),
    Habit(
        "quota_gone",
        "OpenAI: nothing left",
        ends="parked",
        refuses=((always, error(429, _QUOTA, "insufficient_quota", "insufficient_quota")),),
    ),
    Habit(
        "groq_tool_use",
        "Groq: a generation that is no call",
        refuses=((lambda ask: ask.every(7), error(400, _FAILED_CALL, "tool_use_failed")),),
    ),
    Habit(
        "pydantic422",
        "TGI and others on pydantic: a list below `detail`",
        refuses=tuple(
            (
                lambda ask, name=name: name in ask.body,  # type: ignore[misc]
                Refusal(
                    422,
                    {
                        "object": "error",
                        "message": {
                            "detail": [
                                {
                                    "type": "extra_forbidden",
                                    "loc": ["body", name],
                                    "msg": "Extra inputs are not permitted",
                                }
                            ]
                        },
                        "type": "invalid_request_error",
                    },
                ),
            )
            for name in ("parallel_tool_calls", "tool_choice", "stream_options")
        ),
    ),
    Habit(
        "template500",
        "llama.cpp, of templates that want user and assistant in turn",
        BOTH,
        refuses=((_out_of_turn, error(500, _ALTERNATE, 500, "server_error")),),
    ),
    Habit(
        "mistral",
        "Mistral: ids of nine letters, no user after tool, no empty reply",
        refuses=(
            (
                _long_id,
                error(400, "Tool call id was call_1 but must be a-z, A-Z, 0-9, with a length of 9.", "3280"),
            ),
            (
                _nobody_replied,
                error(400, "Assistant message must have either content or tool_calls, but not none.", "3240"),
            ),
            (_user_after_tool, error(400, _ORDER, "3230", "invalid_request_message_order")),
        ),
    ),
    Habit(
        "single_call",
        "templates of Llama 3",
        refuses=((_several, error(400, "Jinja Exception: This model only supports single tool-calls at once!")),),
    ),
    Habit(
        "no_include",
        "Responses without encrypted thoughts",
        RESPONSES,
        refuses=(
            (
                lambda ask: "include" in ask.body,
                error(
                    400,
                    "Unsupported parameter: 'include' is not supported with this model.",
                    "unsupported_parameter",
                    param="include",
                ),
            ),
            (_plain_thought, error(404, _NO_ITEM, param="input")),
        ),
    ),
    Habit(
        "enc_invalid",
        "OpenAI, after the key was changed for another organisation's",
        RESPONSES,
        refuses=((_old_thought, error(400, _UNREAD, "invalid_encrypted_content")),),
    ),
    Habit(
        "empty_refused",
        "Mistral, Anthropic, Bedrock: an empty reply may not come back",
        refuses=((_nobody_replied, error(400, "messages.3: all messages must have non-empty content")),),
    ),
    Habit(
        "bad_name",
        "OpenAI, Bedrock: an odd name of a tool may not come back",
        refuses=((_odd_name, error(400, "Invalid 'name': string does not match pattern.", "invalid_value")),),
    ),
    Habit(
        "deepseek",
        "DeepSeek: thoughts have to come back",
        CHAT,
        refuses=((_thoughtless, error(400, "The `reasoning_content` in the thinking mode must be passed back.")),),
    ),
    Habit(
        "deepseek_empty",
        "DeepSeek: empty ones too",
        CHAT,
        refuses=((_thoughtless, error(400, "The `reasoning_content` in the thinking mode must be passed back.")),),
    ),
)
