"""`wait`: a planner ends its turn until a handoff or a message comes."""

from headway.agent.conversation import Answer
from headway.agent.planning_desk import PlanningDesk
from headway.agent.tools.arguments import Arguments
from headway.agent.tools.tool import Tool
from headway.domain.results import Waits


class Wait(Arguments):
    pass


def _run(context: PlanningDesk, _: Wait) -> Answer:
    return Answer(context.prompts.render("answers/wait"), compared=None, result=Waits())


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
