"""Lines of a change that call themselves unfinished: a limit that every worker is given."""

import re
from collections.abc import Sequence

from headway.domain.ids import Oid
from headway.git.hub import Hub

MOST_BYTES = 2_000_000
LINE_CHARS = 100
SEARCHED_BYTES = 4_096
"""Bytes of a line that are searched. A longer one was written by a program."""

_UNFINISHED = re.compile(
    rb"\b(TODO|FIXME|XXX)\b|\bNotImplementedError\b|\bNotImplementedException\b|\b(todo|unimplemented)!\s*\("
    rb"|\bpytest\.mark\.(skip|xfail)\b|\bunittest\.skip|\b(it|test|describe)\.(skip|only)\s*\(|\bxit\s*\("
    rb"|^\s*@(Disabled|Ignore)\b|\bt\.Skip(Now)?\s*\("
)
_HUNK = re.compile(rb"@@ -\S+ \+(\d+)")


def unfinished(hub: Hub, commits: Sequence[Oid]) -> tuple[str, ...]:
    """The lines that these commits add and that say so, as `path:line: text`; lines that only move are left out."""
    return tuple(found for commit in commits for found in _of_one(hub, commit))


def _of_one(hub: Hub, commit: Oid) -> list[str]:
    form = ("diff-tree", "-p", "--unified=0", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--root")
    said = hub.repo.read(*form, f"{commit}^", commit, most=MOST_BYTES).out
    lines = said.split(b"\n")
    removed = {line[1:].strip() for line in lines if line.startswith(b"-") and not line.startswith(b"---")}
    found, path, number = [], "", 0
    for line in lines:
        if line.startswith(b"+++ "):
            path = line[4:].decode(errors="backslashreplace").removeprefix("b/")
        elif hunk := _HUNK.match(line):
            number = int(hunk[1])
        elif line.startswith(b"+"):
            text = line[1:].strip()
            if _UNFINISHED.search(text[:SEARCHED_BYTES]) and text not in removed:
                found.append(f"{path}:{number}: {text.decode(errors='replace')[:LINE_CHARS]}")
            number += 1
    return found
