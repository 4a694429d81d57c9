"""`git_show`: a commit, or a file as it was at one."""

from headway.agents.loop.arguments import Arguments, PathText, ShortText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.system.excerpt import EXCERPT_CHARS, cut


class GitShow(Arguments):
    rev: ShortText
    path: PathText | None = None


def _run(context: PlannerTools, asked: GitShow) -> ToolAnswer:
    return ToolAnswer(cut(context.hub.show(asked.rev, asked.path), EXCERPT_CHARS))


TOOL = Tool(
    name="git_show",
    args=GitShow,
    description="Shows a commit, or how a file stood at one.",
    example={"rev": "1f2e3d4c5b6a"},
    run=_run,
    agents=("planner",),
    doing="reading commit `{}`",
)
