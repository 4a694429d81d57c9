"""The shapes of `reshaping` for the Responses API: servers that translate it for a template refuse the same. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from headway.models.reshaping import IDS, ORDER, SAYS, SEVERAL, short_id

SHAPES = frozenset(shape.name for shape in (ORDER, SEVERAL, IDS))
"""The instructions are no message here, so that they have no role."""

Part = dict[str, Any]


def reshaped_items(items: Iterable[bytes], without: frozenset[str]) -> bytes:
    """The items of a conversation, joined, without the shapes that the server does not take."""
    parts: list[Part] = orjson.loads(b"[" + b",".join(items) + b"]")
    if SEVERAL.name in without:
        parts = list(_one_call_each(parts))
    if IDS.name in without:
        parts = [part | {"call_id": short_id(part["call_id"])} if "call_id" in part else part for part in parts]
    if ORDER.name in without:
        parts = list(_in_turn(parts))
    return b",".join(map(orjson.dumps, parts))


def _one_call_each(parts: Sequence[Part]) -> Iterator[Part]:
    """Each call followed by its answer."""
    answers = {part["call_id"]: part for part in parts if _answers(part)}
    for part in parts:
        if _answers(part):
            if part["call_id"] in answers:
                yield answers.pop(part["call_id"])
            continue
        yield part
        if (answer := answers.pop(part.get("call_id"), None)) is not None:
            yield answer


def _in_turn(parts: Sequence[Part]) -> Iterator[Part]:
    """Users' messages joined with the one before: a user's, or a tool's answer, which then holds both."""
    held: Part | None = None
    for part in parts:
        if held is not None and part.get("role") == "user":
            held = _joined(held, part)
            continue
        if held is not None:
            yield held
        held = part if part.get("role") == "user" or isinstance(part.get("output"), str) else None
        if held is None:
            yield part
    if held is not None:
        yield held


def _joined(before: Part, user: Part) -> Part:
    if before.get("role") == "user":
        return before | {"content": [*before["content"], *user["content"]]}
    text = "\n\n".join(each["text"] for each in user["content"])
    between = "\n\n" if SAYS in before["output"] else SAYS
    return before | {"output": before["output"] + between + text}


def _answers(part: Part) -> bool:
    return "output" in part and "call_id" in part
