"""Events in the life of runs, agents and turns: they begin, end, and are taken over."""

from typing import ClassVar, Self

from pydantic import Field, JsonValue

from headway.domain.handoff import Handoff
from headway.domain.ids import ChildKey, Oid
from headway.domain.planner_turn import Final, Spawned, TurnOutcome
from headway.domain.retention import Keep
from headway.domain.run import RunReport
from headway.domain.spec import RunSpec
from headway.domain.task import TaskKind
from headway.eventlog.events.envelope import Body


class RunStart(Body):
    """A run began. `models`: which model each role has, and where."""

    type: ClassVar[str] = "run.start"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("base", "source", "incarnation", "level", "models")

    spec: RunSpec
    base: Oid = Oid("")
    source: str = ""
    incarnation: str = ""
    level: str = ""
    models: dict[str, JsonValue] = Field(default_factory=dict)


class RunEnd(Body, RunReport):
    """A run ended, as its report says."""

    type: ClassVar[str] = "run.end"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = tuple(RunReport.model_fields)

    @classmethod
    def of(cls, report: RunReport) -> Self:
        """The event that tells of a report."""
        return cls(**dict(report))


class AgentLease(Body):
    """A new holder took the log over."""

    type: ClassVar[str] = "agent.lease"
    keep: ClassVar[Keep] = Keep.DROP

    host: str
    pid: int
    boot: str


class AgentFork(Body):
    """The live line goes on from an earlier event; -1 is from nothing."""

    type: ClassVar[str] = "agent.fork"
    keep: ClassVar[Keep] = Keep.DROP

    to: int


class AgentStart(Body):
    """An attempt at a task began. `base`: the trunk commit that its workspace stands on."""

    type: ClassVar[str] = "agent.start"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("kind",)

    attempt: int
    title: str
    base: Oid = Oid("")
    workspace: str = ""
    kind: TaskKind = TaskKind.CHANGE


class AgentState(Body):
    """One thing that befell an agent.

    Attributes:
        setup: The files in which the user's `setup` ran, see `Job.setup_name`; the next six fields tell of it.
        ended: Its end, in words.
        withheld: Rights that it lacked.
        left: Paths that it left.
        broke: A fault of the harness that did not stop the attempt.
        broke_at: A fault that did.
        resumed: The call that is made again after its process was lost.
        passed: The shortage for which an attempt ended: it passes by waiting, and the call at hand was not cut off.
    """

    type: ClassVar[str] = "agent.state"
    keep: ClassVar[Keep] = Keep.FULL

    setup: str | None = None
    command: str | None = None
    exit_code: int | None = None
    ended: str | None = None
    output: str | None = None
    withheld: tuple[str, ...] | None = None
    left: tuple[str, ...] | None = None
    broke: str | None = None
    broke_at: str | None = None
    resumed: str | None = None
    passed: str | None = None


class TurnStart(Body):
    """A planner's turn began.

    Attributes:
        key: Names the turn, see `PlanTurn`.
        pinned: The trunk commit that it looks at.
        inbox: The handoffs that it takes in.
        recovered: Children of an abandoned past, which it takes over.
    """

    type: ClassVar[str] = "turn.start"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("inbox", "recovered", "fresh", "final", "nudge")

    key: str
    pinned: Oid
    inbox: tuple[ChildKey, ...] = ()
    recovered: tuple[Spawned, ...] = ()
    fresh: bool = False
    final: Final | None = None
    nudge: bool = False


class TurnEnd(Body):
    """A planner's turn ended. The outcome's own `seq` is 0: it is this event's."""

    type: ClassVar[str] = "turn.end"
    keep: ClassVar[Keep] = Keep.DROP

    key: str
    outcome: TurnOutcome

    def at(self, seq: int) -> TurnOutcome:
        """The outcome, given the event's place."""
        return self.outcome.model_copy(update={"seq": seq})


class HandedOff(Body):
    """An agent, or one attempt of it, ended. `retry`: another attempt may do better."""

    type: ClassVar[str] = "handoff"
    keep: ClassVar[Keep] = Keep.FULL
    always: ClassVar[tuple[str, ...]] = ("attempt", "retry")

    handoff: Handoff
    attempt: int = 1
    retry: bool = False
