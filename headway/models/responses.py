"""Responses: OpenAI's own API. The server keeps nothing; the whole conversation is sent each time."""

from collections.abc import Collection
from typing import Any

import orjson

from headway.models.adapter import NOTHING, Profile, Request, ToolSchema, cache_key, ending
from headway.models.editing import PATCH_TOOL, as_functions, patch_call, patch_output, trained_on_patches
from headway.models.failures import THOUGHTS, Circumstance, Unusable, failure_of_body
from headway.models.lenient_json import (
    MAX_CALLS,
    Unreadable,
    arguments_in,
    call_id,
    count_in,
    json_in,
    name_in,
    sendable,
    text_in,
)
from headway.models.naming import meant, sendable_name
from headway.models.prompt_cache import Marks, marked_input, marks_of, options, sent_marks, write_factor
from headway.models.replayed_items import REASONING, refuses, replayed, without_thoughts
from headway.models.reshaping import SEVERAL
from headway.models.reshaping_items import SHAPES, reshaped_items
from headway.models.turn import (
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
from headway.models.unsupported_params import IN_MESSAGES, longest_output, stripped

MAX_ITEMS = 1000
"""Items of one reply."""

_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_ITEM_BEGUN, _ITEM = "response.output_item.added", "response.output_item.done"
_TOLD = tuple(name.encode() for name in (*_ENDS, _ITEM_BEGUN, _ITEM, "error"))


class ResponsesAdapter:
    """One API's way of saying it; see `WireAdapter`."""

    path = "/responses"

    def __init__(self, profile: Profile, at: Circumstance) -> None:
        self._profile = profile
        self._at = at

    def encode(self, message: Message) -> bytes:
        match message:
            case UserMessage(text):
                content = [{"type": "input_text", "text": text}]
                return orjson.dumps({"type": "message", "role": "user", "content": content})
            case ToolOutput(form="patch"):
                return orjson.dumps(patch_output(message))
            case ToolOutput(id_, text):
                return orjson.dumps({"type": "function_call_output", "call_id": id_, "output": text})
            case AssistantTurn(raw):
                return b",".join(orjson.dumps(item) for item in replayed(raw))

    def body(self, request: Request, without: frozenset[str] = NOTHING) -> bytes:
        fields = {name: value for name, value in self._options(request).items() if name not in without}
        if "parallel_tool_calls" in fields:
            fields["parallel_tool_calls"] = SEVERAL.name not in without
        if "max_output_tokens" in fields:
            fields["max_output_tokens"] = longest_output(request.max_output, without)
        head: dict[str, Any] = {"model": request.model}
        if request.tools:
            head["tools"] = [_tool(tool, request.model, without) for tool in request.tools]
        head["instructions"] = request.system
        items = [item for item in request.items if item]
        if not _knows_patches(request.model, without):
            items = [as_functions(item) for item in items]
        if lost := {THOUGHTS, "include"} & without:
            items = [kept for item in items if (kept := without_thoughts(item, every=THOUGHTS in lost))]
        if without & IN_MESSAGES:
            items = [stripped(item, without & IN_MESSAGES) for item in items]
        marks = self._marks(request, without)
        if marks.field and not without & SHAPES:
            items = marked_input(items, marks, request.reuse)
        said = reshaped_items(items, without) if without & SHAPES else b",".join(items)
        return b"".join((orjson.dumps(head)[:-1], b',"input":[', said, ending(fields)))

    def sent(self, request: Request, without: frozenset[str] = NOTHING) -> frozenset[str]:
        names = set(self._options(request))
        names |= {"strict"} if request.tools else set()
        knows = _knows_patches(request.model, without)
        names |= {PATCH_TOOL} if knows and any(tool.name == PATCH_TOOL for tool in request.tools) else set()
        names |= IN_MESSAGES | SHAPES if request.items else set()
        names |= {THOUGHTS} if any(REASONING in item for item in request.items) else set()
        names |= sent_marks(self._marks(request, without), request.reuse, request.items)
        return frozenset(names - without)

    def write_factor(self, request: Request, without: frozenset[str] = NOTHING) -> float:
        return write_factor(self._marks(request, without), request.reuse, without)

    def _marks(self, request: Request, without: frozenset[str] = NOTHING) -> Marks:
        return marks_of(request.model, self._at.address, "responses", without)

    def pieces(self) -> "ResponsePieces":
        return ResponsePieces()

    def _options(self, request: Request) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "max_output_tokens": request.max_output,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": cache_key(request),
        }
        fields |= options(self._marks(request), request.reuse)
        if request.effort is not None:
            fields["reasoning"] = {"effort": request.effort}
        if self._profile.stream:
            fields["stream"] = True
        if request.tools:
            fields |= {"tool_choice": request.tool_choice, "parallel_tool_calls": True}
        return fields

    def decode(self, response: dict[str, Any], tools: Collection[str] = ()) -> Turn:
        if response.get("error") or response.get("status") == "failed":
            raise failure_of_body(response.get("error") or {"code": "server_error"}, self._at)
        output = response.get("output")
        if not isinstance(output, list):
            raise Unusable(f"{self._at.address}: the answer holds no output")
        items: list[Item] = []
        raw: list[dict[str, Any]] = []
        taken: set[str] = set()
        refused = False
        calls = 0
        for entry in output:
            if isinstance(entry, dict):
                found, kept = _items(entry, taken, tools)
                calls += sum(isinstance(item, ToolCall) for item in found)
                if calls > MAX_CALLS:
                    break
                items += found
                raw.append(kept)
                refused = refused or refuses(entry)
        return Turn(
            items=tuple(items),
            raw=tuple(raw),
            usage=_usage(response.get("usage")),
            stop="length" if calls > MAX_CALLS else _stop(response, items, refused=refused),
            model=name_in(response.get("model")),
            response_id=name_in(response.get("id")),
        )


