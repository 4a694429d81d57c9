"""`grep`: the lines that match a regular expression."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText, ShortText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import BOTH, AnyContext, Tool
from headway.system.excerpt import EXCERPT_CHARS, cut


class Grep(Arguments):
    pattern: ShortText
    path: PathText = "."
    glob: Annotated[ShortText | None, Field(description="Only files whose name matches, such as *.py.")] = None


def _run(context: AnyContext, asked: Grep) -> ToolAnswer:
    return ToolAnswer(cut(context.files.grep(asked.pattern, asked.path, asked.glob), EXCERPT_CHARS))


TOOL = Tool(
    name="grep",
    args=Grep,
    description="Searches the repository for an extended regular expression; answers at most 100 lines as "
    "path:line:text.",
    example={"pattern": "def parse", "path": "src", "glob": "*.py"},
    run=_run,
    agents=BOTH,
    doing="searching `{}`",
)
