"""Facts that the harness notes of a tool's answer beside its text: one frozen model for each kind.

`RESULTS` names the model of each tool whose answers say more than their text. Whoever opens logs passes such a table;
a tool with a result of its own adds a row to the one that it passes. An answer of another tool is an `OtherResult`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict

from headway.domain.handoff import HandoffReport
from headway.domain.ids import ChildKey, Oid
from headway.domain.retention import Keep, Record
from headway.domain.task import Scope, TaskSpec
from headway.domain.turn import ChildKind, Spawned

INTERRUPTED = "interrupted"
"""The note on a command that a crash cut short."""


class Result(Record):
    """Facts of an answer of one tool."""

    keep: ClassVar[Keep] = Keep.DROP


Results = Mapping[str, type[Result]]
"""The model of each tool's results, by the tool's name."""


class OtherResult(Result):
    """Of a tool that this table does not name: its JSON as it stands in the log."""

    model_config = ConfigDict(extra="allow")

    keep: ClassVar[Keep] = Keep.FULL

    @property
    def raw(self) -> dict[str, Any]:
        """The JSON."""
        return self.model_extra or {}


class Ran(Result):
    """A command, by `shell`.

    Attributes:
        note: Its end, where it did not end by itself.
        cpu_s: Processor time in seconds.
        peak_kb, tree_peak_kb: The most memory of one process, and of all together.
        forks_refused: Number of processes that it was refused.
        disk_full: The workspace went over its disk quota.
        removed_files, removed_mb: Of its files, those that were removed for that.
        waited_s, waited_for: The time before its start, in seconds, and the short resources of the machine.
    """

    keep: ClassVar[Keep] = Keep.DROP
    always: ClassVar[tuple[str, ...]] = ("cpu_s", "peak_kb")

    command: str
    exit_code: int | None
    note: str
    cpu_s: float | None = None
    peak_kb: int | None = None
    tree_peak_kb: int | None = None
    out_of_memory: bool = False
    forks_refused: int = 0
    disk_full: bool = False
    removed_files: int = 0
    removed_mb: int = 0
    waited_s: float = 0.0
    waited_for: tuple[str, ...] = ()

    def shortened(self, chars: int) -> Self:
        """The same with so much of the command."""
        return self.model_copy(update={"command": self.command[:chars]})


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

    keep: ClassVar[Keep] = Keep.FACTS
    always: ClassVar[tuple[str, ...]] = ("decision",)

    decision: Literal["spawn"] = "spawn"
    spawned: tuple[SpawnedChild, ...]
    items: tuple[TaskSpec | Scope, ...]

    def facts(self) -> Self:
        """With titles and places alone: the whole text lies where its ref says."""
        return self.model_copy(update={"items": tuple(map(_thin, self.items))})


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


RESULTS: Results = {
    "shell": Ran,
    "land": LandAnswer,
    "spawn_tasks": Spawn,
    "spawn_subplanner": Spawn,
    "cancel": Cancelled,
    "wait": Waits,
    "finish": Finished,
}


def _thin(item: TaskSpec | Scope) -> TaskSpec | Scope:
    if isinstance(item, Scope):
        return item.model_copy(update={"scope": "", "intent": "", "context": "", "constraints": ""})
    return item.model_copy(update={"intent": "", "context": "", "constraints": "", "done_when": ""})
