"""`git_show`: a commit, or a file as it was at one."""

from headway.agent.conversation import Answer
from headway.agent.excerpt import EXCERPT_CHARS, cut
from headway.agent.planning_desk import PlanningDesk
from headway.agent.tools.arguments import Arguments, PathText, ShortText
from headway.agent.tools.tool import Tool


class GitShow(Arguments):
    rev: ShortText
    path: PathText | None = None


def _run(context: PlanningDesk, asked: GitShow) -> Answer:
    return Answer(cut(context.hub.show(asked.rev, asked.path), EXCERPT_CHARS))


TOOL = Tool(
    name="git_show",
    args=GitShow,
    description="Shows a commit, or how a file stood at one.",
    example={"rev": "1f2e3d4c5b6a"},
    run=_run,
    agents=("planner",),
    doing="reading commit `{}`",
)
