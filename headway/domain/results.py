"""Facts that the harness notes of a tool's answer beside its text: one frozen model for each kind.

A tool declares the model of its facts. A reader of logs is given the models by the tools' names, and reads the answer
of another tool as an `OtherResult`. Here stand the base class, and the facts that others than the tool act on.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict

from headway.domain.handoff import HandoffReport
from headway.domain.ids import ChildKey, Oid
from headway.domain.planner_turn import ChildKind, Spawned
from headway.domain.retention import Keep, Record
from headway.domain.task import Scope, TaskSpec


class Result(Record):
    """Facts of an answer of one tool."""

    keep: ClassVar[Keep] = Keep.DROP
    active: ClassVar[bool] = False
    """The duration of such a call is active time of its agent."""


Results = Mapping[str, type[Result]]
"""The model of each tool's results, by the tool's name."""

NO_RESULTS: Results = {}
"""For readers of logs that act on no tool's facts."""


class OtherResult(Result):
    """Of a tool that this table does not name: its JSON as it stands in the log."""

    model_config = ConfigDict(extra="allow")

    keep: ClassVar[Keep] = Keep.DROP

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON."""
        return self.model_extra or {}


class LandAnswer(Result):
    """Outcome of `land`.

    Attributes:
        commit: The commit on the trunk.
        rounds: Conflicts in a row, with this one.
        paths: The conflicted ones.
        forbidden: Dependencies that the change would have added.
    """

    keep: ClassVar[Keep] = Keep.FULL

    landing: Literal["landed", "nothing", "doubtful", "refused", "conflicted", "forbidden"]
    commit: Oid | None = None
    rounds: int = 0
    paths: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()


class SpawnedChild(Record):
    """A child as the answer that asked for it names it."""

    keep: ClassVar[Keep] = Keep.FULL

    key: ChildKey
    kind: ChildKind
    title: str
    item: int = 0
    priority: int = 0

    def at(self, seq: int) -> Spawned:
        """The same with the place of that answer, where its text lies."""
        return Spawned(key=self.key, kind=self.kind, title=self.title, seq=seq, item=self.item, priority=self.priority)


class Spawn(Result):
    """Children that `spawn_tasks` or `spawn_subplanner` asked for.

    Attributes:
        items: The text for each child, in the order of `spawned`.
    """

    keep: ClassVar[Keep] = Keep.DROP
    always: ClassVar[tuple[str, ...]] = ("decision",)

    decision: Literal["spawn"] = "spawn"
    spawned: tuple[SpawnedChild, ...]
    items: tuple[TaskSpec | Scope, ...]


class Cancelled(Result):
    """Children that `cancel` took back."""

    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("decision",)

    decision: Literal["cancel"] = "cancel"
    cancelled: tuple[ChildKey, ...]
    reason: str = ""


class Waits(Result):
    """That a planner waits."""

    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("decision",)

    decision: Literal["wait"] = "wait"


class Finished(Result):
    """Outcome of `finish`.

    Attributes:
        decision: Set by a planner's.
        report: The report that is handed up; None where the call was sent back.
        bounced: The agent was told the facts against it, once.
    """

    keep: ClassVar[Keep] = Keep.FULL

    decision: Literal["finish"] | None = None
    report: HandoffReport | None = None
    bounced: bool = False
