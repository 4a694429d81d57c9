"""Every tool, found in the modules of this package: a tool is added by a module of its own, and named nowhere else."""

import pkgutil
from collections.abc import Iterable, Mapping
from importlib import import_module

from headway.agents import tools as package
from headway.agents.loop.tool import BOTH, AgentKind, AnyTool, Toolset
from headway.domain.results import Result
from headway.models.editing import Edit

EDITS: tuple[Edit, ...] = ("patch", "replace")


def declared() -> tuple[AnyTool, ...]:
    """The tools of all modules here, by name. Modules without `TOOL` or `TOOLS` are parts that tools share."""
    found: list[AnyTool] = []
    for name in sorted(module.name for module in pkgutil.iter_modules(package.__path__)):
        module = import_module(f"{package.__name__}.{name}")
        found += getattr(module, "TOOLS", [module.TOOL] if hasattr(module, "TOOL") else [])
    return tuple(sorted(found, key=lambda tool: tool.name))


def toolset(tools: Iterable[AnyTool], agent: AgentKind, edit: Edit | None = None) -> Toolset:
    """The tools of one kind of agents.

    Args:
        tools: All tools.
        agent: The kind.
        edit: The way in which the agent's model edits files.

    Raises:
        TypeError: Two tools of the same agents have the same name.
    """
    own = [tool for tool in tools if agent in tool.agents and tool.edit in {None, edit}]
    found = {tool.name: tool for tool in own}
    if len(found) < len(own):
        raise TypeError(f"two tools of a {agent} have the same name: {[tool.name for tool in own]}")
    return Toolset(found)


def results_of(tools: Iterable[AnyTool]) -> Mapping[str, type[Result]]:
    """The model of the facts that each tool notes, for readers of logs."""
    return {tool.name: tool.result for tool in tools if tool.result is not None}


TOOLS = declared()
PLANNER_TOOLS = toolset(TOOLS, "planner")
WORKER_TOOLS: Mapping[Edit, Toolset] = {edit: toolset(TOOLS, "worker", edit) for edit in EDITS}
"""By the way in which a worker's model edits files."""

RESULTS = results_of(TOOLS)
DOING: Mapping[str, str] = {tool.name: tool.doing for tool in TOOLS}
BY_AGENT: Mapping[str, frozenset[str]] = {
    agent: frozenset(tool.name for tool in TOOLS if agent in tool.agents) for agent in BOTH
}
"""The names of all tools that agents of a kind may have, whatever their models."""
