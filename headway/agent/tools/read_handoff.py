"""`read_handoff`: one handoff of a child, whole."""

from typing import Annotated

from pydantic import Field

from headway.agent.conversation import Answer
from headway.agent.excerpt import EXCERPT_CHARS, cut
from headway.agent.handoff_text import whole
from headway.agent.planning_desk import PlanningDesk
from headway.agent.tools.arguments import Arguments
from headway.agent.tools.tool import Tool
from headway.domain.errors import ToolError
from headway.domain.ids import ChildKey
from headway.trace.events.life import HandedOff


class ReadHandoff(Arguments):
    id: Annotated[ChildKey, Field(description="As in the heading of the handoff, such as 3.0-1f2e3d4c.")]


def _run(context: PlanningDesk, asked: ReadHandoff) -> Answer:
    notice = context.views.children.told.get(asked.id)
    if notice is None:
        raise ToolError(f"no handoff of {asked.id} came in; read_handoff takes the id in the heading of a handoff")
    stored = context.store.said(notice.ref(context.order.me), HandedOff)
    return Answer(cut(whole(stored.handoff), EXCERPT_CHARS))


TOOL = Tool(
    name="read_handoff",
    args=ReadHandoff,
    description="Reads a handoff whole: every field the agent wrote, and the facts the harness knows of its work.",
    example={"id": "3.0-1f2e3d4c"},
    run=_run,
    agents=("planner",),
    doing="reading handoff `{}`",
)
