"""Handoffs: the one report that an agent gives to the planner or run that asked for its work."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from headway.domain.ids import AgentId, ChildKey, Oid, child_id
from headway.domain.refs import Ref
from headway.domain.state.budget import Amount, Compact

HandoffText = Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]


class HandoffStatus(StrEnum):
    """End of an agent's work; closed. Only the harness says `failed` and `cancelled`."""

    DONE = "done"
    PARTIAL = "partial"
    BLOCKED = "blocked"
    NOT_NEEDED = "not_needed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class HandoffReport(BaseModel):
    """The agent's report on its own work. The harness writes it where the agent cannot.

    The arguments of the tool `finish` are these fields with these descriptions. The texts for planners and people
    iterate them. To add a field to handoffs, add it here.
    """

    model_config = ConfigDict(frozen=True)

    status: HandoffStatus
    summary: Annotated[
        HandoffText, Field(description="What is different now and how you know; a reader has only this.")
    ]
    notes: Annotated[HandoffText, Field(description="What whoever works here next must know.")] = ""
    concerns: Annotated[HandoffText, Field(description="What may be wrong, fragile or unproven.")] = ""
    deviations: Annotated[HandoffText, Field(description="Where you departed from what was asked, and why.")] = ""
    findings: Annotated[HandoffText, Field(description="What you learnt that was not known when you were asked.")] = ""
    suggestions: Annotated[HandoffText, Field(description="What should be done next, by whom does not matter.")] = ""
    feedback: Annotated[HandoffText, Field(description="What was unclear or wrong in what you were asked.")] = ""

    @property
    def optional(self) -> dict[str, str]:
        """The filled fields other than status and summary, by name, in their order."""
        return {name: text for name, text in self if name not in _NEEDED and text}


_NEEDED = frozenset(name for name, field in HandoffReport.model_fields.items() if field.is_required())


class CommandFact(BaseModel):
    """One of the last commands an agent ran."""

    model_config = ConfigDict(frozen=True)

    command: Annotated[str, StringConstraints(max_length=400)]
    exit_code: int | None
    note: str = ""


class HandoffFacts(BaseModel):
    """The harness's facts about the agent's work; never asked from the model.

    Attributes:
        landed: The agent's commits that are ancestors of the trunk at the time of the handoff.
        wip: The ref of the changes that did not land; None if there are none.
        harness_made: Reason why the harness wrote the report instead of the agent; empty if the agent wrote it.
        attempt: Number of the task's attempt, from 1.
        children: Handoffs taken by a planner, by status.
        usd: Cost of its model calls in dollars; None where a price is not known.
    """

    model_config = ConfigDict(frozen=True)

    landed: tuple[Oid, ...] = ()
    files_changed: int = 0
    wip: str | None = None
    commands: tuple[CommandFact, ...] = ()
    model_calls: int = 0
    tokens: int = 0
    usd: float | None = None
    active_s: float = 0.0
    attempt: int = 1
    harness_made: str = ""
    children: dict[str, int] = Field(default_factory=dict)


class Handoff(BaseModel):
    """An agent's stored handoff, as `read_handoff` and the final report show it."""

    model_config = ConfigDict(frozen=True)

    agent: AgentId
    title: str
    report: HandoffReport
    facts: HandoffFacts = HandoffFacts()


class HandoffNotice(BaseModel):
    """The signal that tells a parent of a stored handoff. Kept small: it waits in the planner's inbox.

    Attributes:
        child: The child's key under the parent that is told.
        seq: Place of the handoff in the child's log.
        spent: The amount that the child and everything below it used up; the rest of its grant is free again.
    """

    model_config = ConfigDict(frozen=True)

    child: ChildKey
    status: HandoffStatus
    seq: int
    spent: Compact = Amount()

    def under(self, key: ChildKey) -> "HandoffNotice":
        """The same for a workflow that knows the child by this key."""
        return self.model_copy(update={"child": key})

    def ref(self, parent: AgentId) -> Ref:
        """Ref of the handoff of this child of `parent`."""
        return Ref(log=child_id(parent, self.child), seq=self.seq)
