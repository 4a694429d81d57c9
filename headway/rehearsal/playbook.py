"""A playbook: what each agent of a rehearsed run says, written down in YAML."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from headway.domain.errors import UserError

OWN_WORDS = "(rehearsal: "
"""Opens what the rehearsal says of its own accord; such a reply is no call of a playbook."""

Count = Annotated[int, Field(ge=0, strict=True)]
Positive = Annotated[int, Field(ge=1, strict=True)]
Latency = Count | tuple[Count, Count]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tokens(_Part):
    """What a reply claims to have used up; what is left out is made from the bytes."""

    input: Count | None = None
    output: Count | None = None


class ToolUse(_Part):
    """One tool call of a step."""

    name: str
    args: dict[str, Any]


class Step(_Part):
    """One reply of an agent.

    Attributes:
        tools: A list of `tool_name: {arguments}`.
        after_handoffs: A planner only: until its conversation tells of so many handoffs, it is made to wait.
        stop: Scripts misbehaviour: `length` cuts the reply, `refusal` refuses in `text`'s words, `empty` is silent.
        repeat: The step stands for so many equal ones.
    """

    text: str | None = None
    tools: tuple[ToolUse, ...] = ()
    tokens: Tokens = Tokens()
    latency_ms: Latency | None = None
    after_handoffs: Count = 0
    stop: Literal["length", "refusal", "empty"] | None = None
    repeat: Positive = 1

    @model_validator(mode="before")
    @classmethod
    def _short_tools(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and isinstance(raw.get("tools"), list):
            return raw | {"tools": [_tool_use(entry) for entry in raw["tools"]]}
        return raw

    @model_validator(mode="after")
    def _says_something(self) -> "Step":
        if not self.text and not self.tools and self.stop is None:
            raise ValueError("says nothing: give it 'text' or 'tools', or 'stop: empty' if that is meant")
        if self.text and self.text.startswith(OWN_WORDS):
            raise ValueError(f"'text' must not start with '{OWN_WORDS}', which is how the rehearsal itself speaks")
        return self


class PlannerScript(_Part):
    """What a planner says. `scope` is `root`, or text that the title of its scope contains."""

    scope: Annotated[str, Field(min_length=1)]
    calls: tuple[Step, ...]

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"planner '{self.scope}'"


class TaskScript(_Part):
    """What a worker says. `title` is a whole title, or a pattern with `*`, `?` or `[...]`."""

    title: Annotated[str, Field(min_length=1)]
    attempt: Positive | None = None
    calls: tuple[Step, ...]

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"task '{self.title}'" + (f" (attempt {self.attempt})" if self.attempt else "")

    @model_validator(mode="after")
    def _never_waits(self) -> "TaskScript":
        if any(step.after_handoffs for step in self.calls):
            raise ValueError("'after_handoffs' is for planners: nobody hands off to a task")
        return self


class Playbook(_Part):
    """A whole rehearsal.

    Attributes:
        model: The model's name in `/v1/models` and in every answer.
        latency_ms: How long a reply takes: a number, or two for a range, drawn by `seed` and the request's content.
        tokens_out: Output tokens of a reply that names none; without it, a quarter of its bytes.
    """

    name: Name
    model: str = "rehearsal"
    latency_ms: Latency = 0
    seed: int = 0
    tokens_out: Positive | None = None
    planners: tuple[PlannerScript, ...] = ()
    tasks: tuple[TaskScript, ...] = ()

    @property
    def scripts(self) -> tuple[PlannerScript | TaskScript, ...]:
        """Every script; its index names it in the ledger."""
        return (*self.planners, *self.tasks)


def read_playbook(path: Path) -> Playbook:
    """The playbook in a file.

    Raises:
        UserError: It cannot be read, or is none; every problem on a line of its own.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {error}") from error
    return parse_playbook(text, str(path))


def parse_playbook(text: str, where: str = "playbook") -> Playbook:
    """The playbook that `text` holds; `where` opens the messages.

    Raises:
        UserError: It is none; every problem on a line of its own.
    """
    try:
        raw = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        raise UserError(f"{where}: is no YAML: {error}") from error
    try:
        return Playbook.model_validate(raw)
    except ValidationError as error:
        lines = [f"{where}: {_say(detail)}" for detail in error.errors(include_url=False)]
        raise UserError("\n".join(dict.fromkeys(lines))) from error


def _tool_use(entry: Any) -> Any:
    if isinstance(entry, dict) and len(entry) == 1:
        name, args = next(iter(entry.items()))
        return {"name": name, "args": {} if args is None else args}
    raise ValueError("'tools' must be a list of 'tool_name: {arguments}', one tool an entry")


def _say(detail: ErrorDetails) -> str:
    where, unknown = detail["loc"], str(detail["loc"][-1]) if detail["loc"] else ""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")
    match detail["type"]:
        case "extra_forbidden":
            names = _fields_at([part for part in where[:-1] if isinstance(part, str)])
            near = difflib.get_close_matches(unknown, names, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it may be one of {', '.join(names)}"
            return f"{shown}: is not a field; {hint}"
        case "missing":
            return f"{shown}: is required"
        case _:
            words = detail["msg"].removeprefix("Value error, ").replace("Input should", "must")
            return f"{shown}: {words}" if shown else words


def _fields_at(path: list[str]) -> list[str]:
    parts: dict[str, type[BaseModel]] = {
        "planners": PlannerScript,
        "tasks": TaskScript,
        "calls": Step,
        "tokens": Tokens,
        "tools": ToolUse,
    }
    return list(parts[path[-1]].model_fields if path and path[-1] in parts else Playbook.model_fields)
