"""The files of an agent's workspace, with every path checked after symbolic links are resolved."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from headway.agent.beneath import below_of, file_at, folder_at, replace_at
from headway.agent.excerpt import EXCERPT_CHARS, LINES_READ, cut, excerpt
from headway.domain.errors import ToolError
from headway.sandbox.walls import INSIDE

HARNESS_FOLDER = ".headway"
OUTPUT_FOLDER = f"{HARNESS_FOLDER}/out"
"""Where full command outputs lie; the only part of the harness's folder that an agent's file tools may read."""

MAX_FILE_BYTES = 8 << 20
MAX_ENTRIES = 500
MAX_DEPTH = 3
GREP_HITS = 100
GREP_SECONDS = 20
LINE_OF_A_HIT = 400
NEW_FILE = 0o644
_TOP = frozenset({"", ".", INSIDE})


@contextmanager
def told(path: str) -> Iterator[None]:
    """Around what the system may refuse in the files of a workspace: the model is told, and goes on.

    Agents make names that are too long, folders that cannot be entered, files where a folder is wanted. None of that
    is different when the same call is tried again.
    """
    try:
        yield
    except OSError as error:
        raise ToolError(f"{cut(path, 300)}: {error.strerror or error}") from error


class Files:
    """Reads and writes below one folder. Every refusal is a `ToolError` that the model can act on."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._own = self.root / HARNESS_FOLDER
        self._home, self._outputs = self._own / "home", self.root / OUTPUT_FOLDER

    def read(self, path: str, start: int = 1, limit: int = LINES_READ) -> str:
        """Numbered lines of a file."""
        return excerpt(self._bytes(self._readable(path)), path, start, limit)

    def text(self, path: str) -> str:
        """A whole file; bytes that are no UTF-8 survive a round through `write`."""
        raw = self._bytes(self._writable(path))
        if b"\0" in raw[:8_000]:
            raise ToolError(f"{path} is binary: change it with a command")
        return raw.decode("utf-8", "surrogateescape")

    def write(self, path: str, content: str) -> bool:
        """Replace a file, or make it with the folders above it. Returns whether it was there before."""
        target = self._writable(path)
        with told(path):
            there = target.exists()
            if there and not target.is_file():
                raise ToolError(f"{path} is not a file")
        try:
            mode = stat.S_IMODE(target.stat().st_mode) if there else NEW_FILE
            # Whole or not at all, so that an edit that is found after a kill either happened or did not.
            replace_at(self.root, target, content.encode("utf-8", "surrogateescape"), self._scratch(), mode)
        except OSError as error:
            raise ToolError(f"{path} cannot be written: {error.strerror}") from error
        return there

    def place(self, path: str) -> Path:
        """Where a file is that may be changed, after links."""
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
        """Where a file is made before it takes its place."""
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
        more = len(entries) > MAX_ENTRIES
        return "\n".join([*entries[:MAX_ENTRIES], *(["[more entries are not shown: list a deeper folder]"] * more)])

    def grep(self, pattern: str, path: str = ".", glob: str | None = None) -> str:
        """The lines that match an extended regular expression, as `path:line:text`."""
        target = self._readable(path)
        with told(path):
            if not target.exists():
                raise ToolError(f"{path} does not exist")
        if "\0" in pattern or "\0" in (glob or ""):
            raise ToolError("grep: a pattern or glob must not hold a NUL character")
        command = _search(pattern, str(target.relative_to(self.root)), glob)
        try:
            with told("grep"):
                done = _run(command, self.root)
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"grep took over {GREP_SECONDS} s: name a smaller folder or a simpler pattern") from error
        if done.returncode > 1 and not done.stdout:
            raise ToolError(f"grep: {done.stderr.decode('utf-8', 'replace').strip()[:300]}")
        hits = [line.removeprefix("./") for line in done.stdout.decode("utf-8", "replace").splitlines()]
        return hits_text(hits, GREP_HITS)

    def output_file(self, number: int) -> Path:
        """Where the full output of a command goes; nothing that a command left there is written through."""
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
            listed = sorted(scanned, key=lambda entry: entry.name)
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
        return target


def _as_here(path: str) -> str:
    """A path as a command sees it, where its workspace has a place of its own, is meant as one from the top."""
    inside = f"{INSIDE}/"
    return f"{path}/".removeprefix(inside).strip("/") or "." if f"{path}/".startswith(inside) else path


def _own_folder(folder: Path) -> Path:
    """A folder of the harness. Whatever else a command left in its place is not written through, and goes."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(folder).st_mode):
            return folder
        folder.unlink()
    folder.mkdir(exist_ok=True)
    return folder


def _run(command: list[str], cwd: Path) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=GREP_SECONDS, check=False
    )


def _search(pattern: str, path: str, glob: str | None) -> list[str]:
    """The search as a process of its own: a pattern that explodes costs its time limit, not our heartbeats."""
    if shutil.which("rg"):
        command = ["rg", "--no-config", "--no-heading", "--with-filename", "--line-number", "--color=never", "--hidden"]
        command += ["--sort=path", "--no-require-git", "--no-ignore-parent", "--no-ignore-global"]
        command += [f"--glob={glob}"] if glob else []
        command += ["--glob=!.git", f"--glob=!/{HARNESS_FOLDER}"] if not path.startswith(HARNESS_FOLDER) else []
        return [*command, "-e", pattern, "--", path]
    command = ["grep", "-rnHIE", "--exclude-dir=.git", f"--exclude-dir={HARNESS_FOLDER}"]
    command += [f"--include={glob}"] if glob else []
    return [*command, "-e", pattern.replace("\\d", "[0-9]"), "--", path]


def hits_text(hits: list[str], limit: int) -> str:
    """Search hits as the model sees them, each line cut, and whether there are more."""
    if not hits:
        return "[no match]"
    shown = [cut(hit, LINE_OF_A_HIT) for hit in hits[:limit]]
    more = [f"[at least {len(hits) - limit} more: narrow the pattern, the path or the glob]"] * (len(hits) > limit)
    return cut("\n".join([*shown, *more]), EXCERPT_CHARS)
