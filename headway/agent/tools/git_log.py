"""`git_log`: the newest commits."""

from typing import Annotated

from pydantic import Field

from headway.agent.conversation import Answer
from headway.agent.excerpt import EXCERPT_CHARS, cut
from headway.agent.planning_desk import PlanningDesk
from headway.agent.tools.arguments import Arguments, PathText
from headway.agent.tools.tool import Tool


class GitLog(Arguments):
    path: Annotated[PathText | None, Field(description="Only commits that touched it.")] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


def _run(context: PlanningDesk, asked: GitLog) -> Answer:
    return Answer(cut(context.hub.log(context.pinned, asked.path, asked.limit), EXCERPT_CHARS))


TOOL = Tool(
    name="git_log",
    args=GitLog,
    description="Lists commits of the trunk, newest first.",
    example={"path": "src/app.py", "limit": 10},
    run=_run,
    agents=("planner",),
    doing="reading the log of `{}`",
)
