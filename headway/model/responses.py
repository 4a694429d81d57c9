"""Responses: OpenAI's own API. The server keeps nothing; the whole conversation is sent each time."""

import hashlib
from typing import Any

import orjson

from headway.domain.errors import TransientError
from headway.domain.ids import AgentId
from headway.model.adapter import Request, ToolSchema
from headway.model.failures import Circumstance, failure_of_body
from headway.model.reading import arguments_in, call_id, count_in, sendable, text_in
from headway.model.turn import (
    AssistantTurn,
    Item,
    Message,
    Raw,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    ToolOutput,
    Turn,
    Usage,
    UserMessage,
)

MAX_CACHE_KEY = 64


class ResponsesAdapter:
    """One API's way of saying it; see `WireAdapter`."""

    path = "/responses"

    def __init__(self, at: Circumstance) -> None:
        self._at = at

    def encode(self, message: Message) -> bytes:
        match message:
            case UserMessage(text):
                content = [{"type": "input_text", "text": text}]
                return orjson.dumps({"type": "message", "role": "user", "content": content})
            case ToolOutput(id_, text):
                return orjson.dumps({"type": "function_call_output", "call_id": id_, "output": text})
            case AssistantTurn(raw):
                return b",".join(orjson.dumps(item) for item in raw)

    def body(self, request: Request) -> bytes:
        fields: dict[str, Any] = {
            "model": request.model,
            "instructions": request.system,
            "max_output_tokens": request.max_output,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": cache_key(request.agent),
        }
        if request.effort is not None:
            fields["reasoning"] = {"effort": request.effort}
        if request.tools:
            fields["tools"] = [_tool(tool) for tool in request.tools]
            fields["tool_choice"] = request.tool_choice
        return b"".join((orjson.dumps(fields)[:-1], b',"input":[', b",".join(i for i in request.items if i), b"]}"))

    def decode(self, response: dict[str, Any]) -> Turn:
        if response.get("error") or response.get("status") == "failed":
            raise failure_of_body(response.get("error") or {"code": "server_error"}, self._at)
        output = response.get("output")
        if not isinstance(output, list):
            raise TransientError(f"{self._at.address}: the answer holds no output")
        items: list[Item] = []
        raw: list[dict[str, Any]] = []
        taken: set[str] = set()
        refused = False
        for entry in output:
            if isinstance(entry, dict):
                found, kept = _items(entry, taken)
                items += found
                raw.append(kept)
                refused = refused or _refuses(entry)
        return Turn(
            items=tuple(items),
            raw=tuple(raw),
            usage=_usage(response.get("usage")),
            stop=_stop(response, items, refused=refused),
            model=str(response.get("model") or ""),
            response_id=str(response.get("id") or ""),
        )


def cache_key(agent: AgentId) -> str:
    """The agent's id, or a digest where that is longer than the API takes."""
    return agent if len(agent) <= MAX_CACHE_KEY else hashlib.sha256(agent.encode()).hexdigest()


def _tool(tool: ToolSchema) -> dict[str, Any]:
    # `strict` is on where it is left out, and would demand that every argument is required.
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def _items(entry: dict[str, Any], taken: set[str]) -> tuple[list[Item], dict[str, Any]]:
    match entry.get("type"):
        case "message":
            parts = entry.get("content")
            parts = parts if isinstance(parts, list) else [{"text": parts}]
            said = [text_in(p.get("text")) or text_in(p.get("refusal")) for p in parts if isinstance(p, dict)]
            return [Text(text=text) for text in said if text], entry
        case "function_call":
            arguments = arguments_in(entry.get("arguments"))
            id_ = call_id(entry.get("call_id") or entry.get("id"), taken)
            kept = entry
            sent = sendable(arguments)
            if entry.get("call_id") != id_ or entry.get("arguments") != sent:
                kept = entry | {"call_id": id_, "arguments": sent}
            return [ToolCall(id=id_, name=text_in(entry.get("name")), arguments=arguments)], kept
        case "reasoning":
            return [Reasoning(text=text_in(entry.get("summary")) or text_in(entry.get("content")))], entry
        case _:
            return [Raw(raw=entry)], entry


def _refuses(entry: dict[str, Any]) -> bool:
    parts = entry.get("content")
    return isinstance(parts, list) and any(isinstance(p, dict) and p.get("type") == "refusal" for p in parts)


def _stop(response: dict[str, Any], items: list[Item], *, refused: bool) -> Stop:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return "refusal" if reason == "content_filter" else "length"
    if any(isinstance(item, ToolCall) for item in items):
        return "tool"
    if refused:
        return "refusal"
    return "text" if any(isinstance(item, Text) and item.text.strip() for item in items) else "empty"


def _usage(usage: Any) -> Usage:
    return Usage(
        input=count_in(usage, "input_tokens"),
        cached=count_in(usage, "input_tokens_details", "cached_tokens"),
        written=count_in(usage, "input_tokens_details", "cache_write_tokens"),
        output=count_in(usage, "output_tokens"),
        reasoning=count_in(usage, "output_tokens_details", "reasoning_tokens"),
    )
