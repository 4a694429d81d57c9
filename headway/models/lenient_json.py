"""Reading JSON that may be anything: servers that speak an API of others make the most of what it leaves open.

A reply is bounded in bytes before it is read. Bytes alone bound neither memory (`[[],[],...` takes 25 times its size)
nor the depth at which Python and orjson give up.
"""

import json
import re
import uuid
from typing import Any

import orjson

MAX_BROKEN_ARGUMENTS = 4000

MAX_WHOLE_BYTES = 4 << 20
"""Bytes of a reply: of its JSON where it comes whole, of its texts where it comes in pieces. It is read at once, and
the interpreter's lock is held until then. 128,000 tokens are less than 2 MB."""

MAX_MENDED_BYTES = 128 << 10
"""Bytes of a reply, or of a piece of one, that is read although it is no JSON as it stands: see `piece_in`."""

MAX_LOOSE_BYTES = 1 << 20
"""Bytes of all pieces of a reply that are no JSON as they stand."""

MAX_DEPTH = 100
"""Levels of arrays and objects in a reply; orjson writes 254 of them."""

MAX_VALUES = 100_000
"""Values in a reply, counted by brackets and commas, also those within strings: at most 25 MB in memory."""

MAX_PARTS = 20_000
"""Values in a reply outside of strings."""

SILENCE = "(no words)"
"""Stands for a reply that said nothing: many servers refuse a conversation with an empty message, for good."""
MAX_CALLS = 200
"""Tool calls of one reply."""

MAX_COUNT = 10**8
"""Tokens of one call: ten times the largest window. A larger count is none."""

MAX_NAME = 200
"""Characters of a name or id that a server gives."""

_SURROGATE = re.compile(
    r"(?P<slashes>\\(?<!\\\\)(?:\\\\)*+)u[dD]"
    r"(?:[89aAbB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>[89a-fA-F][0-9a-fA-F]{2}))"
)
"""Each pair of surrogates, or half of one, that a JSON text escapes. Of the backslashes before it the last one begins
the escape, and each two before that are one character."""

_HALVES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")
"""Halves of surrogate pairs, but for those by which Python spells bytes that are no UTF-8."""

_GLUED = re.compile(r"\}\s*+\{")

_LENIENT = json.JSONDecoder(strict=False)

_TOO_MANY = f"the answer holds more than {MAX_VALUES:,} values"


class Unreadable(Exception):
    """A server's answer is not JSON, or JSON beyond its bounds. Asking again may give another answer."""


def json_in(data: bytes) -> Any:
    """A reply, or an event that stands for itself, as JSON.

    Bytes that are no UTF-8 and halves of surrogate pairs become U+FFFD.

    Raises:
        Unreadable: It is no JSON, or too large, or nested too deeply, or holds too many values.
    """
    value, is_loose = _read(data)
    return whole_texts(value) if is_loose else value


def piece_in(data: bytes) -> tuple[Any, bool]:
    """A piece of a reply as JSON, and whether it was none as it stands. Its texts may begin or end within a character.

    Servers cut their texts at tokens, which are bytes or halves of surrogate pairs. The rest of a character at such a
    cut stays in the text as surrogates; `whole_texts` makes one character of it once the pieces are joined. `NaN` and
    line breaks within strings are read as well: some servers write them, and they have one meaning.

    Raises:
        Unreadable: As `json_in`.
    """
    return _read(data)


def _read(data: bytes) -> tuple[Any, bool]:
    """Some JSON, and whether its texts may hold surrogates."""
    if len(data) > MAX_WHOLE_BYTES:
        raise Unreadable(f"the answer says more than {MAX_WHOLE_BYTES >> 20} MB")
    if data.count(b"[") + data.count(b"{") + data.count(b",") > MAX_VALUES:
        raise Unreadable(_TOO_MANY)
    is_loose = False
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        value, is_loose = _read_loosely(data), True
    _refuse_beyond(value)
    return value, is_loose


