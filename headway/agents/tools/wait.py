"""`wait`: a planner ends its turn until a handoff or a message comes."""

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.domain.results import Waits


class Wait(Arguments):
    pass


def _run(context: PlannerTools, _: Wait) -> ToolAnswer:
    return ToolAnswer(context.prompts.render("answers/wait"), compared=None, result=Waits())


TOOL = Tool(
    name="wait",
    args=Wait,
    description="Ends the turn. You are woken by handoffs and by messages; waiting costs nothing.",
    example={},
    run=_run,
    agents=("planner",),
    doing="waiting",
    result=Waits,
)
