"""The limits of a run, each declared once.

A row of `Limits` holds all that is said of a limit: its field, type, default, unit and meaning, and whether it may
change while the run goes on. The input, the order `set_limits`, the options of `headway limits` and the table of
docs/operations.md are made from the rows. To add a limit, add its row, and read it where it is enforced.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from headway.domain.state.budget import MICRO, UNLIMITED

Count = Annotated[int, Field(ge=1, le=UNLIMITED, strict=True)]
Bounded = Count | Literal["none"]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Hours = Annotated[Positive, Field(le=24 * 365)]
Dollars = Annotated[Positive, Field(le=UNLIMITED // MICRO)]

Value = int | float | Literal["none"]


@dataclass(frozen=True)
class Row:
    """The description of a limit.

    Attributes:
        meaning: The bounded quantity with its unit, for the documentation. It may be Markdown.
        option: The same in a few words, for the option of `headway limits`; empty if it cannot change while a run goes
            on.
        lifted: The number that stands for "none" after a change, where agents wait for room under the limit: they see a
            limit that has room, and learn that the wait is over.
    """

    meaning: str
    option: str = ""
    lifted: float | None = None


class Limits(BaseModel):
    """Limits of a run. Every default but that of an hour is finite; "none" lifts a limit where that makes sense."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: Annotated[
        int, Field(ge=1, le=16, strict=True), Row("levels of planners; the root is the first. At most 16")
    ] = 4
    tasks: Annotated[Bounded, Row("worker tasks of the whole run", "Worker tasks of the whole run")] = 1000
    open_tasks: Annotated[
        int,
        Field(ge=1, le=1000, strict=True),
        Row("tasks that one planner may have open at once. At most 1000"),
    ] = 100
    tokens: Annotated[Bounded, Row("input and output of every model call of the run", "Tokens of the whole run")] = (
        20_000_000
    )
    cache_reads: Annotated[
        Literal["cost", "full"],
        Row(
            "how a token counts, for every limit on tokens, that a model reads from its cache: `cost`, as the part of "
            "a token that its price is, or a tenth where no price is known; `full`, as one"
        ),
    ] = "cost"
    usd_per_hour: Annotated[
        Dollars | Literal["none"],
        Row(
            "dollars in any hour, on each machine for itself; see [cost](#cost)",
            "Dollars in any hour on each machine",
            lifted=UNLIMITED / MICRO,
        ),
    ] = "none"
    usd: Annotated[
        Dollars | Literal["none"],
        Row("dollars of the whole run, by its models' prices; see [cost](#cost)", "Dollars of the whole run"),
    ] = 20.0
    hours: Annotated[
        Hours | Literal["none"],
        Row("wall-clock time from the start, downtime included", "Hours from the start of the run"),
    ] = 24.0
    attempts: Annotated[
        int, Field(ge=1, le=10, strict=True), Row("how often a task is tried whose worker failed. At most 10")
    ] = 2
    task_minutes: Annotated[
        Positive | Literal["none"],
        Row("active minutes of one attempt: model calls and commands, never waiting"),
    ] = 60.0
    task_tokens: Annotated[Bounded, Row("tokens of one task, over all its attempts")] = 2_000_000
    task_usd: Annotated[Dollars | Literal["none"], Row("dollars of one task, over all its attempts")] = 2.0
    command_seconds: Annotated[
        int,
        Field(ge=1, le=86_400, strict=True),
        Row("longest run of one command, `setup` and `check` included"),
    ] = 120
    agent_memory_mb: Annotated[
        int,
        Field(ge=64, le=1_048_576, strict=True),
        Row("memory of all commands of one agent together; see [resources](#resources)"),
    ] = 2048
    trunk_mb: Annotated[
        Bounded,
        Row(
            "what the trunk's files may grow by over those of the base; a landing beyond it is refused, and the worker "
            "is told. Landings of the same moment may pass together"
        ),
    ] = 2048

    def with_changes(self, changes: Mapping[str, Value]) -> "Limits":
        """The limits after the user changed some of them while the run goes on."""
        return self.model_copy(update={name: _in_force(name, value) for name, value in changes.items()})


LIMITS: dict[str, Row] = {
    name: next(row for row in field.metadata if isinstance(row, Row)) for name, field in Limits.model_fields.items()
}
CHANGEABLE = tuple(name for name, row in LIMITS.items() if row.option)
"""Names of the limits that a user may change while the run goes on."""


DOLLARS = tuple(name for name in LIMITS if name.startswith("usd") or name.endswith("_usd"))
"""Names of the limits in dollars, which need a price of every model."""


def finite(limit: Value) -> int:
    """A limit in whole numbers: "none" becomes `UNLIMITED`."""
    return UNLIMITED if limit == "none" else int(limit)


def is_whole(name: str) -> bool:
    """True if a limit is a whole number."""
    return isinstance(Limits.model_fields[name].default, int)


def changes_model(base: type[BaseModel], name: str) -> type[BaseModel]:
    """A model with a field for each limit that may change, of the type of its row; None where it stays as it is."""
    fields: dict[str, Any] = {
        changeable: (Limits.model_fields[changeable].rebuild_annotation() | None, None) for changeable in CHANGEABLE
    }
    return create_model(name, __base__=base, __module__=base.__module__, __doc__=base.__doc__, **fields)


def _in_force(name: str, value: Value) -> Value:
    lifted = LIMITS[name].lifted
    return lifted if value == "none" and lifted is not None else value
