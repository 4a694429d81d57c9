"""The first syntax error of a text, for the kinds of files that can be looked at without running anything."""

import ast
import json
import tomllib
import warnings

MAX_CHARS = 256 * 1024
"""A larger file would hold up every agent of the process for too long."""

DEPTH_ERRORS = (RecursionError, MemoryError)


def first_error(path: str, text: str) -> str:
    """What a parser says first, with its line; empty where it says nothing, or there is no cheap parser."""
    if len(text) > MAX_CHARS:
        return ""
    kind = path.rpartition(".")[2].lower()
    try:
        match kind:
            case "py" | "pyi":
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    ast.parse(text)
            case "json":
                json.loads(text)
            case "toml":
                tomllib.loads(text)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except ValueError as error:
        return str(error)
    except DEPTH_ERRORS:
        return "nested too deep to be read"
    return ""
