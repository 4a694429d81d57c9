"""One task as the workflow hands it to a worker, and its outcome."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey
from headway.domain.planner_turn import ChildKind
from headway.domain.refs import Ref
from headway.domain.run import RunContext
from headway.domain.state.budget import Amount, Bill, Compact
from headway.domain.state.control import Control


class WorkOrder(BaseModel):
    """Argument of `run_worker`.

    Attributes:
        task: Ref of the task's text.
        attempt: From 1; a higher one starts with a fresh workspace and epoch, and is told of the end of the earlier
            ones.
        granted: All that the task may use up so far, over its attempts.
        more: True if more may be granted when that is used up, by ending as `suspended`.
        renewed: `Control.renewed` when this was asked; at a higher one the worker is suspended.
        amendments: Places in the run's log of the amendments that this task carries.
    """

    model_config = ConfigDict(frozen=True)

    context: RunContext
    me: AgentId
    task: Ref
    title: str
    attempt: int = 1
    granted: Amount
    more: bool = True
    renewed: int = 0
    amendments: tuple[int, ...] = ()


class WorkerDone(BaseModel):
    """The worker handed off; the handoff is stored at `ref`, synced."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["handoff"] = "handoff"
    ref: Ref
    status: HandoffStatus
    summary: str
    spent: Amount
    retry: bool = False


class WorkerSuspended(BaseModel):
    """The worker stopped between two steps, with its log and workspace as they are. Its workflow resumes it.

    Attributes:
        why: `grant`: its grant is used up and `need` is missing. `parked`: its model refuses. `held`: a pause or a
            cancellation in the control record stopped it. `renewed`: the record was renewed since it was asked to work,
            and it is to be asked again with what is in force now.
        spent: The amount that the task used up so far; None where it was stopped too soon to say.
        until: Time from which a parked one is worth another try, in seconds since the epoch.
        control: The record that stopped it: the signal that tells its workflow may never come.
    """

    model_config = ConfigDict(frozen=True)

    outcome: Literal["suspended"] = "suspended"
    why: Literal["grant", "parked", "held", "renewed"]
    spent: Amount | None = None
    need: Amount = Amount()
    until: float = 0.0
    control: Control | None = None


EndStatus = Literal[HandoffStatus.CANCELLED, HandoffStatus.FAILED, HandoffStatus.PARTIAL]

WorkOutcome = Annotated[WorkerDone | WorkerSuspended, Field(discriminator="outcome")]


class TaskOrder(BaseModel):
    """Argument of the `Task` workflow."""

    schema_: int = Field(default=1, alias="schema")

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    context: RunContext
    me: AgentId
    task: Ref
    title: str
    priority: int = 0
    grant: Amount
    control: Control = Control()


class EndWorker(BaseModel):
    """Argument of `end_worker`: the task ends by the harness's word; `partial` where the run's hours end in a pause."""

    model_config = ConfigDict(frozen=True)

    order: WorkOrder
    status: EndStatus
    why: str


class StoreHandoff(BaseModel):
    """Argument of `store_handoff`: a planner's handoff, or one that the harness makes because the agent cannot.

    Storing raises the agent's lease, so a holder that still lives writes nothing more. It happens once: a log whose
    live line already ends in a handoff keeps that one.

    Attributes:
        report: Sequence number of the planner's own `finish` in its log; None when the harness speaks.
        why: The harness's summary in place of a report.
        children: Handoffs that a planner took in, by status.
    """

    model_config = ConfigDict(frozen=True)

    context: RunContext
    me: AgentId
    title: str
    role: Literal["planner", "worker"]
    status: HandoffStatus
    why: str = ""
    report: int | None = None
    attempt: int = 1
    children: dict[str, int] = Field(default_factory=dict)


class StoredHandoff(BaseModel):
    """A reference to a stored handoff, and its agent's own use by its log."""

    model_config = ConfigDict(frozen=True)

    ref: Ref
    status: HandoffStatus
    summary: str
    spent: Amount


GrantVersion = tuple[int, int]
"""How often a child gave back budget: the recalls that it obeyed, and the times since then that it gave back unasked.

A grant of an older version than the child's is void: it went to a child that held more.
"""


class Ask(BaseModel):
    """Signal of a child to its parent: the grant is used up; or, with a newer version, a part of it is given back.

    Attributes:
        granted: The total that the child has, so that an ask that comes twice is answered once.
        need: The missing amount: for a task's next model call; for a planner, for all that waits at it.
        stuck: The child waits for this, and nothing below it goes on.
    """

    model_config = ConfigDict(frozen=True)

    child: ChildKey
    granted: Amount
    need: Amount
    stuck: bool = True
    grant_version: GrantVersion = (0, 0)

    def under(self, key: ChildKey) -> "Ask":
        """The same for a workflow that knows the child by this key."""
        return self.model_copy(update={"child": key})

    def says_as_much_as(self, other: "Ask") -> bool:
        """True if a parent that heard this can act on nothing new in the other."""
        kinds = [(need.tokens > 0, need.tasks > 0, need.micro_usd > 0) for need in (self.need, other.need)]
        mine = (self.granted, self.stuck, self.grant_version)
        same = mine == (other.granted, other.stuck, other.grant_version)
        return kinds[0] == kinds[1] and (same or not other.need)


class Grant(BaseModel):
    """Signal of a parent to its child: the total that it may use now. `final` means that no more will come.

    Attributes:
        grant_version: The newest of the child that the parent had heard of.
    """

    model_config = ConfigDict(frozen=True)

    total: Amount
    final: bool = False
    grant_version: GrantVersion = (0, 0)


class CallBack(BaseModel):
    """Signal of a planner to a sub-planner: give back your unneeded budget, because others wait for budget.

    Attributes:
        lack: The missing amount for one of those.
    """

    model_config = ConfigDict(frozen=True)

    lack: Amount


class DescribeChildren(BaseModel):
    """Argument of the audit: find the children that closed without a handoff.

    Attributes:
        known: Keys below these planners whose agents were adopted, or handed off to this workflow, before.
    """

    model_config = ConfigDict(frozen=True)

    context: RunContext
    me: AgentId
    tasks: tuple[ChildKey, ...] = ()
    planners: tuple[ChildKey, ...] = ()
    known: tuple[ChildKey, ...] = ()


class Orphan(BaseModel):
    """An agent that works on below a closed planner.

    Attributes:
        key: Under the workflow that adopts it.
        held: All that it was granted; None where it did not say.
    """

    model_config = ConfigDict(frozen=True)

    key: ChildKey
    kind: ChildKind
    title: str
    held: Compact | None = Amount()


class FoundClosed(HandoffNotice):
    """A child that an audit found closed, with the stored handoff that it did not tell of.

    Attributes:
        spent: Without the usage of the orphans and of the known agents: they tell it themselves.
        orphans: The nearest agents below it that work on; all of them unless `more`.
        more: Not all orphans fit in. It counts as closed when the rest is adopted, too.
    """

    orphans: tuple[Orphan, ...] = ()
    more: bool = False

    @property
    def notice(self) -> HandoffNotice:
        """The handoff notice alone."""
        return HandoffNotice(child=self.child, status=self.status, seq=self.seq, spent=self.spent)


class TaskResult(BaseModel):
    """Result of the `Task` workflow in the Web UI; its parent has it from the handoff."""

    model_config = ConfigDict(frozen=True)

    status: HandoffStatus
    summary: str
    attempts: int
    spent: Bill
