"""The tools of agents for tests: those of a worker that edits by pieces, and the reading of a call's arguments."""

from headway.agents.loop.arguments import Arguments, parsed
from headway.agents.loop.tool import Toolset, tool_called
from headway.agents.tools.catalogue import TOOLS, WORKER_TOOLS

REPLACING = WORKER_TOOLS["replace"]
EVERY_TOOL = Toolset({tool.name: tool for tool in TOOLS if "worker" in tool.agents})
"""Every tool of a worker, of both ways to edit."""


def arguments_of(tools: Toolset, name: str, raw: str) -> Arguments:
    """The arguments of a call of one of these tools."""
    tool = tool_called(tools, name)
    arguments: Arguments = parsed(tool.name, tool.args, tool.example, raw)
    return arguments
