"""Chat Completions: what vLLM, Ollama, llama.cpp and gateways speak."""

from collections.abc import Collection, Iterable
from typing import Any

import orjson

from headway.domain.errors import TransientError
from headway.models.adapter import NOTHING, Profile, Request, ToolSchema, cache_key, ending
from headway.models.chat_stream import ChatPieces
from headway.models.failures import Circumstance, Unusable, failure_of_body
from headway.models.lenient_json import MAX_CALLS, SILENCE, call_id, calls_in, count_in, name_in, sendable, text_in
from headway.models.naming import meant, sendable_name
from headway.models.prompt_cache import Marks, marked, marks_of, sent_marks, write_factor
from headway.models.reshaping import DEVELOPER, SEVERAL, SHAPES, SYSTEM, reshaped, system_message
from headway.models.turn import (
    AssistantTurn,
    Item,
    Message,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    ToolOutput,
    Turn,
    Usage,
    UserMessage,
)
from headway.models.unsupported_params import longest_output, stripped

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Fields in which servers put a reply's thoughts; `reasoning_details` goes back with them where a gateway sends it."""


_LIMITS = ("max_tokens", "max_completion_tokens")
_THOUGHTS = frozenset((*REASONING_FIELDS, "reasoning_details"))
_SHAPES = frozenset(shape.name for shape in SHAPES)
_BACK = (*REASONING_FIELDS, "reasoning_details")

