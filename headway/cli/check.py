"""`headway check`: finds the gaps in instructions, before a run spends anything."""

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from headway.cli.console import say
from headway.cli.run_input import read_stdin, read_text, said
from headway.domain.errors import UserError
from headway.domain.instructions import Lack, lacks
from headway.domain.spec import RunSpec, parse_spec
from headway.domain.words import counted

PAGE = "docs/instructions.md explains each."


def check(
    instructions: Annotated[
        str,
        typer.Argument(help="File with the instructions, or with a run's whole input as JSON; - for standard input."),
    ],
    input_file: Annotated[
        Path | None, typer.Option("--input", help="JSON file with more of the input: limits, policy, models.")
    ] = None,
) -> None:
    """Warn of gaps in instructions. Asks no model and starts nothing.

    Exits with 0, also with warnings, and with 2 when a run would refuse the input.
    """
    spec, whole = _spec(instructions, input_file)
    found = lacks(spec, whole=whole)
    for lack in found:
        say(_shown(lack))
    say(f"{counted(len(found), 'warning')}. {PAGE}" if found else "No warnings.")


def _shown(lack: Lack) -> str:
    return f"{lack.topic}: {lack.says}\n    {lack.remedy}"


def _spec(instructions: str, input_file: Path | None) -> tuple[RunSpec, bool]:
    """The run that would be, and whether more than its instructions is known."""
    text = _text(instructions)
    raw: dict[str, Any] = _table(read_text(input_file), str(input_file)) if input_file is not None else {}
    if text.lstrip().startswith("{"):
        raw |= _table(text, instructions)
    else:
        raw["instructions"] = text
    if isinstance(raw.get("instructions"), str):
        raw["instructions"] = said(raw["instructions"])
    whole = len(raw) > 1
    # The check of the instructions does not depend on the place of the repository.
    return parse_spec({"repo": "."} | raw), whole


def _text(named: str) -> str:
    return read_stdin() if named == "-" else read_text(Path(named.removeprefix("@")).expanduser())


def _table(text: str, name: str) -> dict[str, Any]:
    try:
        raw = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{name}: is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{name}: must hold one JSON object")
    return raw
