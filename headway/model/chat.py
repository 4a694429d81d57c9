"""Chat Completions: what vLLM, Ollama, llama.cpp and gateways speak."""

from typing import Any

import orjson

from headway.domain.errors import TransientError
from headway.model.adapter import Profile, Request, ToolSchema
from headway.model.failures import Circumstance, failure_of_body
from headway.model.reading import arguments_in, call_id, count_in, sendable, text_in
from headway.model.turn import (
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

REASONING_FIELDS = ("reasoning_content", "reasoning")
"""Where servers put a reply's thoughts; `reasoning_details` goes back with them where a gateway sends it."""


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
                return b",".join(orjson.dumps(item) for item in raw)

    def body(self, request: Request) -> bytes:
        head = orjson.dumps({"model": request.model, self._profile.max_tokens: request.max_output} | _effort(request))
        system = orjson.dumps({"role": "system", "content": request.system})
        tools = b""
        if request.tools:
            listed = orjson.dumps([_tool(tool) for tool in request.tools])
            tools = b',"tools":' + listed + b',"tool_choice":"' + request.tool_choice.encode() + b'"'
        messages = b",".join((system, *(item for item in request.items if item)))
        return b"".join((head[:-1], tools, b',"messages":[', messages, b"]}"))

    def decode(self, response: dict[str, Any]) -> Turn:
        choice = self._choice(response)
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        calls, raw_calls = _calls(message)
        text = text_in(message.get("content"))
        refusal = text_in(message.get("refusal"))
        thoughts = next((text_in(message[name]) for name in REASONING_FIELDS if message.get(name)), "")
        items: list[Item] = [Reasoning(text=thoughts)] if thoughts else []
        items += [Text(text=part) for part in (text, refusal) if part]
        return Turn(
            items=(*items, *calls),
            raw=(self._raw(message, raw_calls, text),),
            usage=_usage(response.get("usage")),
            stop=_stop(choice.get("finish_reason"), calls, refusal, text),
            model=str(response.get("model") or ""),
            response_id=str(response.get("id") or ""),
        )

    def _choice(self, response: dict[str, Any]) -> dict[str, Any]:
        choices = response.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if error := response.get("error") or (choice.get("error") if isinstance(choice, dict) else None):
            raise failure_of_body(error, self._at)
        if not isinstance(choice, dict):
            raise TransientError(f"{self._at.address}: the answer holds no choice")
        if choice.get("finish_reason") == "error":
            raise TransientError(f"{self._at.address}: the model's server broke off")
        return choice

    def _raw(self, message: dict[str, Any], calls: list[dict[str, Any]], text: str) -> dict[str, Any]:
        raw: dict[str, Any] = {"role": "assistant", "content": message.get("content") if calls else text}
        if isinstance(message.get("refusal"), str):
            raw["refusal"] = message["refusal"]
        if calls:
            raw["tool_calls"] = calls
        if self._profile.echo_reasoning:
            raw |= {name: message[name] for name in (*REASONING_FIELDS, "reasoning_details") if message.get(name)}
        return raw


def _effort(request: Request) -> dict[str, str]:
    return {} if request.effort is None else {"reasoning_effort": request.effort}


def _tool(tool: ToolSchema) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _calls(message: dict[str, Any]) -> tuple[list[ToolCall], list[dict[str, Any]]]:
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
        arguments = arguments_in(function.get("arguments"))
        id_ = call_id(entry.get("id"), taken)
        name = text_in(function.get("name"))
        calls.append(ToolCall(id=id_, name=name, arguments=arguments))
        # Everything that the server sent with a call stays, such as a gateway's thought signatures.
        kept = {key: value for key, value in entry.items() if key not in {"index", "id", "type", "function"}}
        sent = {"name": name, "arguments": sendable(arguments)}
        raw.append({"id": id_, "type": "function", "function": sent, **kept})
    return calls, raw


def _stop(reason: Any, calls: list[ToolCall], refusal: str, text: str) -> Stop:
    if reason == "length":
        return "length"
    if reason == "content_filter" or (refusal and not calls):
        return "refusal"
    if calls:
        return "tool"
    return "text" if text.strip() else "empty"


def _usage(usage: Any) -> Usage:
    return Usage(
        input=count_in(usage, "prompt_tokens"),
        cached=count_in(usage, "prompt_tokens_details", "cached_tokens"),
        written=count_in(usage, "prompt_tokens_details", "cache_write_tokens"),
        output=count_in(usage, "completion_tokens"),
        reasoning=count_in(usage, "completion_tokens_details", "reasoning_tokens"),
    )
