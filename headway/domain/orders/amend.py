"""`amend`: a text that every later epoch and task of the run carries."""

from typing import Annotated, ClassVar

from pydantic import Field

from headway.domain.commands import Call, Failed
from headway.domain.errors import UserError
from headway.domain.order import Order
from headway.domain.refs import Ref
from headway.domain.run import WriteAmendment
from headway.domain.spec import Text
from headway.domain.state.control import Amended
from headway.domain.state.run import RunState

MAX_AMENDMENTS = 100
MAX_AMENDMENT_CHARS = 20_000


class Amend(Order):
    """Add to the user's instructions."""

    name: ClassVar[str] = "amend"
    waits: ClassVar[bool] = True

    text: Annotated[Text, Field(max_length=MAX_AMENDMENT_CHARS)]

    def check(self, state: RunState, run: str) -> None:
        """Refuse an amendment that comes too late, or is one too many."""
        del run
        state.refuse_when_finishing()
        waiting = sum(isinstance(other, Amend) and other.request != self.request for other in state.asked)
        if len(state.book.control.amendments) + waiting >= MAX_AMENDMENTS:
            raise UserError(f"A run carries at most {MAX_AMENDMENTS} amendments.")

    def first(self, state: RunState) -> Call:
        """Store the text."""
        return Call(WriteAmendment(run=state.context.run, **self.model_dump()), "an amendment is stored", self.request)

    def apply(self, state: RunState, result: Ref | Failed, now: float) -> str:
        """Put it on the record."""
        if isinstance(result, Failed):
            return f"The amendment could not be stored; give it again later: {result.why}"
        control = state.book.control
        amendments = (*control.amendments, Amended(seq=result.seq, who=self.who, at=now))
        state.book.change(amendments=amendments, renewed=control.renewed + 1)
        return f"amendment {len(amendments)} recorded: every agent gets it with its next step"
