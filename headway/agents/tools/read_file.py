"""`read_file`: numbered lines of a file."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import BOTH, AnyContext, Tool
from headway.system.excerpt import EXCERPT_CHARS, LINES_READ, cut


class ReadFile(Arguments):
    path: PathText
    start: Annotated[int, Field(ge=1, description="First line.")] = 1
    limit: Annotated[int, Field(ge=1, le=2_000, description="Lines.")] = LINES_READ


def _run(context: AnyContext, asked: ReadFile) -> ToolAnswer:
    return ToolAnswer(cut(context.files.read(asked.path, asked.start, asked.limit), EXCERPT_CHARS))


TOOL = Tool(
    name="read_file",
    args=ReadFile,
    description="Reads numbered lines of a file of the repository.",
    example={"path": "src/app.py", "start": 1, "limit": 200},
    run=_run,
    agents=BOTH,
    doing="reading `{}`",
)
