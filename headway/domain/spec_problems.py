"""The messages for an input that is none: each names its field, and what it should be."""

import difflib
import json
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

SHOWN_CHARS = 60
"""Characters of a value that a message repeats."""


def problems(error: ValidationError, model: type[BaseModel]) -> tuple[str, ...]:
    """Every problem in words; those that say the same twice come once."""
    said = (_say(detail, model) for detail in error.errors(include_url=False))
    return tuple(dict.fromkeys(problem for problem in said if problem))


def kind_words(raw: Any) -> str:
    """The kind of a value, in words."""
    names = {type(None): "nothing", list: "a list", dict: "an object", str: "a string", bool: "a truth value"}
    return names.get(type(raw), "a number")


def _say(detail: ErrorDetails, spec: type[BaseModel]) -> str | None:
    """The problem in words; None where another detail of the same field says it."""
    path, model, rest = _locate(detail["loc"], spec)
    if rest and detail["type"] == "literal_error":
        return None  # the other branch of `number or "none"` says so
    match detail["type"]:
        case "extra_forbidden":
            return f"{path}: is not a field{_nearest(str(detail['loc'][-1]), model)}"
        case "missing" if not rest:
            return f"{path}: is required"
        case "string_too_short":
            return f"{path}: must not be empty"
        case kind if path.endswith("_per_round") and kind != "greater_than_equal":
            return f"{path}: must be two numbers, the smaller first"
        case "string_pattern_mismatch" if path.endswith(".endpoint"):
            return f"{path}: must be a name that the worker processes' environment declares, never an address"
        case "value_error":
            return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
    must = _must(detail)
    none = ' or "none"' if rest and isinstance(rest[0], str) else ""
    return f"{path}: {must}{none}, got {shown(detail['input'])}"


def _must(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "greater_than":
            return f"must be more than {context['gt']:g}"
        case "less_than_equal":
            return f"must be at most {int(context['le']):,}"
        case "string_too_long":
            return f"must have at most {context['max_length']} characters"
        case "string_pattern_mismatch":
            return "must look like 'Name <mail@example.org>'"
        case "string_type":
            return "must be a string"
        case "string_unicode":
            return "must be text in UTF-8"
        case "int_type":
            return "must be a whole number"
        case "float_type" | "finite_number":
            return "must be a number"
        case "model_type":
            return "must be an object"
        case _:
            return detail["msg"].replace("Input should", "must")


def shown(value: Any) -> str:
    """A value as a message repeats it."""
    if value is None or isinstance(value, list | tuple | dict):
        return kind_words(value)
    text = json.dumps(value, ensure_ascii=not str(value).isprintable())
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _locate(loc: tuple[int | str, ...], spec: type[BaseModel]) -> tuple[str, Any, tuple[int | str, ...]]:
    """The path of the field, the model that it should belong to, and what pydantic says beyond: branches and places."""
    path: list[str] = []
    inside: Any = spec
    model = inside
    while inside is not None and len(path) < len(loc):
        model = inside
        name = str(loc[len(path)])
        path.append(name if name.isprintable() else shown(name))
        field = model.model_fields.get(name)
        inside = _model_in(field.annotation) if field else None
    return ".".join(path) or "input", model, loc[len(path) :]


def _model_in(annotation: Any) -> Any:
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if hasattr(kind, "model_fields")), None)


def _nearest(name: str, model: Any) -> str:
    names = list(model.model_fields)
    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; it may be one of {', '.join(names)}"
