"""The effects of lost processes and of faults of the harness on an agent's calls."""

from typing import cast

from headway.eventlog.events.conversation import LlmRequest, LlmResponse, LlmRetry, ToolCallBegun
from headway.eventlog.events.envelope import AnyEvent, Event
from headway.eventlog.events.life import AgentState
from headway.eventlog.events.work import ResourceWait


class Interrupted:
    """Takes the live line of an agent's log.

    Keeps the notes on calls of the newest reply that were begun, and counts.

    Attributes:
        in_a_row: Number of times in a row that the attempt broke at the place where the log stands.
    """

    def __init__(self) -> None:
        self.in_a_row = 0
        self._begun: dict[str, Event[ToolCallBegun]] = {}
        self._waits = 0
        self._resumed: dict[str, tuple[int, int]] = {}

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        match event.body:
            case LlmRequest() | LlmRetry() | ResourceWait():
                return
            case AgentState() as state:
                self._take_state(state)
                return
            case ToolCallBegun(call_id=call_id):
                bare = event._replace(body=event.body.model_copy(update={"arguments": ""}))
                self._begun[call_id] = cast(Event[ToolCallBegun], bare)
            case LlmResponse():
                self._begun, self._resumed, self._waits = {}, {}, 0
        self.in_a_row = 0

    def _take_state(self, state: AgentState) -> None:
        self._waits += state.broke_at is not None or state.passed is not None
        if state.resumed is not None:
            times, waits = self._resumed.get(state.resumed, (0, 0))
            self._resumed[state.resumed] = times + (waits == self._waits), self._waits
        elif state.broke_at is not None:
            self.in_a_row += 1
        elif state.passed is None:
            self.in_a_row = 0

    def begun(self, call_id: str) -> Event[ToolCallBegun] | None:
        """The note that a call of the newest reply was begun; None where its first effect is still to come."""
        note = self._begun.get(call_id)
        return None if note is None or note.body.withdrawn else note

    def resumed(self, call_id: str) -> int:
        """Number of times that a process was lost in a call, but for those that a shortage explains."""
        return self._resumed.get(call_id, (0, 0))[0]
