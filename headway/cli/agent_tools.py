"""The declarations of the agents' tools, for the commands that show or script calls of them.

This module alone loads the agents' room for them, and only when it is asked: other commands start faster without it.
"""

from collections.abc import Mapping

from headway.domain.results import Results


def results() -> Results:
    """The model of each tool's results, by the tool's name."""
    from headway.agents.tools.catalogue import RESULTS

    return RESULTS


def names() -> Mapping[str, frozenset[str]]:
    """The names of the tools that planners and workers have, by the kind of agent."""
    from headway.agents.tools.catalogue import BY_AGENT

    return BY_AGENT


def doing(tool: str, told: str) -> str:
    """The words for people on a call that runs.

    Args:
        tool: The called tool; it may be one of another version.
        told: The argument that tells most; empty for none.
    """
    from headway.agents.tools.catalogue import DOING

    words = DOING.get(tool, f"{tool.replace('_', ' ')} `{{}}`")
    return words.replace("{}", told) if told else words.removesuffix("`{}`").rstrip()
