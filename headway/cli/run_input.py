"""The one JSON object that starts a run, put together from the command line and a file."""

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from headway.domain.errors import UserError
from headway.domain.ids import RunName, run_name_problem
from headway.domain.spec import parse_spec

_LONGEST_NAME = 4096
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[^/\\@]++@[^/\\:]++:|[A-Za-z0-9.-]{2,}:[^\\]")


def compose(file: Path | None, given: dict[str, str | None]) -> dict[str, Any]:
    """The run's input: that of `file`, with the command line's over it.

    Raises:
        UserError: For everything that the run itself would refuse, before anything is started.
    """
    raw = _read(file) if file is not None else {}
    raw |= {name: value for name, value in given.items() if value is not None}
    instructions = raw.get("instructions")
    if isinstance(instructions, str):
        raw["instructions"] = said(instructions)
    spec = parse_spec(raw)
    return raw | {"repo": _place(spec.repo)}


def said(instructions: str) -> str:
    """The instructions from the command line: a text, @FILE for the text in a file, - for standard input.

    Raises:
        UserError: They cannot be read, or are the name of a file without the @.
    """
    if instructions == "-":
        return read_stdin()
    if instructions.startswith("@"):
        return read_text(Path(instructions[1:]).expanduser())
    if _names_a_file(instructions):
        raise UserError(
            f"instructions: '{instructions}' looks like the name of a file.",
            f"Give @{instructions} for the text in it, or more than one word.",
        )
    return instructions


def _names_a_file(text: str) -> bool:
    word = text.strip()
    if not word or len(word.split()) > 1 or len(word) > _LONGEST_NAME:
        return False
    try:
        return word.lower().endswith((".md", ".txt", ".rst")) or Path(word).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def read_stdin() -> str:
    """Everything that standard input holds.

    Raises:
        UserError: It is no text, or a terminal, which would be waited for in silence.
    """
    if sys.stdin.isatty():
        raise UserError("standard input: is a terminal", "Redirect a file to it, or give @FILE.")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise UserError("standard input: is not UTF-8 text") from error


def name_for(raw: dict[str, Any], given: str | None, now: datetime) -> RunName:
    """The run's name: the one given, or one after the repository and the time.

    Raises:
        UserError: The given one cannot be a run's name.
    """
    if given is not None:
        problem = run_name_problem(given)
        if problem:
            raise UserError(f"--name: '{given}' {problem}")
        return RunName(given)
    base = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(str(raw["repo"])).name.removesuffix(".git")).strip("-_")
    return RunName(f"{base[:40] or 'run'}-{now:%m%d-%H%M%S}")


def _place(repo: str) -> str:
    """A path as every process finds it, and a URL as it is; the run says the rest."""
    if _REMOTE.match(repo) and not Path(repo).exists():
        return repo
    path = Path(repo).expanduser().absolute()
    if not path.exists():
        raise UserError(f"repo: {repo} is not there", "Give the path or the URL of a git repository.")
    return str(path.resolve())


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = orjson.loads(read_text(file))
    except orjson.JSONDecodeError as error:
        raise UserError(f"--input: {file} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise UserError(f"--input: {file} must hold one JSON object")
    return raw


def read_text(file: Path) -> str:
    """Text of a file.

    Raises:
        UserError: It cannot be read, or is no text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: is not UTF-8 text") from error
