"""Finds the agent that a word on the command line means: by full id, short id or title."""

import asyncio
from pathlib import Path

from temporalio.client import Client

from headway.domain.ids import AgentId
from headway.domain.tree import walk
from headway.eventlog.local_store import LocalStore
from headway.eventlog.views.figures import figures_of
from headway.runs.live_tree import live_tree
from headway.runs.run_lookup import KnownRun, agents_of, root_planners
from headway.runs.short_ids import ROOT, matching, one_of


async def find_agent(client: Client, home: Path, run: KnownRun, given: str) -> AgentId:
    """The agent of a run that `given` means.

    Raises:
        UserError: It means none, or several.
    """
    roots = await root_planners(client, run)
    if given == ROOT and roots:
        return roots[-1]  # those before it failed, and were replaced
    name = run.name
    known = await agents_of(client, name)
    # Titles stand in no result of a tool.
    figures = await asyncio.to_thread(figures_of, LocalStore(home), name)
    titles = {agent: each.title for agent, each in figures.agents.items()}
    found = matching(given, name, [*known, *figures.agents], titles)
    if not found:
        # An agent without a log has its title in its planner's answer alone.
        tree = await live_tree(client, name)
        titles |= {node.id: node.title for node, _ in walk(tree)} if tree is not None else {}
        found = matching(given, name, [*known, *titles], titles)
    return one_of(given, name, found, titles)
