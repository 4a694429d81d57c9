"""Manifests and lock files of npm, yarn, pnpm, bun and deno."""

import re
from collections.abc import Iterator
from typing import Any

from headway.agent.manifests.names import json_table, strings, table, tables_below

_NAME = r"(@[\w.~-]+/[\w.~-]+|[A-Za-z0-9~][\w.~-]*)"
_AT_VERSION = re.compile(rf"(?:^|[\s'\"/:(]){_NAME}@(?:npm:|\^|~|\*|[<>=]|workspace:|git|https?:|v?\d|latest)")
_OLD_PNPM = re.compile(rf"^\s*'?/{_NAME}/\d")
_ALIAS = re.compile(rf"npm:{_NAME}(?:@|/|['\"]|$)")


def package(text: str) -> Iterator[str]:
    """`package.json`: each kind of dependency, overrides, and what aliases really stand for."""
    for key, value in json_table(text).items():
        if key.lower().endswith("dependencies"):
            yield from table(value)
            yield from strings(value)
        if key.lower().endswith("dependencies") or key in {"overrides", "resolutions", "pnpm"}:
            yield from _aliases(value)


def _aliases(value: Any) -> Iterator[str]:
    for _, inner in tables_below(value):
        if isinstance(inner, str) and (found := _ALIAS.match(inner)):
            yield found[1]


def package_lock(text: str) -> Iterator[str]:
    """`package-lock.json` of every version."""
    read = json_table(text)
    for place, facts in table(read.get("packages")).items():
        yield place.rpartition("node_modules/")[2] if "node_modules/" in place else ""
        yield str(table(facts).get("name", "")) if place else ""
    for key, value in tables_below(read):
        if key in {"dependencies", "requires"}:
            yield from table(value)


def other_lock(text: str) -> Iterator[str]:
    """Lock files that are read by the line: of yarn, pnpm and bun; and deno's imports."""
    for line in text.splitlines():
        yield from _AT_VERSION.findall(line)
        yield from _OLD_PNPM.findall(line)
        yield from _ALIAS.findall(line)
