"""Consequences of the time or of a state alone, which `decide` finds and which are booked: see `Record`."""

from pydantic import BaseModel, ConfigDict

from headway.domain.state.planner_facts import PlannerEnd

# Of a planner


class Closes(BaseModel):
    """No more turns are taken: the planner waits for outstanding children, then hands up."""

    model_config = ConfigDict(frozen=True)

    ending: PlannerEnd


class NeedIsMet(BaseModel):
    """The interrupted turn can go on."""


class CancelsAll(BaseModel):
    """The planner ends as cancelled, after its children."""

    model_config = ConfigDict(frozen=True)

    why: str


class AsksToCancel(BaseModel):
    """The children are asked to cancel."""


class Audits(BaseModel):
    """A workflow looks for children that closed without a handoff, and for a parent that did."""


class GivesUpChildren(BaseModel):
    """Children that did not answer a cancellation in time are not waited for."""


# Of a run


class Holds(BaseModel):
    """The limit is reached: the run waits for its user."""


class Parks(BaseModel):
    """The root planner failed: the run waits for its user."""


class GivesOut(BaseModel):
    """No more budget comes: the run ends as soon as no agent works for it."""


class Proves(BaseModel):
    """The root planner's handoff counts: its trunk is proven."""


class Reports(BaseModel):
    """The proof is over: its results count as they are."""
