"""The first syntax error of a text, for the kinds of files that can be looked at without running anything."""

import json
import warnings

MAX_CHARS = 256 * 1024
"""A larger file is not looked at."""

DEPTH_ERRORS = (RecursionError, MemoryError)


def kind_of(path: str) -> str:
    """The kind of file that a path's name says, such as `py`."""
    return path.rpartition(".")[2].lower()


def first_error(path: str, text: str) -> str:
    """The first syntax error, with its line. Empty when there is none, or no cheap parser for this kind of file.

    Takes up to 3 s of processor time for `MAX_CHARS` characters of a hostile text, and most parsers hold the
    interpreter's lock all the time; see `apart`.
    """
    if len(text) > MAX_CHARS:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _parse(kind_of(path), text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except ValueError as error:
        return str(error)
    except DEPTH_ERRORS:
        return "nested too deep to be read"
    return ""


def _parse(kind: str, text: str) -> None:
    # Imported where they are used: most processes that look at a text need one of them.
    match kind:
        case "py" | "pyi":
            import ast

            ast.parse(text)
        case "json":
            json.loads(text)
        case "toml":
            import tomllib

            tomllib.loads(text)
