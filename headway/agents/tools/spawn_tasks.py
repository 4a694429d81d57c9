"""`spawn_tasks`: a planner asks for tasks."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.agents.planner.spawning import spawn
from headway.domain.errors import ToolError
from headway.domain.planner_turn import SPAWNS_PER_TURN, ChildKind
from headway.domain.results import Spawn
from headway.domain.task import TaskSpec


class SpawnTasks(Arguments):
    tasks: Annotated[
        tuple[TaskSpec, ...], Field(min_length=1, max_length=SPAWNS_PER_TURN, description="1 to 100 tasks.")
    ]


def _run(context: PlannerTools, asked: SpawnTasks) -> ToolAnswer:
    before = context.views.turn.asked
    tasks = sum(child.kind is ChildKind.TASK for child in before.values())
    room = min(context.order.spawnable - tasks, SPAWNS_PER_TURN - len(before))
    if len(asked.tasks) > room:
        name = "answers/no_room" if room > 0 else "answers/no_room_at_all"
        values = {"asked": len(asked.tasks), "room": room} if room > 0 else {}
        raise ToolError(context.prompts.render(name, **values))
    return spawn(context, ChildKind.TASK, asked.tasks, list(context.views.children.outstanding.values()))


TOOL = Tool(
    name="spawn_tasks",
    args=SpawnTasks,
    description="Asks for tasks. Each goes to a worker who sees nothing but the task and the repository. Each ends in "
    "one handoff to you. All tasks of the call count, or none.",
    example={"tasks": [{"title": "Raise the limit", "intent": "Users need 20 entries.", "paths": ["src/app.py"]}]},
    run=_run,
    agents=("planner",),
    doing="asking for tasks",
    result=Spawn,
)
