"""The user's input of a run: one JSON object, validated in one place, refused with one readable message.

Only `repo` and `instructions` are required. Unknown fields are refused, and so is a field that this version does not
act on yet: a limit that is accepted and ignored would cost its user money.
"""

import difflib
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails

from headway.domain.budget import UNLIMITED
from headway.domain.errors import UserError

MAX_INSTRUCTIONS_BYTES = 256 * 1024
"""Keeps the input of `temporal workflow start` well under the server's limit of 2 MiB for one payload."""

NOT_IN_THIS_VERSION = frozenset(
    {
        "limits.usd",
        "limits.usd_per_hour",
        "limits.task_usd",
        "limits.agent_memory_mb",
        "policy.network",
        "policy.setup_env",
        "policy.read_only",
        "policy.wrap",
        "policy.forbidden_dependencies",
        "models.fixer",
        "models.compaction",
        "models.planner.price",
        "models.worker.price",
    }
)
"""Fields of the contract that a later version acts on."""

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Command = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000)]
Count = Annotated[int, Field(ge=1, le=UNLIMITED, strict=True)]
Bounded = Count | Literal["none"]
Range = Annotated[tuple[Count, Count], Field(description="two numbers, the smaller first")]


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Commit(_Input):
    """Who authors the commits that land; without it, the identity of the user who runs the worker process."""

    author: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^<>\n]+ <[^<>\s]+>$")]


class Limits(_Input):
    """What a run may use. Every default is finite; "none" lifts a limit where that makes sense.

    Attributes:
        depth: Levels of planners; the root planner is the first.
        tasks: Worker tasks of the whole run.
        open_tasks: Tasks that one planner may have open at once.
        tokens: Input and output tokens of the whole run.
        hours: Wall-clock hours from the start of the run.
        attempts: How often a task is tried whose worker failed.
        task_minutes: Active minutes of one worker: model calls and commands, never waiting.
        task_tokens: Tokens of one task, over all its attempts.
        command_seconds: Longest run time of one command.
    """

    depth: Annotated[int, Field(ge=1, le=16, strict=True)] = 4
    tasks: Bounded = 1000
    open_tasks: Annotated[int, Field(ge=1, le=1000, strict=True)] = 100
    tokens: Bounded = 20_000_000
    usd: Annotated[float, Field(gt=0)] | Literal["none"] = 20.0
    usd_per_hour: Annotated[float, Field(gt=0)] | Literal["none"] = "none"
    hours: Annotated[float, Field(gt=0, le=24 * 365)] | Literal["none"] = 24.0
    attempts: Annotated[int, Field(ge=1, le=10, strict=True)] = 2
    task_minutes: Annotated[float, Field(gt=0)] | Literal["none"] = 60.0
    task_tokens: Bounded = 2_000_000
    task_usd: Annotated[float, Field(gt=0)] | Literal["none"] = 2.0
    command_seconds: Annotated[int, Field(ge=1, le=86_400, strict=True)] = 120
    agent_memory_mb: Count = 2048


class Policy(_Input):
    """What every agent of the run is told and held to."""

    network: Literal["none", "setup", "tasks"] = "setup"
    setup_env: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    wrap: Command | None = None
    forbidden_dependencies: tuple[str, ...] = ()
    dependencies: str = ""
    performance: str = ""
    tasks_per_round: Range = (5, 30)
    root_tasks_per_round: Range = (20, 100)

    @field_validator("tasks_per_round", "root_tasks_per_round")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("must be two numbers, the smaller first")
        return value


class ModelChoice(_Input):
    """A model by name, with the reasoning effort to ask for where the model knows one."""

    model: Text | None = None
    effort: Text | None = None
    price: dict[str, float] | None = None


class Models(_Input):
    """The model of each role; what is left out comes from the worker process's environment."""

    planner: ModelChoice = ModelChoice()
    worker: ModelChoice = ModelChoice()
    fixer: ModelChoice = ModelChoice()
    compaction: ModelChoice = ModelChoice()


class RunSpec(_Input):
    """Everything that a user says about a run."""

    repo: Text
    instructions: Text
    base: Text | None = None
    setup: Command | None = None
    check: Command | None = None
    commit: Commit | None = None
    limits: Limits = Limits()
    policy: Policy = Policy()
    models: Models = Models()

    @field_validator("instructions")
    @classmethod
    def _fits(cls, value: str) -> str:
        if len(value.encode()) > MAX_INSTRUCTIONS_BYTES:
            raise ValueError(f"must be at most {MAX_INSTRUCTIONS_BYTES // 1024} KB")
        return value

    @field_validator("base")
    @classmethod
    def _is_a_revision(cls, value: str | None) -> str | None:
        if value is not None and (value.startswith("-") or re.search(r"[\s\x00-\x1f]", value)):
            raise ValueError("must be a branch, a tag or a commit")
        return value


def parse_spec(raw: Any) -> RunSpec:
    """The run's spec from the untyped input of the workflow.

    Raises:
        UserError: With every problem on a line of its own, each naming the field and what it should be.
    """
    if not isinstance(raw, dict):
        raise UserError(
            f"input: must be one JSON object with at least 'repo' and 'instructions', got {_kind(raw)}",
            """Start it with --input '{"repo": "PATH OR URL", "instructions": "TEXT"}'.""",
        )
    problems = [f"{path}: not in this version" for path in sorted(_paths(raw) & NOT_IN_THIS_VERSION)]
    try:
        spec = RunSpec.model_validate(raw)
    except ValidationError as error:
        problems += [_say(detail) for detail in error.errors(include_url=False)]
    if problems:
        raise UserError("input: " + "\n".join(dict.fromkeys(problems)), "Nothing was started and nothing was changed.")
    return spec


def finite(limit: float | Literal["none"]) -> int:
    """A limit as a number: "none" becomes `UNLIMITED`."""
    return UNLIMITED if limit == "none" else int(limit)


def _kind(raw: Any) -> str:
    names = {type(None): "nothing", str: "a string", list: "a list", bool: "a truth value", int: "a number"}
    return names.get(type(raw), type(raw).__name__)


def _paths(raw: dict[str, Any], prefix: str = "") -> set[str]:
    paths: set[str] = set()
    for name, value in raw.items():
        paths.add(f"{prefix}{name}")
        if isinstance(value, dict):
            paths |= _paths(value, f"{prefix}{name}.")
    return paths


def _say(detail: ErrorDetails) -> str:
    where = [
        part for part in detail["loc"] if isinstance(part, str) and not part.startswith(("constrained", "literal"))
    ]
    path = ".".join(part for part in where if part not in {"int", "float"}) or "input"
    match detail["type"]:
        case "missing":
            return f"{path}: is required"
        case "extra_forbidden":
            return f"{path}: is not a field{_nearest(where)}"
        case "string_too_short":
            return f"{path}: must not be empty"
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            return f"{path}: {detail['msg'].removeprefix('Input ').replace('should', 'must')}, got {detail['input']!r}"
        case "string_pattern_mismatch" if path == "commit.author":
            return f"{path}: must look like 'Name <mail@example.org>'"
        case "literal_error" if detail["loc"][-1] != where[-1]:
            return f"""{path}: a limit may also be "none" """.rstrip()
        case _:
            return f"{path}: {detail['msg'].removeprefix('Value error, ').replace('Input should', 'must')}"


def _nearest(where: list[str]) -> str:
    model: Any = RunSpec
    for part in where[:-1]:
        model = model.model_fields[part].annotation if part in model.model_fields else model
    names = list(getattr(model, "model_fields", {}))
    near = difflib.get_close_matches(where[-1], names, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; it may be one of {', '.join(names)}"
