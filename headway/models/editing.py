"""The way in which models edit files: by replacing pieces, or by patches if they are trained on them.

OpenAI's models from GPT-5.1 on know a tool of their API for that, `apply_patch`: its calls are items of a kind of their
own, one change of one file each, and so are the answers. Elsewhere it is a function with a whole patch as its argument.
"""

import re
from typing import Any, Literal

import orjson

from headway.models.lenient_json import call_id
from headway.models.turn import PATCH_FORM, ToolCall, ToolOutput

Edit = Literal["patch", "replace"]

PATCH_TOOL = "apply_patch"
OUTPUT = "apply_patch_call_output"

_GPT = re.compile(r"(?:.*/)?gpt-([5-9]|1\d)(?:\.(\d+))?(?![\w.])", re.IGNORECASE)
_FIRST_TRAINED = (5, 1)


def trained_on_patches(model: str) -> bool:
    """True if a model knows the tool, by its name; a provider's name before a slash does no harm."""
    return (gpt_version(model) or (0, 0)) >= _FIRST_TRAINED


def gpt_version(model: str) -> tuple[int, int] | None:
    """The version in the name of a model of OpenAI's from GPT-5 on; None for every other name."""
    match = _GPT.match(model)
    return (int(match[1]), int(match[2] or 0)) if match else None


def patch_call(entry: dict[str, Any], taken: set[str]) -> tuple[ToolCall, dict[str, Any]]:
    """A call of the tool, and the item as it goes back."""
    id_ = call_id(entry.get("call_id") or entry.get("id"), taken)
    arguments = orjson.dumps({"operation": entry.get("operation")}).decode()
    kept = entry if entry.get("call_id") == id_ else entry | {"call_id": id_}
    return ToolCall(id=id_, name=PATCH_TOOL, arguments=arguments, form=PATCH_FORM), kept


def patch_output(answer: ToolOutput) -> dict[str, Any]:
    """The answer to such a call."""
    status = "failed" if answer.failed else "completed"
    return {"type": OUTPUT, "call_id": answer.call_id, "status": status, "output": answer.text}


def as_functions(item: bytes) -> bytes:
    """An item of a conversation for a server that does not know these items, with the same content."""
    if b'"apply_patch_call' not in item:
        return item
    return b",".join(orjson.dumps(_as_function(part)) for part in orjson.loads(b"[" + item + b"]"))


def _as_function(part: dict[str, Any]) -> dict[str, Any]:
    match part.get("type"):
        case "apply_patch_call":
            arguments = orjson.dumps({"operation": part.get("operation")}).decode()
            return {"type": "function_call", "call_id": part["call_id"], "name": PATCH_TOOL, "arguments": arguments}
        case "apply_patch_call_output":
            return {"type": "function_call_output", "call_id": part["call_id"], "output": part.get("output") or ""}
        case _:
            return part
