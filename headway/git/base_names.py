"""Checks that a workspace can hold the files of the base. If not, the run is refused before any agent tries."""

import os

from headway.domain.errors import UserError
from headway.domain.ids import Oid
from headway.git.changes import shown
from headway.git.repo import Repo

NAME_BYTES = 255
PATH_BYTES = 3_500
"""A path in a workspace; the kernel takes 4,095 bytes with the folders above."""

RULES_MB = 16
"""Megabytes of all rules files. Git takes them in whole, and every git that reads a workspace has a bound of memory."""

_RULES = (".gitignore", ".gitattributes")
_INVALID = "invalid path"
_OTHER = "Name another 'base', or rename it in your repository."


def check_names(hub: Repo, base: Oid) -> None:
    """Refuse a base with a path that no workspace can hold.

    Raises:
        UserError: git refuses a path (such as `.GIT/config`), or it is too long for a file system, or no git could read
            the rules in a workspace.
    """
    index = hub.git_dir / "base.index"
    try:
        read = hub.at(hub.git_dir, index).run("read-tree", base, ok=None)
    finally:
        index.unlink(missing_ok=True)
    if read.code and _INVALID in read.err:
        _, _, path = read.err.partition(_INVALID)
        raise UserError(f"base: git cannot check out this path: {path.strip()[:300]}", _OTHER)
    rules: dict[str, str] = {}
    for entry in filter(None, hub.run("ls-tree", "-r", "-z", base).out.split(b"\0")):
        facts, _, name = entry.partition(b"\t")
        if len(name) > PATH_BYTES or max(map(len, name.split(b"/"))) > NAME_BYTES:
            raise UserError(f"base: a path is too long for a file system: {shown(os.fsdecode(name)[:300])}", _OTHER)
        path = os.fsdecode(name)
        if path.rpartition("/")[2] in _RULES:
            rules[path] = facts.split(b" ")[2].decode()
    _check_rules(hub, rules)


def _check_rules(hub: Repo, rules: dict[str, str]) -> None:
    """Refuse rules that are longer than any git of a workspace can read: each try would rename them, and begin anew."""
    asked = "".join(f"{oid}\n" for oid in rules.values()).encode()
    said = hub.run("cat-file", "--batch-check=%(objectsize)", stdin=asked).text.split("\n") if rules else []
    sizes = {path: int(size) for path, size in zip(rules, said, strict=True) if size.isdecimal()}
    if sum(sizes.values()) > RULES_MB << 20:
        largest = max(sizes, key=sizes.__getitem__)
        named = f"{shown(largest[:300])} {sizes[largest] >> 20} MB of it"
        raise UserError(
            f"base: its rules files have more than {RULES_MB} MB, {named}",
            "Name another 'base', or shorten them in your repository.",
        )
