"""The things that a planner's tools work with, and the running of its calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from headway.agent.breakage import answer_to, broken_before
from headway.agent.children import Asked, outstanding
from headway.agent.conversation import Answer, Conversation
from headway.agent.elsewhere import Elsewhere
from headway.agent.excerpt import excerpt
from headway.agent.prompts import Prompts
from headway.agent.search import HITS, hits_text
from headway.agent.tools.arguments import parsed
from headway.agent.tools.tool import Toolset, tool_called
from headway.domain.ids import ChildKey, Oid
from headway.domain.turn import PlanTurn
from headway.git.hub import Hub
from headway.model.turn import ToolCall
from headway.trace.events.envelope import AnyEvent
from headway.trace.store import LogStore


@dataclass(frozen=True)
class PinnedFiles:
    """The files of one commit."""

    hub: Hub
    commit: Oid

    def list_dir(self, path: str, depth: int) -> str:
        """Names below a folder, folders with a slash."""
        return self.hub.list_dir(self.commit, path, depth)

    def read(self, path: str, start: int, limit: int) -> str:
        """Numbered lines of a file."""
        return excerpt(self.hub.read_file(self.commit, path), path, start, limit)

    def grep(self, pattern: str, path: str, glob: str | None) -> str:
        """The lines that match a regular expression, as `path:line:text`."""
        return hits_text(self.hub.grep(self.commit, pattern, path, glob, HITS + 1))


@dataclass
class PlanningDesk:
    """The tools of one turn.

    Attributes:
        pinned: The trunk commit that it looks at.
        physical: The planner's whole log as it was when the turn began or was resumed.
        started: Sequence number of the turn's start.
        elsewhere: The open tasks of other planners.
        tools: The tools that the planner has.
    """

    order: PlanTurn
    store: LogStore
    hub: Hub
    prompts: Prompts
    talk: Conversation
    pinned: Oid
    physical: Sequence[AnyEvent] = field(repr=False)
    started: int
    elsewhere: Elsewhere
    tools: Toolset

    @cached_property
    def files(self) -> PinnedFiles:
        """The files that it looks at."""
        return PinnedFiles(self.hub, self.pinned)

    def answer(self, call: ToolCall) -> Answer:
        """The answer to a call. A decision counts by its answer alone, so that it may be worked out again."""
        before = broken_before(self.talk, call, self.prompts)
        if before is not None:
            return before
        try:
            tool = tool_called(self.tools, call.name)
            return cast("Answer", tool.run(self, parsed(tool.name, tool.args, tool.example, call.arguments)))
        except Exception as error:  # noqa: BLE001 - what is no fault of the call is raised again there
            return answer_to(error, self.prompts)

    @property
    def turn_events(self) -> list[AnyEvent]:
        """The live line since the turn's start."""
        return [event for event in self.talk.log.line if event.seq >= self.started]

    def outstanding(self) -> dict[ChildKey, Asked]:
        """The children that are still out."""
        line = self.talk.log.line
        return outstanding([*self.physical, *self.turn_events], line)