class ResponsePieces:
    """An answer in pieces: the last event holds all of it; at some servers all but the items, which came before it."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}
        self._begun: set[int] = set()
        self._items: dict[int, dict[str, Any]] = {}

    def take(self, data: bytes) -> bool:
        """One event; nearly all of them are letters of a text that comes whole later, and are not parsed.

        Raises:
            Unreadable: It is no JSON, or goes beyond what a reply may hold.
        """
        if not any(name in data for name in _TOLD):
            return False
        event = json_in(data)
        kind = event.get("type") if isinstance(event, dict) else None
        if kind in _ENDS:
            response = event.get("response")
            self._whole = response if isinstance(response, dict) else {}
            return True
        if kind == "error" or (kind is None and isinstance(event, dict) and event.get("error")):
            # OpenAI's own puts the words beside the type, gateways below `error`.
            self._whole = {"error": event.get("error") or event}
            return True
        if kind in {_ITEM_BEGUN, _ITEM}:
            self._take_item(event, is_whole=kind == _ITEM)
        return False

    def _take_item(self, event: dict[str, Any], *, is_whole: bool) -> None:
        index, item = event.get("output_index"), event.get("item")
        index = index if isinstance(index, int) else len(self._items)
        self._begun.add(index)
        if is_whole and isinstance(item, dict):
            self._items[index] = item
        if len(self._begun) > MAX_ITEMS:
            raise Unreadable(f"the answer holds more than {MAX_ITEMS:,} items")

    @property
    def whole(self) -> dict[str, Any]:
        """The answer; without output when its end or one of its items is missing."""
        if self._whole.get("error") or self._whole.get("output") or not self._begun:
            return self._whole
        if self._begun - self._items.keys() and self._whole.get("status") != "incomplete":
            return {name: value for name, value in self._whole.items() if name != "output"}
        return self._whole and self._whole | {"output": [self._items[index] for index in sorted(self._items)]}


def _knows_patches(model: str, without: frozenset[str]) -> bool:
    return PATCH_TOOL not in without and trained_on_patches(model)


def _tool(tool: ToolSchema, model: str, without: frozenset[str]) -> dict[str, Any]:
    if tool.name == PATCH_TOOL and _knows_patches(model, without):
        return {"type": PATCH_TOOL}
    said = {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
    # `strict` is on where it is left out, and would demand that every argument is required.
    return said if "strict" in without else said | {"strict": False}


def _items(entry: dict[str, Any], taken: set[str], tools: Collection[str]) -> tuple[list[Item], dict[str, Any]]:
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
            name = meant(name_in(entry.get("name")), tools)
            sent = {"call_id": id_, "arguments": sendable(arguments), "name": sendable_name(name)}
            if any(entry.get(field) != value for field, value in sent.items()):
                kept = entry | sent
            return [ToolCall(id=id_, name=name, arguments=arguments)], kept
        case "apply_patch_call":
            call, kept = patch_call(entry, taken)
            return [call], kept
        case "reasoning":
            return [Reasoning(text=text_in(entry.get("summary")) or text_in(entry.get("content")))], entry
        case _:
            return [Raw(raw=entry)], entry


def _stop(response: dict[str, Any], items: list[Item], *, refused: bool) -> Stop:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return "refusal" if reason == "content_filter" else "length"
    if any(isinstance(entry, dict) and entry.get("status") == "incomplete" for entry in response["output"]):
        return "length"
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
