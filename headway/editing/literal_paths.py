"""Paths that a model hardly means as they stand: a shell would read them otherwise. Pure, but for a look at names.

File tools take a path as it is written. A name in quotes, with `~` or with a line break would become a file of that
name, and land. Names that are there already may be what they are.
"""

import os
from pathlib import Path

_CONTROL = frozenset(map(chr, (*range(0x20), 0x7F)))
_QUOTES = ("'", '"', "`", "\u201c", "\u2018")
_CLOSING = {"\u201c": "\u201d", "\u2018": "\u2019"}


def doubt_about(root: Path, path: str) -> str:
    """The reason against taking a path as it stands, as the end of a sentence; empty where there is none."""
    return _doubt(_new_part(root, path))


def _new_part(root: Path, path: str) -> str:
    """The part of a path, from its first name on that is not there."""
    at, parts = root, Path(path).parts
    for number, part in enumerate(parts):
        at = at / part
        if not os.path.lexists(at):
            return "/".join(parts[number:])
    return ""


def _doubt(name: str) -> str:
    if not name:
        return ""
    if not _CONTROL.isdisjoint(name):
        return "holds a line break or another control character: give one path, and nothing else"
    if any(name.startswith(quote) and name.endswith(_CLOSING.get(quote, quote)) for quote in _QUOTES):
        return "is in quotes, which would be a part of its name: give it without them"
    if name.startswith("~"):
        return "begins with `~`, which is not expanded: paths begin at the top of the workspace"
    if "\\" in name:
        return "holds a backslash, which would be a part of its name: folders are separated by `/`"
    if name != name.strip():
        return "begins or ends with a blank, which would be a part of its name"
    if name.partition("/")[0].endswith(":") or "://" in name:
        return "is an address, not a path"
    return ""
