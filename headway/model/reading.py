"""Reading JSON that may be anything: servers that speak an API of others make the most of what it leaves open."""

import uuid
from typing import Any

import orjson

MAX_BROKEN_ARGUMENTS = 4000


def text_in(value: Any) -> str:
    """Text of a field that should be a string: null, a list of parts and other things come too."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_in(part.get("text")) if isinstance(part, dict) else text_in(part) for part in value)
    return ""


def count_in(holder: Any, *path: str) -> int | None:
    """A token count below `holder`, or None when it is missing or no count."""
    for name in path:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return int(holder) if isinstance(holder, int | float) and not isinstance(holder, bool) and holder >= 0 else None


def arguments_in(value: Any) -> str:
    """Tool arguments as text: some servers send the object itself, some encode it twice, some send nothing."""
    if value is None or value == "":
        return "{}"
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    inner = parsed(value)
    return inner if isinstance(inner, str) and isinstance(parsed(inner), dict) else value


def sendable(arguments: str) -> str:
    """Arguments that every server takes back.

    Several parse the calls of a conversation and refuse one that is no JSON object: for good, since it comes again with
    every later request.
    """
    if isinstance(parsed(arguments), dict):
        return arguments
    return orjson.dumps({"invalid_json": arguments[:MAX_BROKEN_ARGUMENTS]}).decode()


def parsed(text: str) -> Any:
    """`text` as JSON, or None."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def call_id(given: Any, taken: set[str]) -> str:
    """The id of a tool call: as given, or a new one where it is missing or stands twice in one reply.

    Random, because it must be unique in the conversation, and a reply is read once and then kept.
    """
    id_ = given if isinstance(given, str) and given not in taken else ""
    id_ = id_ or f"call_{uuid.uuid4().hex[:24]}"
    taken.add(id_)
    return id_