def _read_loosely(data: bytes) -> Any:
    failure = Unreadable(f"no JSON: {data[:120].decode(errors='replace')}")
    if len(data) > MAX_MENDED_BYTES:
        raise failure
    try:
        return _LENIENT.decode(data.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        pass
    raise failure


def whole_texts(value: Any) -> Any:
    """A value whose texts hold no surrogates: halves that belong together become a character, others U+FFFD.

    `value` is at most `MAX_DEPTH` levels deep, and a few more.
    """
    match value:
        case str():
            return _whole_text(value)
        case list():
            return [whole_texts(inner) for inner in value]
        case dict():
            return {whole_texts(name): whole_texts(inner) for name, inner in value.items()}
        case _:
            return value


def _whole_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        paired = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        return _HALVES.sub("\ufffd", paired).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return text


def text_in(value: Any) -> str:
    """Text of a field that should be a string: null, a list of parts and other things come too."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(text_in(part.get("text")) if isinstance(part, dict) else text_in(part) for part in value)
    return ""


def name_in(value: Any) -> str:
    """A name or id, cut where it is longer than any."""
    return text_in(value)[:MAX_NAME]


def count_in(holder: Any, *path: str) -> int | None:
    """A token count below `holder`, or None when it is missing or no count."""
    for name in path:
        holder = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(holder, bool) or not isinstance(holder, int | float):
        return None
    return int(holder) if 0 <= holder <= MAX_COUNT else None


def arguments_in(value: Any) -> str:
    """Tool arguments as text: some servers send the object itself, some encode it twice, some send nothing.

    Raises:
        Unreadable: They hold too many values.
    """
    if value is None or value == "":
        return "{}"
    if not isinstance(value, str):
        return orjson.dumps(value).decode()
    # Counted once more: the reply may have spelt its brackets as escapes.
    if value.count("[") + value.count("{") + value.count(",") > MAX_VALUES:
        raise Unreadable(_TOO_MANY)
    value = mended(value)
    inner = parsed(value)
    return inner if isinstance(inner, str) and isinstance(parsed(inner), dict) else value


def calls_in(value: Any) -> list[str]:
    """Tool arguments as texts, one for each call of the same tool: some servers glue the objects of several into one.

    The same object twice in a row is one: some servers repeat the whole of what they sent in pieces.

    Raises:
        Unreadable: They hold too many values.
    """
    text = arguments_in(value)
    if _GLUED.search(text) is None or parsed(text) is not None:
        return [text]
    objects: list[str] = []
    at = 0
    try:
        while at < len(text) and len(objects) <= MAX_CALLS:
            found, end = _LENIENT.raw_decode(text, at)
            if not isinstance(found, dict):
                return [text]
            if not objects or objects[-1] != text[at:end]:
                objects.append(text[at:end])
            at = end
            while text[at : at + 1].isspace():
                at += 1
    except (ValueError, RecursionError):
        return [text]
    return objects


def sendable(arguments: str) -> str:
    """Arguments that every server takes back.

    Several parse the calls of a conversation and refuse one that is no JSON object: for good, since it comes again with
    every later request.
    """
    if isinstance(parsed(arguments), dict):
        return arguments
    return orjson.dumps({"invalid_json": arguments[:MAX_BROKEN_ARGUMENTS]}).decode()


def mended(text: str) -> str:
    """A JSON text in which escaped halves of surrogate pairs are U+FFFD: a cut emoji leaves one."""
    if "\\ud" not in text and "\\uD" not in text:
        return text
    return _SURROGATE.sub(lambda found: f"{found['slashes']}ufffd" if found["half"] else found[0], text)


def parsed(text: str) -> Any:
    """`text` as JSON, or None."""
    try:
        return orjson.loads(mended(text))
    except orjson.JSONDecodeError:
        return None


def call_id(given: Any, taken: set[str]) -> str:
    """The id of a tool call: as given, or a new one where it is missing, too long, or stands twice in one reply.

    Random, because it must be unique in the conversation, and a reply is read once and then kept.
    """
    id_ = given if isinstance(given, str) and len(given) <= MAX_NAME and given not in taken else ""
    id_ = id_ or f"call_{uuid.uuid4().hex[:24]}"
    taken.add(id_)
    return id_


def _refuse_beyond(value: Any) -> None:
    """Return when the levels and the values of some JSON are within bounds. Without recursion.

    Raises:
        Unreadable: They are not.
    """
    depth, parts, level = 0, 0, [value]
    while level := [each for each in level if isinstance(each, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise Unreadable(f"the answer is nested more than {MAX_DEPTH} levels deep")
        parts += sum(map(len, level))
        if parts > MAX_PARTS:
            raise Unreadable(f"the answer holds more than {MAX_PARTS:,} values")
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)]
