"""The user's input of a run: one JSON object, validated in one place, refused with one readable message.

Only `repo` and `instructions` are required. Unknown fields are refused, and so is a field that this version does not
act on yet: a limit that is accepted and ignored would cost its user money.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from headway.domain.errors import UserError
from headway.domain.limit_table import Count, Limits
from headway.domain.spec_problems import kind_words, problems, shown

MAX_INSTRUCTIONS_BYTES = 256 * 1024
"""Keeps the input of `temporal workflow start` well under the server's limit of 2 MiB for one payload."""

OUR_VARIABLES = ("OPENAI_", "TEMPORAL_", "HEADWAY_")
"""Prefixes of the variables that hold the keys of the worker processes."""


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _absolute(text: str) -> str:
    if not _without_nul(text).startswith(("/", "~/")):
        raise ValueError("must be an absolute path, or one that begins with ~/")
    return text


def _may_be_given(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("must be the name of a variable")
    if name.startswith(OUR_VARIABLES):
        raise ValueError(f"must not name a variable of Headway's own ({', '.join(OUR_VARIABLES)}...)")
    return name


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_without_nul)]
Command = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8_000), AfterValidator(_without_nul)
]
Rule = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\s*?\[]+\*?$")]
"""The name of a dependency; `*` at its end stands for the rest of it."""
Folder = Annotated[str, StringConstraints(max_length=1_000), AfterValidator(_absolute)]
Variable = Annotated[str, StringConstraints(max_length=200), AfterValidator(_may_be_given)]
CACHES = ("pip", "uv", "npm", "ccache", "sccache", "cargo", "go")
"""Build tools that can share one cache between agents."""

Price = Annotated[float, Field(ge=0, le=1_000_000, strict=True, allow_inf_nan=False)]
Range = Annotated[tuple[Count, Count], Field(description="two numbers, the smaller first")]


class _Input(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Commit(_Input):
    """Author of the commits that land; without it, the identity of the user who runs the worker process."""

    author: Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^<>\x00-\x1f]+ <[^<>\s\x00-\x1f]+>$")]


@dataclass(frozen=True)
class SetupRights:
    """Rights of one run of `setup`.

    Attributes:
        withheld: Rights that the user gives `setup` but that it lacks here, because agents may have written the files.
        shares_caches: It may use caches that agents have written: a tool may run code that stands in its cache, such as
            a compiler's wrapper.
    """

    network: bool
    secrets: bool
    withheld: tuple[str, ...] = ()
    shares_caches: bool = True


class Policy(_Input):
    """Rules that every agent of the run is told and held to.

    Attributes:
        network: Commands that reach out: none, only `setup`, or all.
        setup_env: Variables of the worker processes whose values only `setup` gets.
        setup_trust: Time for which `setup` may have these and the network. `base`: while the files are those of the
            base, which no agent wrote. `network`: later it keeps the network alone. `full`: both, always.
        read_only: More folders that commands may read.
        wrap: A command that every command but `setup` runs through; it is given that one as its arguments.
    """

    network: Literal["none", "setup", "tasks"] = "setup"
    setup_env: Annotated[tuple[Variable, ...], Field(max_length=50)] = ()
    setup_trust: Literal["base", "network", "full"] = "base"
    read_only: Annotated[tuple[Folder, ...], Field(max_length=50)] = ()
    wrap: Command | None = None
    caches: tuple[str, ...] = ()
    forbidden_dependencies: Annotated[tuple[Rule, ...], Field(max_length=200)] = ()
    dependencies: str = ""
    performance: str = ""
    tasks_per_round: Range = (5, 30)
    root_tasks_per_round: Range = (20, 100)

    def setup_rights(self, *, of_base: bool) -> "SetupRights":
        """The rights of a run of `setup`.

        Args:
            of_base: Nothing that an agent wrote is among the files that it runs in.
        """
        wants_network = self.network in {"setup", "tasks"}
        network = self.network == "tasks" or (wants_network and (of_base or self.setup_trust != "base"))
        secrets = bool(self.setup_env) and (of_base or self.setup_trust == "full")
        withheld = (("network",) if wants_network and not network else ()) + (
            ("policy.setup_env",) if self.setup_env and not secrets else ()
        )
        trusted = self.setup_trust == "full" or not (secrets or (network and self.network == "setup" and of_base))
        return SetupRights(network=network, secrets=secrets, withheld=withheld, shares_caches=trusted)

    @field_validator("caches")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = next((name for name in value if name not in CACHES), None)
        if unknown is not None:
            raise ValueError(f"may hold {', '.join(CACHES)}, got {shown(unknown)}")
        return tuple(dict.fromkeys(value))

    @field_validator("tasks_per_round", "root_tasks_per_round")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError("must be two numbers, the smaller first")
        return value


class ModelPrice(_Input):
    """Dollars for a million tokens of each kind.

    Attributes:
        cached: Input read from the prompt cache; as `input` where nothing is said.
        written: Input written to it; as `input` where nothing is said.
    """

    input: Price
    output: Price
    cached: Price | None = None
    written: Price | None = None


class ModelChoice(_Input):
    """A model by name, with the reasoning effort to ask for where the model knows one, and its price.

    Attributes:
        endpoint: A name that the worker processes' environment declares. Never an address: a run that brought its own
            could have the operator's key sent anywhere.
    """

    model: Text | None = None
    endpoint: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")] | None = None
    effort: Text | None = None
    price: ModelPrice | None = None


class Models(_Input):
    """The model of each role; a role that is left out gets that of the worker process's environment."""

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
            f"input: must be one JSON object with at least 'repo' and 'instructions', got {kind_words(raw)}",
            """Start it with --input '{"repo": "PATH OR URL", "instructions": "TEXT"}'.""",
        )
    try:
        return RunSpec.model_validate(raw)
    except ValidationError as error:
        said = "\n".join(problems(error, RunSpec))
        raise UserError(f"input: {said}", "Nothing was started and nothing was changed.") from error
