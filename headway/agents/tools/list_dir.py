"""`list_dir`: the names in a folder."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import BOTH, AnyContext, Tool
from headway.system.excerpt import EXCERPT_CHARS, cut


class ListDir(Arguments):
    path: PathText = "."
    depth: Annotated[int, Field(ge=1, le=3, description="Levels, 1 to 3.")] = 1


def _run(context: AnyContext, asked: ListDir) -> ToolAnswer:
    return ToolAnswer(cut(context.files.list_dir(asked.path, asked.depth), EXCERPT_CHARS))


TOOL = Tool(
    name="list_dir",
    args=ListDir,
    description="Lists a folder of the repository.",
    example={"path": "src", "depth": 2},
    run=_run,
    agents=BOTH,
    doing="listing `{}`",
)
