"""The arguments of `finish`, the same for both kinds of agents: the model's part of a handoff."""

from typing import Annotated, Literal

from pydantic import Field

from headway.agent.tools.schema import Arguments
from headway.domain.handoff import HandoffReport, HandoffStatus, HandoffText

Said = Annotated[HandoffText, Field(min_length=1)]


class Report(Arguments):
    """An agent's report on its work."""

    status: Annotated[
        Literal["done", "partial", "blocked", "not_needed"],
        Field(
            description="done: what was asked holds now. partial: some of it does. blocked: it cannot be done, "
            "and why. not_needed: it held already, or no longer makes sense."
        ),
    ]
    summary: Annotated[Said, Field(description="What is different now and how you know; a reader has only this.")]
    notes: Annotated[HandoffText, Field(description="What whoever works here next must know.")] = ""
    concerns: Annotated[HandoffText, Field(description="What may be wrong, fragile or unproven.")] = ""
    deviations: Annotated[HandoffText, Field(description="Where you departed from what was asked, and why.")] = ""
    findings: Annotated[HandoffText, Field(description="What you learnt that was not known when you were asked.")] = ""
    suggestions: Annotated[HandoffText, Field(description="What should be done next, by whom does not matter.")] = ""
    feedback: Annotated[HandoffText, Field(description="What was unclear or wrong in what you were asked.")] = ""

    def handed(self) -> HandoffReport:
        """As it stands in the handoff."""
        return HandoffReport(**self.model_dump() | {"status": HandoffStatus(self.status)})
