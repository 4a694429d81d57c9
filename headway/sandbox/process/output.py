"""A command's output: a bounded part of it is kept, and made readable for a model once the command is over."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

SHOWN_CHARS = 16 * 1024
"""Characters of the head, and as many of the tail, that are shown."""

LINE_CHARS = 2000
FILE_BYTES = 8 * 1024 * 1024

# More bytes are kept than are shown, since progress bars and terminal codes vanish.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEPT_BYTES = 8 * SHOWN_CHARS
_UNSURE_BYTES = 2 * SHOWN_CHARS

_TERMINAL_CODES = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"  # titles, links
    r"|[ -/]*[0-~]"  # the rest
    r")"
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Capture:
    """Takes a command's output in as it comes.

    Args:
        file: File for the first 8 MB, byte for byte; fewer when the disk takes no more.
        redact: Takes secrets out of the text, before any line is cut.

    Attributes:
        total: Bytes so far.
    """

    def __init__(self, file: Path | None = None, redact: Callable[[str], str] | None = None) -> None:
        self.total = 0
        self._redact = redact
        self._head = bytearray()
        self._tail = bytearray()
        # Opened before the command begins: the command may put a link in place of the folder, which an open one
        # ignores.
        self._folder = None if file is None else _opened(file.parent)
        self._name = None if file is None or self._folder is None else file.name
        self._file: IO[bytes] | None = None

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        if self._name is not None and self.total < FILE_BYTES:
            self._write(chunk[: FILE_BYTES - self.total])
        self.total += len(chunk)
        room = _KEPT_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk
        if len(self._tail) > 2 * _KEPT_BYTES:  # cut seldom: each cut moves the rest
            del self._tail[:-_KEPT_BYTES]

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._folder is not None:
            os.close(self._folder)
            self._folder, self._name = None, None

    def text(self) -> tuple[str, bool]:
        """The output for a model, and whether anything was left out of it."""
        kept = len(self._head) + min(len(self._tail), _KEPT_BYTES)
        lost = self.total - kept
        if not lost:
            return _shown(*readable(bytes(self._head + self._tail[-_KEPT_BYTES:]), self._redact))
        # The text at the gap may be a part of a secret, which is not found without the rest.
        unsure = 0 if self._redact is None else _UNSURE_BYTES
        head, _ = readable(bytes(self._head[: _KEPT_BYTES - unsure]), self._redact)
        tail, _ = readable(bytes(self._tail[-_KEPT_BYTES + unsure :]), self._redact)
        return _join(head, tail, f"about {lost + 2 * unsure} bytes"), True

    def _write(self, chunk: bytes) -> None:
        assert self._name is not None
        try:
            if self._file is None:
                made = os.open(self._name, _NEW, 0o644, dir_fd=self._folder)
                self._file = os.fdopen(made, "wb", buffering=0)
            self._file.write(chunk)
        except OSError:  # a full disk must not keep the output itself from the model
            self._name = None


def _opened(folder: Path) -> int | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None


def readable(output: bytes, redact: Callable[[str], str] | None = None) -> tuple[str, bool]:
    """Bytes of a terminal as text, and whether a line had to be cut."""
    text = _TERMINAL_CODES.sub("", output.decode("utf-8", "replace"))
    lines = [_UNPRINTABLE.sub("", _last_state(line)) for line in text.split("\n")]
    if redact is not None:
        lines = redact("\n".join(lines)).split("\n")
    cut = any(len(line) > LINE_CHARS for line in lines)
    return "\n".join(map(_short, lines)) if cut else "\n".join(lines), cut


def _last_state(line: str) -> str:
    """The visible rest of a line after its carriage returns: progress overwrites itself."""
    return line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line


def _short(line: str) -> str:
    over = len(line) - LINE_CHARS
    return line if over <= 0 else f"{line[:LINE_CHARS]} [... {over} more characters]"


def _shown(text: str, cut: bool) -> tuple[str, bool]:
    over = len(text) - 2 * SHOWN_CHARS
    if over <= 0:
        return text, cut
    return _join(text, text, f"about {over} characters"), True


def _join(head: str, tail: str, what: str) -> str:
    """The start of one text and the end of another, at whole lines where there are any."""
    start, end = head[:SHOWN_CHARS], tail[-SHOWN_CHARS:]
    start = start[: start.rfind("\n") + 1] or start
    first = end.find("\n") + 1
    end = end[first:] if first < len(end) else end
    return f"{start.removesuffix(chr(10))}\n[... {what} left out ...]\n{end}"
