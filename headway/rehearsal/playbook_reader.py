"""Reads playbooks, and tells at once everything that is wrong with one."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headway.domain.errors import UserError
from headway.rehearsal.fault import Fault
from headway.rehearsal.generator import NAME, generate
from headway.rehearsal.latency import Lognormal
from headway.rehearsal.playbook import ELSE, PlannerScript, Playbook, Script, Step, TaskScript, Tokens, ToolUse
from headway.rehearsal.shape import Shape

GENERATE = "generate"

ToolNames = Mapping[str, frozenset[str]]
"""The names of the tools of a `planner` and of a `worker`."""

ANY_TOOL: ToolNames = {}
"""No name of a tool is checked."""

_Model = TypeVar("_Model", bound=BaseModel)

_PARTS: dict[str, type[BaseModel]] = {
    "planners": PlannerScript,
    "tasks": TaskScript,
    "calls": Step,
    "otherwise": Step,
    "tokens": Tokens,
    "tools": ToolUse,
    "faults": Fault,
    "Lognormal": Lognormal,
}


def read_playbook(path: Path, tools: ToolNames = ANY_TOOL) -> Playbook:
    """The playbook in a file, whose steps call only `tools`.

    Raises:
        UserError: It cannot be read, or is none; every problem on a line of its own.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    return parse_playbook(text, str(path), tools)


def parse_playbook(text: str, where: str = "playbook", tools: ToolNames = ANY_TOOL) -> Playbook:
    """The playbook that `text` holds, or the one it says to generate; `where` opens the messages.

    Raises:
        UserError: It is none; every problem on a line of its own.
    """
    raw = _yaml(text, where)
    if not isinstance(raw, dict) or GENERATE not in raw:
        return _with_known_tools(_checked(Playbook, raw, where), where, tools)
    shape = _checked(Shape, raw[GENERATE], f"{where}: {GENERATE}")
    own = {"name": NAME} | {name: value for name, value in raw.items() if name != GENERATE}
    beside = sorted(set(own) - {"name", "model", "faults"})
    if beside:
        raise UserError(
            f"{where}: {', '.join(beside)}: cannot stand beside '{GENERATE}'",
            f"Beside it stand name, model and faults; latency, tokens and seed belong into '{GENERATE}'.",
        )
    frame = _checked(Playbook, own, where)
    return generate(shape, name=frame.name, model=frame.model, faults=frame.faults)


def _with_known_tools(playbook: Playbook, where: str, tools: ToolNames) -> Playbook:
    """The playbook itself.

    Raises:
        UserError: A step calls a tool that its agent is not offered; every such call on a line of its own.
    """
    if not tools:
        return playbook
    scripts: list[tuple[str, Script, str]] = []
    scripts += [(f"planners[{at}]", each, "planner") for at, each in enumerate(playbook.planners)]
    scripts += [(f"tasks[{at}]", each, "worker") for at, each in enumerate(playbook.tasks)]
    lines = [
        f"{where}: {place}.calls[{number}]: {_misnamed(name, agent, tools)}"
        for place, script, agent in scripts
        for number, step in enumerate(script.calls)
        for name in _unknown(step, tools[agent])
    ]
    if lines:
        raise UserError("\n".join(lines), "A tool that no agent has is scripted as the fault `unknown_tool`.")
    return playbook


def _misnamed(name: str, agent: str, tools: ToolNames) -> str:
    offered = tools[agent]
    other = next((each for each, names in tools.items() if name in names), None)
    if other is not None:
        return f"'{name}' is a tool of a {other}, not of a {agent}"
    near = difflib.get_close_matches(name, offered, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"it may be one of {', '.join(sorted(offered))}"
    return f"'{name}' is not a tool of a {agent}; {hint}"


def _unknown(step: Step, offered: frozenset[str]) -> list[str]:
    """Tools that a reply calls, or its `else`, and that are not offered."""
    names = [use.name for use in step.tools if use.name not in offered]
    return names + (_unknown(step.otherwise, offered) if step.otherwise is not None else [])


def parse_shape(text: str, where: str = "shape") -> Shape:
    """The shape that `text` tells as `tasks=40,levels=3,latency_ms=[5, 20]`.

    Raises:
        UserError: It tells none; every problem on a line of its own.
    """
    return _checked(Shape, _yaml(f"{{{text.replace('=', ': ')}}}", where), where)


def _yaml(text: str, where: str) -> Any:
    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise UserError(f"{where}: is not YAML: {error}") from error


def _checked(model: type[_Model], raw: Any, where: str) -> _Model:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [f"{where}: {_say(detail, model)}" for detail in error.errors(include_url=False)]
        raise UserError("\n".join(dict.fromkeys(lines))) from error


def _say(detail: ErrorDetails, model: type[BaseModel]) -> str:
    where, unknown = detail["loc"], str(detail["loc"][-1]) if detail["loc"] else ""
    names = [ELSE if part == "otherwise" else part for part in where]
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in names).removeprefix(".")
    match detail["type"]:
        case "extra_forbidden":
            fields = _fields_at([part for part in where[:-1] if isinstance(part, str)], model)
            near = difflib.get_close_matches(unknown, fields, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it may be one of {', '.join(fields)}"
            return f"{shown}: is not a field; {hint}"
        case "missing":
            return f"{shown}: is required"
        case _:
            words = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
            return f"{shown}: {words}" if shown else words


def _fields_at(path: list[str], model: type[BaseModel]) -> list[str]:
    found = _PARTS.get(path[-1], model) if path else model
    fields = [ELSE if name == "otherwise" else name for name in found.model_fields]
    return [*fields, GENERATE] if found is Playbook else fields
