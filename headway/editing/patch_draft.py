"""The files of a patch as they will be, worked out section by section before any of them changes."""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import ToolError
from headway.editing.edit_process import EditProcess, Made
from headway.editing.files import NEW_FILE, Files, told
from headway.editing.hunks import Hunk
from headway.editing.patch import Add, Delete, Section, Update
from headway.system.excerpt import cut

PIECES_SHOWN = 5
"""Changed pieces of a file that a patch is answered with."""

CONTENT_BYTES = 32 << 20
"""Bytes of all files of a patch, as they were and as they will be."""


@dataclass(frozen=True)
class Change:
    """The change of one file. None for a content: the file is absent.

    Attributes:
        staged: Place where its new content is made.
    """

    target: Path
    staged: Path
    before: bytes | None
    after: bytes | None
    mode: int = NEW_FILE


@dataclass(frozen=True)
class Done:
    """The change of one file, as the model is told. `made` is set when its content changed."""

    section: Section
    made: Made | None = None


class Draft:
    """The files as they will be, section by section."""

    def __init__(self, files: Files, apart: EditProcess) -> None:
        self._files = files
        self._apart = apart
        self._room = CONTENT_BYTES
        self._made: set[Path] = set()
        self._above: set[Path] = set()
        self._before: dict[Path, bytes | None] = {}
        self._now: dict[Path, bytes | None] = {}
        self._modes: dict[Path, int] = {}

    def take(self, section: Section) -> Done:
        match section:
            case Add(path, content):
                self._make(path, content.encode("utf-8", "surrogateescape"), NEW_FILE)
                return Done(section)
            case Delete(path):
                target = self._there(path)
                if (self._files.root / path).is_symlink():
                    raise ToolError("it is a link: remove it with a command")
                self._now[target] = None
                return Done(section)
            case Update(path, hunks, move_to):
                return self._update(section, self._there(path), hunks, move_to)

    def change_of(self, target: Path) -> tuple[bytes | None, bytes | None, int]:
        """A file's content before and after, and its permissions."""
        return self._before[target], self._now[target], self._modes.get(target, NEW_FILE)

    def _update(self, section: Update, target: Path, hunks: Sequence[Hunk], move_to: str | None) -> Done:
        raw = self._now[target] or b""
        if b"\0" in raw[:8_000]:
            raise ToolError("it is binary: change it with a command")
        made = self._apart.change(raw, tuple(hunks), PIECES_SHOWN) if hunks else None
        new = raw if made is None else made.raw
        self._take_room(len(new))
        place = target if move_to is None else self._files.place(move_to)
        if new == raw and place == target:
            raise ToolError("nothing in it would change: give the lines that go with `-` and those that come with `+`")
        if move_to is not None and place != target:
            self._make(move_to, new, self._modes.get(target, NEW_FILE))
            self._now[target] = None
        else:
            self._now[target] = new
        return Done(section, made)

    def _take_room(self, nbytes: int) -> None:
        self._room -= nbytes
        if self._room < 0:
            raise ToolError(
                f"the patch's files have more than {CONTENT_BYTES >> 20} MB together: change fewer at a time"
            )

    def _look(self, path: str) -> Path:
        target = self._files.place(path)
        if target not in self._now:
            self._before[target] = self._now[target] = content = self._files.content(target)
            self._take_room(len(content or b""))
            if self._before[target] is not None:
                with told(cut(path, 300)):
                    self._modes[target] = stat.S_IMODE(target.stat().st_mode)
        return target

    def _there(self, path: str) -> Path:
        target = self._look(path)
        if self._now[target] is None:
            raise ToolError("it is not there: look where it is with list_dir or grep, or `*** Add File` it")
        return target

    def _make(self, path: str, content: bytes, mode: int) -> None:
        target = self._look(path)
        if self._now[target] is not None:
            raise ToolError(
                f"{cut(path, 300)} is there already: change it with `*** Update File`, or replace it with write_file"
            )
        self._check_folder(target)
        self._now[target] = content
        self._modes[target] = mode

    def _check_folder(self, target: Path) -> None:
        """The folders above a new file can be made, also beside what else the patch makes."""
        made = {target, *target.parents} & self._made
        clash = next(iter(made), target if target in self._above else None)
        self._made.add(target)
        self._above.update(target.parents)
        with told(str(target.relative_to(self._files.root))):
            above = next(each for each in target.parents if each.exists())
            if clash is not None or not above.is_dir():
                shown = (clash or above).relative_to(self._files.root)
                raise ToolError(f"{shown} is a file and cannot be a folder as well")
            if not os.access(above, os.W_OK | os.X_OK):
                raise ToolError(f"nothing can be written in {above.relative_to(self._files.root)}")