_DETAILS = "prompt_tokens_details"
_CACHED = ((_DETAILS, "cached_tokens"), ("cache_read_input_tokens",), ("prompt_cache_hit_tokens",))
_WRITTEN = (
    *((_DETAILS, name) for name in ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")),
    ("cache_creation_input_tokens",),
)
"""Fields about a prompt cache: OpenAI and OpenRouter, DashScope, LiteLLM, Anthropic's names, DeepSeek."""


class ChatAdapter:
    """One API's way of saying it; see `WireAdapter`."""

    path = "/chat/completions"

    def __init__(self, profile: Profile, at: Circumstance) -> None:
        self._profile = profile
        self._at = at

    def encode(self, message: Message) -> bytes:
        match message:
            case UserMessage(text):
                return orjson.dumps({"role": "user", "content": text})
            case ToolOutput(id_, text):
                return orjson.dumps({"role": "tool", "tool_call_id": id_, "content": text})
            case AssistantTurn(raw):
                return b",".join(orjson.dumps(_text_of(item)) for item in raw)

    def body(self, request: Request, without: frozenset[str] = NOTHING) -> bytes:
        head: dict[str, Any] = {"model": request.model}
        if request.tools:
            head["tools"] = [_tool(tool) for tool in request.tools]
        items: Iterable[bytes] = filter(None, request.items)
        if without & _THOUGHTS:
            items = (stripped(item, without & _THOUGHTS) for item in items)
        # Joined once: a long conversation is not copied twice for each call.
        messages = [system_message(request.system, without), *items]
        if without & _SHAPES:
            messages = reshaped(messages, without)
        marks = self._marks(request, without)
        if marks.field:
            messages = marked(messages, marks, request.reuse, without)
        messages[0] = b"".join((orjson.dumps(head)[:-1], b',"messages":[', messages[0]))
        messages[-1] += ending(self._settings(request, without))
        return b",".join(messages)

    def _settings(self, request: Request, without: frozenset[str]) -> dict[str, Any]:
        """The part of a request that the model does not read."""
        fields: dict[str, Any] = {}
        if limit := self._limit(without):
            fields[limit] = longest_output(request.max_output, without)
        if request.effort is not None and "reasoning_effort" not in without:
            fields["reasoning_effort"] = request.effort
        fields["prompt_cache_key"] = cache_key(request)
        if self._profile.stream and "stream" not in without:
            fields["stream"] = True
            if "stream_options" not in without:
                fields["stream_options"] = {"include_usage": True}
        if request.tools:
            choice = "auto" if self._marks(request, without).fixed_choice else request.tool_choice
            # Parallel calls are on where it is left out, except at llama.cpp.
            fields |= {"tool_choice": choice, "parallel_tool_calls": SEVERAL.name not in without}
        return {name: value for name, value in fields.items() if name not in without}

    def sent(self, request: Request, without: frozenset[str] = NOTHING) -> frozenset[str]:
        names = {"prompt_cache_key"} | (_THOUGHTS if request.items else NOTHING)
        names |= {limit} if (limit := self._limit(without)) else set()
        names |= {"reasoning_effort"} if request.effort is not None else set()
        names |= {"stream", "stream_options"} if self._profile.stream else set()
        names |= {"tool_choice", "parallel_tool_calls"} if request.tools else set()
        names |= sent_marks(self._marks(request, without), request.reuse, request.items)
        names |= _SHAPES - ({DEVELOPER.name} if SYSTEM.name not in without else set())
        return frozenset(names - without)

    def write_factor(self, request: Request, without: frozenset[str] = NOTHING) -> float:
        return write_factor(self._marks(request, without), request.reuse, without)

    def _marks(self, request: Request, without: frozenset[str]) -> Marks:
        return marks_of(request.model, self._at.address, "chat", without)

    def pieces(self) -> ChatPieces:
        return ChatPieces()

    def _limit(self, without: frozenset[str]) -> str | None:
        """The name of the output limit that the server takes: it has two, and some servers know one of them."""
        names = (self._profile.max_tokens, *_LIMITS)
        return next((name for name in names if name not in without), None)

    def decode(self, response: dict[str, Any], tools: Collection[str] = ()) -> Turn:
        choice = self._choice(response)
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        calls, raw_calls = _calls(message, tools)
        text = text_in(message.get("content"))
        refusal = text_in(message.get("refusal"))
        thoughts = next((text_in(message[name]) for name in REASONING_FIELDS if message.get(name)), "")
        items: list[Item] = [Reasoning(text=thoughts)] if thoughts else []
        items += [Text(text=part) for part in (text, refusal) if part]
        return Turn(
            items=(*items, *calls[:MAX_CALLS]),
            raw=(self._raw(message, raw_calls[:MAX_CALLS], text),),
            usage=_usage(response.get("usage")),
            stop=_stop(choice.get("finish_reason"), calls, refusal, text),
            model=name_in(response.get("model")),
            response_id=name_in(response.get("id")),
        )

    def _choice(self, response: dict[str, Any]) -> dict[str, Any]:
        listed = response.get("choices")
        choices = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        if error := response.get("error") or next((each["error"] for each in choices if each.get("error")), None):
            raise failure_of_body(error, self._at)
        if not choices:
            raise Unusable(f"{self._at.address}: the answer holds no choice, or no end")
        choice = choices[0] if len(choices) == 1 else _one_of(choices)
        if choice.get("finish_reason") == "error":
            raise TransientError(f"{self._at.address}: the model's server broke off", cut_off=True)
        return choice

    def _raw(self, message: dict[str, Any], calls: list[dict[str, Any]], text: str) -> dict[str, Any]:
        raw: dict[str, Any] = {"role": "assistant", "content": message.get("content") if calls else text}
        if isinstance(message.get("refusal"), str):
            raw["refusal"] = message["refusal"]
        if calls:
            raw["tool_calls"] = calls
        if self._profile.echo_reasoning:
            # Empty ones too: servers of models that think demand back what they gave.
            raw |= {name: message[name] for name in _BACK if isinstance(message.get(name), str) or message.get(name)}
        return raw


def _tool(tool: ToolSchema) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _text_of(item: dict[str, Any]) -> dict[str, Any]:
    """A message of the model with a word in it, where it has none and no calls."""
    text = text_in(item.get("content"))
    if item.get("tool_calls") or item.get("refusal") or text.strip():
        return item
    return item | {"content": SILENCE + text}


def _calls(message: dict[str, Any], tools: Collection[str]) -> tuple[list[ToolCall], list[dict[str, Any]]]:
    """The calls of a reply, and how they go back; of too many, one more than are taken."""
    found = message.get("tool_calls")
    if not found and isinstance(message.get("function_call"), dict):
        found = [{"function": message["function_call"]}]
    calls: list[ToolCall] = []
    raw: list[dict[str, Any]] = []
    taken: set[str] = set()
    for entry in found if isinstance(found, list) else []:
        function = entry.get("function") if isinstance(entry, dict) else None
        if not isinstance(function, dict):
            continue
        name = meant(name_in(function.get("name")), tools)
        # Everything that the server sent with a call stays, such as a gateway's thought signatures.
        kept = {key: value for key, value in entry.items() if key not in {"index", "id", "type", "function"}}
        for arguments in calls_in(function.get("arguments")):
            id_ = call_id(entry.get("id"), taken)
            calls.append(ToolCall(id=id_, name=name, arguments=arguments))
            sent = {"name": sendable_name(name), "arguments": sendable(arguments)}
            raw.append({"id": id_, "type": "function", "function": sent, **kept})
            if len(calls) > MAX_CALLS:
                return calls, raw
    return calls, raw


def _one_of(choices: list[dict[str, Any]]) -> dict[str, Any]:
    """Several choices as one reply. One was asked for; some gateways send the text in one and the calls in another."""
    messages = [each["message"] for each in choices if isinstance(each.get("message"), dict)]
    whole: dict[str, Any] = {name: value for message in messages for name, value in message.items() if value}
    for name in ("content", "refusal", *REASONING_FIELDS):
        if texts := [text for message in messages if (text := text_in(message.get(name)))]:
            whole[name] = "".join(texts)
    for name in ("tool_calls", "reasoning_details"):
        lists = [message[name] for message in messages if isinstance(message.get(name), list)]
        if lists:
            whole[name] = [entry for each in lists for entry in each]
    reasons = [each.get("finish_reason") for each in choices]
    worst = next((reason for reason in ("error", "length", "content_filter") if reason in reasons), None)
    return {"message": whole, "finish_reason": worst or next(filter(None, reasons), None)}


def _stop(reason: Any, calls: list[ToolCall], refusal: str, text: str) -> Stop:
    if reason == "length" or len(calls) > MAX_CALLS:
        return "length"
    if reason == "content_filter" or (refusal and not calls):
        return "refusal"
    if calls:
        return "tool"
    return "text" if text.strip() else "empty"


def _first_in(usage: Any, paths: Iterable[tuple[str, ...]]) -> int | None:
    found = (count_in(usage, *path) for path in paths)
    return next((count for count in found if count is not None), None)


def _usage(usage: Any) -> Usage:
    return Usage(
        input=count_in(usage, "prompt_tokens"),
        cached=_first_in(usage, _CACHED),
        written=_first_in(usage, _WRITTEN),
        output=count_in(usage, "completion_tokens"),
        reasoning=count_in(usage, "completion_tokens_details", "reasoning_tokens"),
    )
