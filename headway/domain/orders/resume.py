"""`resume`: a run, or a part of it, goes on."""

from typing import Any, ClassVar

from headway.domain.ids import AgentId, child_id
from headway.domain.order import Aimed
from headway.domain.state.run import RunState


class Resume(Aimed):
    """Let a subtree go on.

    A part of it that has an entry of its own stays held, and so does all of it under a held parent. A run that waits
    for its user because its root planner failed gets another one.
    """

    name: ClassVar[str] = "resume"

    def apply(self, state: RunState, result: Any, now: float) -> str:
        """Take the hold off the record."""
        del result, now
        control = state.book.control
        was_paused, parked = self.target in control.paused, self._starts_again(state)
        state.present.again = state.present.again or parked
        if was_paused:
            state.book.change(paused={target: hold for target, hold in control.paused.items() if target != self.target})
        elif not parked:
            return f"{self.target} was not paused"
        above = state.book.control.hold_on(self.target)
        how = " with another root planner" if parked else ""
        lifted = ", its pause is lifted" if parked and was_paused else ""
        more = f", but something above it is still paused: {above.why}" if above is not None else ""
        return f"{self.target} is resumed{how}{lifted}{more}"

    def _starts_again(self, state: RunState) -> bool:
        if state.phase != "needs_attention" or state.root is None or state.prepared is None:
            return False
        run = AgentId(state.context.run)
        return self.target in {run, child_id(run, state.root.child)}
