"""The repository's guidance for agents: its AGENTS.md files from the top down to the paths of a task."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from headway.domain.ids import Oid
from headway.git.hub import Hub
from prompts.prompts import Prompts

NAMES = ("AGENTS.override.md", "AGENTS.md", "CLAUDE.md")
"""Of each folder the first that is there."""

GUIDANCE_BYTES = 32 * 1024
READ_BYTES = 4 * GUIDANCE_BYTES
"""Bytes that are read of one file: white space at its ends is not shown."""

LISTED_BYTES = 4 << 20
FOLDERS = 100
"""A task that names hundreds of paths is told of the folders nearest to the top."""

PATHS = 1_000
PATH_CHARS = 1_024
DEEP = 20
"""Paths of a task, characters of a path and folders of it that are looked at."""

LINK = "120000"


@dataclass(frozen=True)
class _File:
    path: str
    mode: str
    oid: Oid
    size: int


class Guidance(NamedTuple):
    """Guidance as text; empty where there is none.

    Attributes:
        top: Of the repository's top folder: the same for each task, unless what is nearer to it leaves too little room.
        nearer: Of the folders below it down to the task, the nearest last.
    """

    top: str
    nearer: str


def guidance(hub: Hub, base: Oid, paths: Sequence[str], prompts: Prompts) -> Guidance:
    """The guidance for a task at `paths`, as the commit `base` has it.

    Of more than 32 KiB the nearest is kept, and a note tells of the cut. Always from the commit that the run began on,
    so that no agent can write into the messages of others.
    """
    found = _files(hub, base, _folders(paths))
    room = GUIDANCE_BYTES
    parts: list[str] = []
    for path, text, unread in reversed(found):
        raw = text.encode()
        shown = raw[:room].decode("utf-8", "ignore")
        room -= len(raw[:room])
        size = len(raw) + unread
        if shown != text or unread:
            note = prompts.render("messages/guidance_cut", left=size - len(shown.encode()), size=size)
            shown = f"{shown}\n{note}".strip()
        parts.insert(0, prompts.render("messages/guidance", path=path, text=shown))
    at_top = sum("/" not in path for path, _, _ in found)
    return Guidance("\n\n".join(parts[:at_top]), "\n\n".join(parts[at_top:]))


def _folders(paths: Iterable[str]) -> list[str]:
    """Every folder from the top to each path, the top first; a path may be a folder itself, and may hold a pattern."""
    folders = {""}
    for path in islice(paths, PATHS):
        place = ""
        for part in PurePosixPath(path.strip().lstrip("/")[:PATH_CHARS]).parts[:DEEP]:
            if part == ".." or any(char in part for char in "*?[\0"):
                break
            place = f"{place}/{part}".lstrip("/")
            folders.add(place)
    return sorted(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))[:FOLDERS]


def _files(hub: Hub, base: Oid, folders: Sequence[str]) -> list[tuple[str, str, int]]:
    """Path, text and the number of bytes that were not read, of each file; each text once."""
    wanted = [f"{folder}/{name}".lstrip("/") for folder in folders for name in NAMES]
    there = _listed(hub, base, wanted)
    read: list[tuple[str, str, int]] = []
    known: set[str] = set()
    for folder in folders:
        for name in NAMES:
            path = f"{folder}/{name}".lstrip("/")
            text, unread = _text(hub, base, there[path]) if path in there else ("", 0)
            if text:
                if text not in known:
                    known.add(text)
                    read.append((path, text, unread))
                break
    return read


def _listed(hub: Hub, base: Oid, paths: Sequence[str]) -> dict[str, _File]:
    said = hub.repo.read("ls-tree", "-l", "-z", base, "--", *paths, most=LISTED_BYTES).out.decode(
        errors="surrogateescape"
    )
    found = {}
    for entry in filter(None, said.split("\0")):
        facts, _, path = entry.partition("\t")
        mode, kind, oid, *size = facts.split()
        if kind == "blob":
            found[path] = _File(path, mode, Oid(oid), int(size[0]))
    return found


def _text(hub: Hub, base: Oid, file: _File) -> tuple[str, int]:
    """The beginning of a file's text, and the number of bytes beyond it.

    Of a link that stays in the repository, as many use one for both names, that of its target.
    """
    raw = hub.repo.read("cat-file", "blob", file.oid, most=READ_BYTES).out
    if file.mode == LINK:
        target = _inside(PurePosixPath(file.path).parent, raw[:PATH_CHARS].decode(errors="surrogateescape"))
        there = _listed(hub, base, [target]) if target else {}
        end = there.get(target)
        return _text(hub, base, end) if end is not None and end.mode != LINK else ("", 0)
    return raw.decode("utf-8", "replace").strip(), file.size - len(raw)


def _inside(folder: PurePosixPath, target: str) -> str:
    """The target of a link in `folder`; nothing if it is outside."""
    parts: list[str] = []
    for part in (folder / target).parts:
        if part == "/" or "\0" in part or (part == ".." and not parts):
            return ""
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
