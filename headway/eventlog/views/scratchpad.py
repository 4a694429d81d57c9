"""An agent's notes, always rewritten whole."""

from headway.eventlog.events.conversation import Message, Reminder
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.work import Scratchpad

STALE_TURNS = 20
STALE_HANDOFFS = 10


class Notes:
    """Keeps the newest version of the notes, and two counts.

    Attributes:
        content: The notes as the agent last wrote them; empty before that.
    """

    def __init__(self) -> None:
        self.content = ""
        self._turn = 0
        self._handoffs = 0

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event of the line."""
        match event.body:
            case Scratchpad(content=content):
                self.content = content
                self._turn, self._handoffs = event.turn, 0
            case Reminder(why="scratchpad"):
                self._turn, self._handoffs = event.turn, 0
            case Message(inbox=inbox):
                self._handoffs += len(inbox or ())

    def is_stale(self, turn: int) -> bool:
        """True if the notes and the last reminder of them are old, by turns or by handoffs told since."""
        return turn - self._turn >= STALE_TURNS or self._handoffs >= STALE_HANDOFFS
