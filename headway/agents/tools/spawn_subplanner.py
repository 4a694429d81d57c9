"""`spawn_subplanner`: a planner gives a part of its scope to a planner of its own."""

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.agents.planner.spawning import spawn
from headway.domain.errors import ToolError
from headway.domain.planner_turn import SPAWNS_PER_TURN, ChildKind
from headway.domain.results import Spawn
from headway.domain.task import Scope


class SpawnSubplanner(Scope, Arguments):
    pass


def _run(context: PlannerTools, asked: SpawnSubplanner) -> ToolAnswer:
    if not context.order.may_delegate:
        raise ToolError(context.prompts.render("answers/no_subplanner"))
    if len(context.views.turn.asked) >= SPAWNS_PER_TURN:
        raise ToolError(context.prompts.render("answers/no_room_at_all"))
    return spawn(context, ChildKind.PLANNER, [Scope(**asked.model_dump())], [])


TOOL = Tool(
    name="spawn_subplanner",
    args=SpawnSubplanner,
    description="Gives a part of your scope to a planner of its own, who plans it, spawns its tasks and hands off to "
    "you once.",
    example={"scope": "The parser", "intent": "It is to take the grammar of version 3."},
    run=_run,
    agents=("planner",),
    doing="asking for a sub-planner",
    result=Spawn,
)
