"""The values of calls that a model wrote as text: objects, lists of them, Python's notation, and bare arguments."""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from headway.models.adapter import ToolSchema
from headway.models.lenient_json import parsed, whole_texts
from headway.models.naming import meant
from headway.models.text_calls.python_values import NotPython, PythonReader

Tools = Mapping[str, ToolSchema]
Call = tuple[str, str]
"""A tool's name and its arguments, as JSON."""

Found = tuple[list[Call], int]
"""Calls of tools that are offered, and where they end."""

_SPACE = re.compile(r"[\s,;]*+")
_BLANK = re.compile(r"\s*+")
_LENIENT = json.JSONDecoder(strict=False)
_NAMES = ("name", "tool", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "params")


def values(text: str, at: int, tools: Tools, *, is_python: bool = True) -> Found | None:
    """Calls that stand at a place as JSON objects, as a list of these, or in Python's notation."""
    found = json_at(text, at)
    if found is None:
        return _python_at(text, at, tools) if is_python else None
    calls: list[Call] = []
    end = at
    while found is not None:
        value, end = found
        listed = value if isinstance(value, list) else [value]
        calls += [call for each in listed if (call := _call_in(each, tools)) is not None]
        found = json_at(text, end)
    return (calls, end) if calls else None


def json_at(text: str, at: int) -> tuple[Any, int] | None:
    """The object or list that stands at a place, and where it ends."""
    start = _SPACE.match(text, at)
    at = start.end() if start else at
    if text[at : at + 1] not in {"{", "["}:
        return None
    try:
        value, end = _LENIENT.raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return value, end


def _python_at(text: str, at: int, tools: Tools) -> Found | None:
    reader = PythonReader(text, at)
    try:
        said = reader.calls()
    except NotPython:
        return None
    calls = [call for name, arguments in said if (call := call_of(name, arguments, tools)) is not None]
    return (calls, reader.at) if calls else None


def _call_in(value: Any, tools: Tools) -> Call | None:
    """The call that an object describes."""
    while isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict):
        return None
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    given: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    return None if name is None else call_of(name, given, tools)


def call_of(name: str, given: Any, tools: Tools) -> Call | None:
    """The call of the tool that a name means; None where there is no such tool, or these are no arguments."""
    name = meant(name[:200], tools)
    if isinstance(given, str):
        given = parsed(given)
    if name not in tools or not isinstance(given, dict):
        return None
    arguments = written(given)
    return None if arguments is None else (name, arguments)


def written(value: dict[str, Any]) -> str | None:
    """Arguments as JSON; None where they cannot be written."""
    try:
        return orjson.dumps(whole_texts(value)).decode()
    except (orjson.JSONEncodeError, RecursionError):  # nested deeper than can be written, or numbers without end
        return None


def value_of(text: str, tool: ToolSchema, key: str, is_text: str | None) -> Any:
    """An argument that was written without quotes: of the type that the form says, else the tool."""
    schema = tool.parameters.get("properties", {}).get(key, {})
    if is_text == "true" or (is_text is None and schema.get("type", "string") == "string"):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    reader = PythonReader(text)
    try:
        value = reader.value()
    except NotPython:
        return text
    return value if not text[reader.at :].strip() else text


def blank_end(text: str, at: int) -> int:
    """The place behind the white space that stands at a place."""
    found = _BLANK.match(text, at)
    return found.end() if found else at
