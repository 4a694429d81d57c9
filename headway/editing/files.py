"""The files of an agent's workspace, with every path checked after symbolic links are resolved."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from pathlib import Path

from headway.domain.errors import ToolError
from headway.editing.literal_paths import doubt_about
from headway.editing.safe_open import below_of, file_at, folder_at, replace_at
from headway.editing.search import Searched, hits_text, search
from headway.sandbox.spec import INSIDE
from headway.system.bounded import Within, unheld
from headway.system.excerpt import LINES_READ, cut, excerpt
from headway.system.shortage import raise_if_short

HARNESS_FOLDER = ".headway"
OUTPUT_FOLDER = f"{HARNESS_FOLDER}/out"
"""Folder of full command outputs; an agent's file tools may read no other part of the harness's folder."""

MAX_FILE_BYTES = 8 << 20
MAX_ENTRIES = 500
ENTRIES_READ = 50_000
"""Entries of one folder that are looked at."""

MAX_DEPTH = 3
ENTRY_CHARS = 20_000
"""Characters of a folder's listing. Names can have 255 bytes each."""

GREP_SECONDS = 20.0
NEW_FILE = 0o644
_TOP = frozenset({"", ".", INSIDE})


@contextmanager
def told(path: str) -> Iterator[None]:
    """Turn the system's refusals in the files of a workspace into errors that the model is told.

    Agents make names that are too long, folders that cannot be entered, files where a folder is wanted. A second try
    of the same call meets the same refusal. A shortage of the machine passes, so the call waits for it.

    Raises:
        Shortage: The disk is full, or something else of the machine is used up.
    """
    try:
        yield
    except OSError as error:
        raise_if_short(error, cut(path, 300))
        raise ToolError(f"{cut(path, 300)}: {error.strerror or error}") from error


