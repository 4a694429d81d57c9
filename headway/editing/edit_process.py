"""Edits and parses texts that a model or a repository wrote, so that no text holds up the other agents of this process.

A parser in C holds the interpreter's lock until it is done, and an edit of megabytes takes seconds and hundreds of
megabytes. So only small texts are handled here. Larger ones go to a process of their own, within the agent's bounds.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headway.domain.errors import ToolError
from headway.editing.edit import Edited, apply_edit
from headway.editing.hunks import Hunk, apply_hunks
from headway.editing.syntax import MAX_CHARS, first_error, kind_of
from headway.system.bounded import ProgramOutput, Within, bounded_by, read_from, refuse_unfinished
from headway.system.excerpt import cut

EDITED_HERE = 48 << 10
"""Bytes of a file and of its change that are edited in this process: at most 100 ms of processor time."""

PARSED_HERE = {"py": 12 << 10, "pyi": 12 << 10, "json": 64 << 10, "toml": 2 << 10}
"""Characters by kind of file that are parsed in this process: the parser holds the lock for at most 50 ms. The time of
one for TOML grows with the square of a key's length."""

SECONDS = 20.0
"""Time that an edit may take in a process of its own."""

MOST_BYTES = 64 << 20
ERROR_CHARS = 300
_ROOT = str(Path(__file__).parent.parent.parent)
_CHILD = "import sys; sys.path.append(sys.argv[1]); from headway.editing.edit_process import main; main()"
_KEPT = ("PATH", "LD_LIBRARY_PATH")
"""Variables without which Python may not start; no other one is passed on."""


@dataclass(frozen=True)
class Replacement:
    """A change by `edit_file`."""

    old: str
    new: str
    replace_all: bool = False


Change = Replacement | tuple[Hunk, ...]


@dataclass(frozen=True)
class Made:
    """A file after a change.

    Attributes:
        raw: Its content.
        shown: The first changed pieces with some lines around them.
        how: The way in which the places of the change were found.
    """

    raw: bytes
    shown: str
    how: str


@dataclass(frozen=True)
class EditProcess:
    """Edits and parses for one agent.

    Attributes:
        within: Bounds of the process that does the work.
        seconds: Time that it may take.
    """

    within: Within
    seconds: float = SECONDS

    def change(self, raw: bytes, change: Change, pieces: int) -> Made:
        """Change the content of a file.

        Args:
            raw: The content; bytes that are no UTF-8 stay as they are.
            change: The replacement, or the hunks of a patch.
            pieces: Changed pieces that are shown.

        Raises:
            ToolError: The change does not fit, or took too much time or memory.
            TransientError: No process could be started within the agent's bounds.
        """
        if len(raw) + _size(change) <= EDITED_HERE:
            return _made(raw, change, pieces)
        kind = "edit" if isinstance(change, Replacement) else "patch"
        given = asdict(change) if isinstance(change, Replacement) else list(map(_fields_of, change))
        answer, made = self._ask({"do": kind, "change": given, "pieces": pieces}, raw)
        return Made(made, answer["shown"], answer["how"])

    def first_error(self, path: str, text: str) -> str:
        """The first syntax error of a file, with its line; empty when none is found in time."""
        most = PARSED_HERE.get(kind_of(path))
        if len(text) > MAX_CHARS or most is None:
            return ""
        if len(text) <= most:
            return cut(first_error(path, text), ERROR_CHARS)
        asked = {"do": "parse", "path": path[-10:]}
        try:
            answer, _ = self._ask(asked, text.encode("utf-8", "surrogateescape"))
        except ToolError:
            return ""
        return cut(str(answer["error"]), ERROR_CHARS)

    def _ask(self, asked: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
        """The answer of a separate process, and the content that it made."""
        argv = (sys.executable, "-I", "-S", "-X", "utf8", "-c", _CHILD, _ROOT)
        head = json.dumps(asked).encode() + b"\n"
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        with self.within() as within:
            bounds = bounded_by(within, self.seconds)
            said = read_from(argv, bounds=bounds, most=MOST_BYTES, env=env, cwd="/", given=(head, content))
        refuse_unfinished(said, bounds, "the change", less="change less of it", smaller="change less of it")
        return _read(said)


def _read(said: ProgramOutput) -> tuple[dict[str, Any], bytes]:
    end = said.out.find(b"\n")
    if said.code or said.end != "itself" or end < 0:
        raise RuntimeError(f"the process that changes texts failed ({said.code}): {said.err[-ERROR_CHARS:]}")
    answer: dict[str, Any] = json.loads(said.out[:end])
    if "refused" in answer:
        raise ToolError(answer["refused"])
    return answer, said.out[end + 1 :]


def _size(change: Change) -> int:
    if isinstance(change, Replacement):
        return len(change.old) + len(change.new)
    return sum(len(text) + 1 for hunk in change for _, text in hunk.lines)


def _made(raw: bytes, change: Change, pieces: int) -> Made:
    text = raw.decode("utf-8", "surrogateescape")
    edited = _edited(text, change)
    return Made(edited.text.encode("utf-8", "surrogateescape"), edited.shown(pieces), edited.how)


def _edited(text: str, change: Change) -> Edited:
    if isinstance(change, Replacement):
        return apply_edit(text, change.old, change.new, replace_all=change.replace_all)
    return apply_hunks(text, change)


def _fields_of(hunk: Hunk) -> list[Any]:
    return [hunk.scopes, hunk.lines, hunk.at_end, hunk.number]


def _hunk_of(fields: list[Any]) -> Hunk:
    scopes, lines, at_end, number = fields
    return Hunk(tuple(scopes), tuple((sign, text) for sign, text in lines), at_end, number)


def main() -> None:
    """Answer one request that stands on standard input, on standard output."""
    head, _, content = sys.stdin.buffer.read().partition(b"\n")
    asked = json.loads(head)
    made = b""
    try:
        match asked["do"]:
            case "parse":
                answer = {"error": first_error(asked["path"], content.decode("utf-8", "surrogateescape"))}
            case do:
                given = asked["change"]
                change = Replacement(**given) if do == "edit" else tuple(map(_hunk_of, given))
                done = _made(content, change, asked["pieces"])
                answer, made = {"shown": done.shown, "how": done.how}, done.raw
    except ToolError as error:
        answer = {"refused": str(error)}
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
    sys.stdout.buffer.write(made)
    sys.stdout.buffer.flush()
