"""The things that a planner's tools work with, and the running of its calls."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

from headway.agents.loop.arguments import parsed
from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.agents.loop.harness_faults import answer_to, broken_before
from headway.agents.loop.tool import Toolset, tool_called
from headway.agents.planner.open_task_index import OpenTaskIndex
from headway.domain.ids import Oid
from headway.domain.planner_turn import PlanTurn
from headway.editing.search import HITS, hits_text
from headway.eventlog.store import LogStore
from headway.eventlog.views.planning import Planning
from headway.git.hub import Hub
from headway.models.turn import ToolCall
from headway.system.excerpt import excerpt
from prompts.prompts import Prompts


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
class PlannerTools:
    """The tools of one turn.

    Attributes:
        pinned: The trunk commit that it looks at.
        views: The planner's log so far.
        elsewhere: The open tasks of other planners.
        tools: The tools that the planner has.
    """

    order: PlanTurn
    store: LogStore
    hub: Hub
    prompts: Prompts
    conversation: Conversation
    pinned: Oid
    views: Planning = field(repr=False)
    elsewhere: OpenTaskIndex
    tools: Toolset

    @cached_property
    def files(self) -> PinnedFiles:
        """The files that it looks at."""
        return PinnedFiles(self.hub, self.pinned)

    def answer(self, call: ToolCall) -> ToolAnswer:
        """The answer to a call. A decision counts by its answer alone, so that it may be worked out again."""
        before = broken_before(self.conversation, call, self.prompts)
        if before is not None:
            return before
        try:
            tool = tool_called(self.tools, call.name)
            return cast("ToolAnswer", tool.run(self, parsed(tool.name, tool.args, tool.example, call.arguments)))
        except Exception as error:  # noqa: BLE001 - what is no fault of the call is raised again there
            return answer_to(error, self.prompts)
