"""`read_handoff`: one handoff of a child, whole."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.handoff_text import whole
from headway.agents.planner.planner_tools import PlannerTools
from headway.domain.errors import ToolError
from headway.domain.ids import ChildKey
from headway.eventlog.events.life import HandedOff
from headway.system.excerpt import EXCERPT_CHARS, cut


class ReadHandoff(Arguments):
    id: Annotated[ChildKey, Field(description="As in the heading of the handoff, such as 3.0-1f2e3d4c.")]


def _run(context: PlannerTools, asked: ReadHandoff) -> ToolAnswer:
    notice = context.views.children.told.get(asked.id)
    if notice is None:
        raise ToolError(f"no handoff of {asked.id} came in; read_handoff takes the id in the heading of a handoff")
    stored = context.store.said(notice.ref(context.order.me), HandedOff)
    return ToolAnswer(cut(whole(stored.handoff), EXCERPT_CHARS))


TOOL = Tool(
    name="read_handoff",
    args=ReadHandoff,
    description="Reads a handoff whole: every field the agent wrote, and the facts the harness knows of its work.",
    example={"id": "3.0-1f2e3d4c"},
    run=_run,
    agents=("planner",),
    doing="reading handoff `{}`",
)
