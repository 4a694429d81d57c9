"""`pause`: a run, or a part of it, holds."""

from typing import Any, ClassVar

from headway.domain.order import Aimed
from headway.domain.state.control import Hold
from headway.domain.state.run import RunState


class Pause(Aimed):
    """Hold a subtree at its next step; with `now`, kill the commands that run."""

    name: ClassVar[str] = "pause"

    now: bool = False

    def apply(self, state: RunState, result: Any, now: float) -> str:
        """Put the hold on the record."""
        del result
        hold = Hold(who=self.who, why=self.why, at=now, now=self.now)
        state.book.change(paused={**state.book.control.paused, self.target: hold})
        how = "at once" if self.now else "at the next step of each agent"
        return f"{self.target} is paused: it holds {how}"
