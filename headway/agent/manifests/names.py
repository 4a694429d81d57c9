"""Names of packages: how they are compared, and how they are found in trees of tables."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_REQUIREMENT = re.compile(r"\s*(@?[A-Za-z0-9][\w./@-]*?)\s*(?:$|[\s\[<>=!~;@(,])")


class Unreadable(Exception):
    """A manifest is not written as its kind is."""


def normal(name: str) -> str:
    """A name as it is compared: most worlds take case, dashes, dots and underscores for the same."""
    return re.sub(r"[-_.]+", "-", name.strip().lower())


def requirement(line: str) -> str:
    """The name at the beginning of a requirement such as `name[extra]>=1; marker`; empty when there is none."""
    found = _REQUIREMENT.match(line)
    return found[1] if found else ""


def table(value: Any) -> Mapping[str, Any]:
    """The value if it is a table, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def strings(value: Any) -> list[str]:
    """The strings of a list; nothing of anything else."""
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def json_table(text: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        Unreadable: It is none.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable(str(error)) from error
    if not isinstance(value, dict):
        raise Unreadable("no object")
    return value


def tables_below(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key), inner
            yield from tables_below(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from tables_below(inner)