class Files:
    """Reads and writes below one folder. Every refusal is a `ToolError` that the model can act on.

    Args:
        root: The folder.
        within: The bounds of a program that searches it.
    """

    def __init__(self, root: Path, within: Within = unheld) -> None:
        self.root = root.resolve()
        self._within = within
        self._own = self.root / HARNESS_FOLDER
        self._home, self._outputs = self._own / "home", self.root / OUTPUT_FOLDER

    def read(self, path: str, start: int = 1, limit: int = LINES_READ) -> str:
        """Numbered lines of a file."""
        return excerpt(self._bytes(self._readable(path)), path, start, limit)

    def raw(self, path: str) -> bytes:
        """A whole file that may be changed."""
        raw = self._bytes(self._writable(path))
        if b"\0" in raw[:8_000]:
            raise ToolError(f"{path} is binary: change it with a command")
        return raw

    def write(self, path: str, content: bytes) -> bool:
        """Replace a file, or make it with the folders above it. Returns whether it was there before."""
        target = self._writable(path)
        with told(path):
            there = target.exists()
            if there and not target.is_file():
                raise ToolError(f"{path} is not a file")
        try:
            mode = stat.S_IMODE(target.stat().st_mode) if there else NEW_FILE
            # Whole or not at all, so that an edit that is found after a kill either happened or did not.
            replace_at(self.root, target, content, self._scratch(), mode)
        except OSError as error:
            raise_if_short(error, f"{path} cannot be written")
            raise ToolError(f"{path} cannot be written: {error.strerror}") from error
        return there

    def place(self, path: str) -> Path:
        """The path of a file that may be changed, after links."""
        target = self._writable(path)
        if target == self.root:
            raise ToolError(f"{cut(path, 300) or 'an empty path'} is no file")
        return target

    def content(self, target: Path) -> bytes | None:
        """All of a file at such a place; None where there is nothing."""
        with told(str(target.relative_to(self.root))):
            there = target.exists()
        return self._bytes(target) if there else None

    def scratch(self, name: str) -> Path:
        """Folder in which a file is made before it takes its place."""
        with told(HARNESS_FOLDER):
            return self._scratch() / name

    def list_dir(self, path: str = ".", depth: int = 1) -> str:
        """The entries of a folder, folders with a slash, `depth` levels deep."""
        top = self._readable(path)
        entries: list[str] = []
        with told(path):
            if not top.is_dir():
                raise ToolError(f"{path} is not a folder")
            with folder_at(self.root, top) as folder:
                self._walk(folder, min(max(1, depth), MAX_DEPTH), "", entries)
        text = cut("\n".join(entries[:MAX_ENTRIES]), ENTRY_CHARS)
        more = len(entries) > MAX_ENTRIES or text.endswith("…")
        return text + "\n[more entries are not shown: list a deeper folder]" * more

    def grep(self, pattern: str, path: str = ".", glob: str | None = None) -> str:
        """The lines that match a regular expression, as `path:line:text`."""
        target = self._readable(path)
        with told(path):
            is_folder = target.is_dir()
            if not is_folder and not target.exists():
                raise ToolError(f"{path} does not exist")
            folder = target if is_folder else target.parent
            below = "" if folder == self.root else f"{folder.relative_to(self.root)}/"
            with ExitStack() as held:
                fd = held.enter_context(folder_at(self.root, folder))
                file = None if is_folder else (target.name, held.enter_context(file_at(self.root, target)))
                what = Searched(fd, folder, file, HARNESS_FOLDER if folder == self.root else "")
                bounds = replace(held.enter_context(self._within()), seconds=GREP_SECONDS)
                found = search(pattern, what, glob, bounds)
        return hits_text([f"{below}{hit}" for hit in found])

    def output_file(self, number: int) -> Path:
        """File for the full output of a command. A link that a command left there is never followed."""
        with told(OUTPUT_FOLDER):
            self._scratch()
            target = _own_folder(self._outputs) / f"{number}.txt"
            target.unlink(missing_ok=True)
        return target

    def home(self) -> Path:
        """The HOME of commands that run in the workspace."""
        with told(HARNESS_FOLDER):
            self._scratch()
            return _own_folder(self._home)

    def _scratch(self) -> Path:
        return _own_folder(self._own)

    def folder(self, path: str) -> Path:
        """A folder in which a command may start."""
        target = self._inside(path)
        with told(path):
            if not target.is_dir():
                raise ToolError(f"workdir {cut(path, 300)} is not a folder of the workspace")
        return target

    def _walk(self, folder: int, depth: int, prefix: str, entries: list[str]) -> None:
        with os.scandir(folder) as scanned:
            # A folder may hold millions of names, and no more than these can be shown.
            some = islice(scanned, ENTRIES_READ)
            listed = nsmallest(MAX_ENTRIES + 1, some, key=lambda entry: entry.name)
        for entry in listed:
            if entry.name in {".git", HARNESS_FOLDER} or len(entries) > MAX_ENTRIES:
                continue
            is_folder = entry.is_dir(follow_symlinks=False)
            entries.append(f"{prefix}{entry.name}{'/' if is_folder else ''}")
            if is_folder and depth > 1:
                below = f"{prefix}{entry.name}/"
                try:
                    with below_of(folder, entry.name) as inside:
                        self._walk(inside, depth - 1, below, entries)
                except OSError as error:
                    entries.append(f"{below}[cannot be listed: {error.strerror}]")

    def _bytes(self, path: Path) -> bytes:
        shown = path.relative_to(self.root)
        try:
            with file_at(self.root, path) as fd:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    what = "a folder: use list_dir" if stat.S_ISDIR(status.st_mode) else "not a file"
                    raise ToolError(f"{shown} is {what}")
                if status.st_size > MAX_FILE_BYTES:
                    raise ToolError(f"{shown} has {status.st_size} bytes: search it with grep or a command")
                with os.fdopen(fd, "rb", closefd=False) as file:
                    return file.read(MAX_FILE_BYTES)
        except FileNotFoundError as error:
            raise ToolError(f"{shown} does not exist") from error
        except OSError as error:
            raise_if_short(error, f"{shown} cannot be read")
            raise ToolError(f"{shown} cannot be read: {error.strerror}") from error

    def _readable(self, path: str) -> Path:
        target = self._inside(path)
        parts = target.relative_to(self.root).parts
        outputs = parts[:2] == tuple(OUTPUT_FOLDER.split("/"))
        if not outputs and HARNESS_FOLDER in parts[:1]:
            raise ToolError(f"{path} belongs to the harness; only {OUTPUT_FOLDER}/ can be read")
        return target

    def _writable(self, path: str) -> Path:
        target = self._inside(path)
        if HARNESS_FOLDER in target.relative_to(self.root).parts[:1]:
            raise ToolError(f"{path} belongs to the harness: it is not yours to write")
        return target

    def _inside(self, path: str) -> Path:
        if path in _TOP:
            return self.root
        if "\0" in path:
            raise ToolError("a path must not hold a NUL character")
        try:
            target = (self.root / _as_here(path)).resolve()
        except (OSError, RuntimeError) as error:
            raise ToolError(f"{cut(path, 300)} cannot be resolved") from error
        if not target.is_relative_to(self.root):
            raise ToolError(f"{cut(path, 300)} is outside of the workspace: use paths relative to its top")
        if any(part.casefold() == ".git" for part in target.relative_to(self.root).parts):
            raise ToolError(f"{cut(path, 300)} belongs to git: use git commands to look at the history")
        if doubt := doubt_about(self.root, _as_here(path)):
            raise ToolError(f"{cut(path, 300)!r} does not exist. It {doubt}. A command can make such a name")
        return target


def _as_here(path: str) -> str:
    """A path as a command sees it, where its workspace has a place of its own, is meant as one from the top."""
    inside = f"{INSIDE}/"
    return f"{path}/".removeprefix(inside).strip("/") or "." if f"{path}/".startswith(inside) else path


def _own_folder(folder: Path) -> Path:
    """A folder of the harness. A link or file that a command left in its place is deleted, and never followed."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(folder).st_mode):
            return folder
        folder.unlink()
    folder.mkdir(exist_ok=True)
    return folder
