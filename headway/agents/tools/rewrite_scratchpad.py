"""`rewrite_scratchpad`: an agent's notes, replaced as a whole."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.scratchpad import rewrite
from headway.agents.loop.tool import BOTH, AnyContext, Tool

Notes = Annotated[str, Field(max_length=1_000_000, description="All of them; at most about 6,000 tokens.")]


class RewriteScratchpad(Arguments):
    content: Notes


def _run(context: AnyContext, asked: RewriteScratchpad) -> ToolAnswer:
    return rewrite(context.conversation, context.prompts, asked.content)


TOOL = Tool(
    name="rewrite_scratchpad",
    args=RewriteScratchpad,
    description="Replaces your notes as a whole. They outlive the conversation; nothing else that you know does.",
    example={"content": "Goal: the limit is 20. Open: the documentation."},
    run=_run,
    agents=BOTH,
    doing="writing notes",
    is_work=False,
)
