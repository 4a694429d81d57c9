"""`list_dir`: the names in a folder."""

from typing import Annotated

from pydantic import Field

from headway.agent.conversation import Answer
from headway.agent.excerpt import EXCERPT_CHARS, cut
from headway.agent.tools.arguments import Arguments, PathText
from headway.agent.tools.tool import BOTH, AnyContext, Tool


class ListDir(Arguments):
    path: PathText = "."
    depth: Annotated[int, Field(ge=1, le=3, description="Levels, 1 to 3.")] = 1


def _run(context: AnyContext, asked: ListDir) -> Answer:
    return Answer(cut(context.files.list_dir(asked.path, asked.depth), EXCERPT_CHARS))


TOOL = Tool(
    name="list_dir",
    args=ListDir,
    description="Lists a folder of the repository.",
    example={"path": "src", "depth": 2},
    run=_run,
    agents=BOTH,
    doing="listing `{}`",
)
