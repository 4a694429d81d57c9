"""Manifests and lock files of Python."""

import ast
import configparser
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from headway.agent.manifests.names import Unreadable, json_table, requirement, strings, table, tables_below

_EGG = re.compile(r"[#&]egg=([\w.-]+)")
_FILE = re.compile(r"/([A-Za-z0-9][\w.]*(?:-[A-Za-z][\w.]*)*)-\d[^/]*\.(?:whl|zip|tar\.gz)")
_REPOSITORY = re.compile(r"/([\w.-]+?)(?:\.git)?(?:@[^/]*)?(?:#.*)?$")


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unreadable(str(error)) from error


def project(text: str) -> Iterator[str]:
    """`pyproject.toml`, of whichever tool: every list or table that is called dependencies or requires."""
    for key, value in tables_below(_toml(text)):
        if "dependenc" in key or key in {"requires", "constraints"}:
            yield from _named(value)


def _named(value: Any) -> Iterator[str]:
    yield from map(requirement, strings(value))
    for key, inner in table(value).items():
        if strings(inner):
            # A group: its name is nobody's package.
            yield from map(requirement, strings(inner))
        elif not isinstance(inner, dict) or {"version", "git", "path", "url", "extras"} & inner.keys():
            yield key


def lock(text: str) -> Iterator[str]:
    """The lock files of poetry, uv, pdm and pip."""
    read = _toml(text)
    for package in (*_list(read.get("package")), *_list(read.get("packages"))):
        yield str(table(package).get("name", ""))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def requirements(text: str) -> Iterator[str]:
    """Requirement files, with what stands behind `-e` and in addresses."""
    for raw in text.replace("\\\n", " ").splitlines():
        line = re.sub(r"(^|\s)#.*", "", raw).strip()
        line = re.sub(r"^(-e|--editable)[\s=]+", "", line)
        if not line or line.startswith("-"):
            continue
        if "://" in line and not re.match(r"[\w.\[\],-]+\s*@", line):
            yield next((found[1] for form in (_EGG, _FILE, _REPOSITORY) if (found := form.search(line))), "")
        else:
            yield requirement(line)


def setup_cfg(text: str) -> Iterator[str]:
    """`setup.cfg`."""
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise Unreadable(str(error)) from error
    for section in parser.sections():
        for key, value in parser.items(section):
            if key.endswith("requires") or section == "options.extras_require":
                yield from map(requirement, value.splitlines())


def setup_py(text: str) -> Iterator[str]:
    """`setup.py`, which is a program: every string in a list, a tuple or a table of it is taken for a requirement."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, MemoryError) as error:
        raise Unreadable(str(error)) from error
    for node in ast.walk(tree):
        held: list[ast.expr] = []
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            held = node.elts
        elif isinstance(node, ast.Dict):
            held = [key for key in node.keys if key is not None] + node.values
        for each in held:
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                yield from map(requirement, each.value.splitlines())


def pipfile(text: str) -> Iterator[str]:
    """`Pipfile` and `Pipfile.lock`."""
    if text.lstrip().startswith("{"):
        read = json_table(text)
        for group in ("default", "develop"):
            yield from table(read.get(group))
        return
    for key, value in _toml(text).items():
        if key not in {"source", "requires", "scripts", "pipenv"}:
            yield from table(value)


def conda(text: str) -> Iterator[str]:
    """Environments of conda; read by the line, because YAML of a stranger may unfold without end."""
    for line in text.splitlines():
        found = re.match(r"\s*-\s+['\"]?(?:[\w./-]+::)?([\w.-]+)\s*(?:$|['\"<>=!~\[\s])", line)
        if found:
            yield found[1]
