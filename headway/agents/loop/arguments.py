"""From the model of a tool's arguments to the schema for model servers, and from a model's text back to arguments."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from headway.domain.errors import ToolError

LOCAL_KEYWORDS = frozenset(
    {"title", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "minItems", "maxItems", "pattern"}
)
"""Servers differ in these; they are checked here and not sent."""


PathText = Annotated[str, Field(min_length=1, max_length=4_096)]
ShortText = Annotated[str, Field(min_length=1, max_length=1_000)]

MOST_VALUES = 10_000
"""Values of one call: 100 tasks with 90 paths each."""

MOST_TEXTS = 3
"""Levels of lists and objects that come as text within each other."""

LENIENT_CHARS = 256 << 10
"""Characters of arguments that are read although they are not quite JSON."""

_MEMBER = re.compile(r"<\w+\.\w+: ('[^']*')>")
"""A member of an enumeration as pydantic names it; a model is told its value."""


class Arguments(BaseModel):
    """The arguments of one tool."""

    model_config = ConfigDict(frozen=True, extra="forbid")


ArgumentsT = TypeVar("ArgumentsT", bound=Arguments)


def schema_of(arguments: type[Arguments]) -> dict[str, Any]:
    """The JSON schema of a tool's arguments, for model servers."""
    schema = arguments.model_json_schema()
    definitions = schema.pop("$defs", {})
    parameters: dict[str, Any] = _plain(schema, definitions)
    parameters.pop("description", None)
    parameters.setdefault("required", [])
    return parameters


def parsed(name: str, arguments: type[ArgumentsT], example: Mapping[str, Any], raw: str) -> ArgumentsT:
    """A call's arguments.

    Args:
        name: The tool's name.
        arguments: Their model.
        example: Arguments that fit, for the error.
        raw: The text that the model wrote.

    Raises:
        ToolError: With one line for each field that is not right.
    """
    try:
        value = _json(raw or "{}")
        value = _json(value) if isinstance(value, str) else value
        _refuse_many(name, value)
        value = whole(value)
    except ValueError as error:
        raise ToolError(f"the arguments of {name} are not JSON: {error}\n{_expected(arguments, example)}") from error
    except RecursionError as error:
        raise ToolError(
            f"the arguments of {name} are nested too deep to be read\n{_expected(arguments, example)}"
        ) from error
    if not isinstance(value, dict):
        raise ToolError(f"the arguments of {name} must be one JSON object\n{_expected(arguments, example)}")
    # Some models write null for what they leave out.
    given = {key: entry for key, entry in value.items() if entry is not None}
    try:
        return _validated(name, arguments, given)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        lines = "\n".join(f"- {_say(detail)}" for detail in details[:20])
        raise ToolError(f"the arguments of {name} are not valid:\n{lines}\n{_expected(arguments, example)}") from error


def _validated(name: str, arguments: type[ArgumentsT], given: dict[str, Any]) -> ArgumentsT:
    """The arguments. A list or an object that came as its JSON text is read: some models write every value as text.

    Raises:
        ValidationError: They do not fit.
        ToolError: They hold too many values.
    """
    for _ in range(MOST_TEXTS):
        try:
            return arguments.model_validate(given)
        except ValidationError as error:
            places = [detail["loc"] for detail in error.errors(include_url=False, include_input=False)[:20]]
            if not sum(_read_in_place(given, place) for place in places):
                raise
            _refuse_many(name, given)
    return arguments.model_validate(given)


def _read_in_place(given: Any, place: tuple[int | str, ...]) -> bool:
    """Put what a text at a place says in its place, where it is the JSON of a list or an object."""
    *path, last = place
    for part in path:
        if not _holds(given, part):
            return False
        given = given[part]
    if not _holds(given, last) or not isinstance(text := given[last], str) or text.lstrip()[:1] not in {"[", "{"}:
        return False
    try:
        given[last] = whole(_json(text))
    except (ValueError, RecursionError):
        return False
    return True


def _holds(value: Any, part: int | str) -> bool:
    if isinstance(value, list):
        return isinstance(part, int) and 0 <= part < len(value)
    return isinstance(value, dict) and part in value


def _json(text: str) -> Any:
    """A text as JSON. The faster parser comes first; Python's own also takes what is not quite JSON, such as NaN.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deep.
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if len(text) > LENIENT_CHARS:
            raise
    return json.loads(text)


def _refuse_many(name: str, value: Any) -> None:
    """Return when a value holds no more values than a call needs. Without recursion.

    Raises:
        ToolError: It holds more: to say what is wrong with each would take seconds.
    """
    count, left = 0, [value]
    while left:
        each = left.pop()
        if isinstance(each, dict | list):
            count += len(each)
            if count > MOST_VALUES:
                raise ToolError(f"the arguments of {name} hold more than {MOST_VALUES:,} values: send less at a time")
            left += each.values() if isinstance(each, dict) else each


def whole(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair. A cut emoji leaves one, and no file can hold it."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [whole(entry) for entry in value]
    if isinstance(value, dict):
        return {whole(key): whole(entry) for key, entry in value.items()}
    return value


def _expected(arguments: type[Arguments], example: Mapping[str, Any]) -> str:
    """The fields of a tool, and one call that is right."""
    fields = arguments.model_fields.items()
    listed = ", ".join(f"{n}{'' if f.is_required() else ' (optional)'}" for n, f in fields) or "nothing"
    return f"expected: {listed}\nfor example: {json.dumps(example)}"


def _say(detail: ErrorDetails) -> str:
    where = ".".join(str(part) for part in detail["loc"]) or "arguments"
    match detail["type"]:
        case "missing":
            return f"{where}: is required"
        case "extra_forbidden":
            return f"{where}: is not an argument"
        case _:
            plain = _MEMBER.sub(r"\1", detail["msg"].removeprefix("Value error, "))
            return f"{where}: {plain}"


def _plain(node: Any, definitions: dict[str, Any], *, names: bool = False) -> Any:
    """The schema with references put in place and without what servers understand differently.

    `names` is set where the keys are names of properties and not keywords: a task has a title.
    """
    if isinstance(node, list):
        return [_plain(entry, definitions) for entry in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        inlined = _plain(target, definitions)
        return inlined | {key: value for key, value in node.items() if key in {"description", "default"}}
    plain = {
        key: _plain(value, definitions, names=key == "properties" and not names)
        for key, value in node.items()
        if names or key not in LOCAL_KEYWORDS
    }
    return plain if names else _without_null(plain)


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field that may be null, without the null: leaving it out means the same, and is easier to say."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return {**kinds[0], **rest}
