"""`git_log`: the newest commits."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.system.excerpt import EXCERPT_CHARS, cut


class GitLog(Arguments):
    path: Annotated[PathText | None, Field(description="Only commits that touched it.")] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


def _run(context: PlannerTools, asked: GitLog) -> ToolAnswer:
    return ToolAnswer(cut(context.hub.log(context.pinned, asked.path, asked.limit), EXCERPT_CHARS))


TOOL = Tool(
    name="git_log",
    args=GitLog,
    description="Lists commits of the trunk, newest first.",
    example={"path": "src/app.py", "limit": 10},
    run=_run,
    agents=("planner",),
    doing="reading the log of `{}`",
)
