"""Ids of agents as people type them: `root` for the root planner, `1.3` for the fourth task of its first turn.

Below a sub-planner the parts are joined by a slash: `1.0/2.4`. The hash of the full id is left out; where a reset made
two agents of one place, it is given as far as needed: `1.3-90a2`.
"""

import re
from collections.abc import Iterable, Mapping

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, RunName
from headway.domain.words import counted

ROOT = "root"
NAMED = 20
_LIKE_AN_ID = re.compile(r"[\d./-]*")
_HASH = re.compile(r"-[0-9a-f]{8}$")


def short_id(agent: AgentId) -> str:
    """The id as it is shown, and accepted by all commands; the run's own name for the run itself."""
    _, _, below = agent.partition("/")
    if not below:
        return agent
    parts = [_HASH.sub("", part) for part in below.split("/")]
    return "/".join(parts[1:]) or parts[0]


def matching(given: str, run: RunName, known: Iterable[AgentId], titles: Mapping[AgentId, str]) -> list[AgentId]:
    """The agents of a run that a word can mean: by full id, by short id, by title.

    An earlier rule that finds any goes before the later ones.
    """
    agents = sorted(set(known))
    full = [agent for agent in agents if given in {str(agent), agent.removeprefix(f"{run}/")}]
    if full:
        return full
    found = [agent for agent in agents if _is_short(given, agent)]
    if found:
        return found
    wanted = _plain(given)
    named = {agent: _plain(title) for agent, title in titles.items() if title}
    exact = [agent for agent, title in named.items() if title == wanted]
    part = wanted if not _LIKE_AN_ID.fullmatch(wanted) else ""
    return sorted(exact or [agent for agent, title in named.items() if part and part in title])


def one_of(given: str, run: RunName, found: list[AgentId], titles: Mapping[AgentId, str]) -> AgentId:
    """The one agent that a word means.

    Raises:
        UserError: It means none, or several.
    """
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(
            f"The run '{run}' has no agent '{given}'.",
            f"`headway status {run} --all` shows them: give an id such as 1.3, or a title.",
        )
    lines = "".join(f"\n  {agent.removeprefix(f'{run}/')}  {titles.get(agent, '')}".rstrip() for agent in found[:NAMED])
    more = f"\n  and {len(found) - NAMED} more" if len(found) > NAMED else ""
    raise UserError(
        f"'{given}' means {counted(len(found), 'agent')} of run '{run}':{lines}{more}", "Give one of these ids."
    )


def _is_short(given: str, agent: AgentId) -> bool:
    """True when each part of `given` is that part of the agent's id, with its hash left out or cut short."""
    _, _, below = agent.partition("/")
    parts, wanted = below.split("/"), given.split("/")
    if len(parts) > 1:
        parts = parts[1:] if wanted[0] != ROOT and not wanted[0].startswith(f"{ROOT}-") else parts
    if len(parts) != len(wanted):
        return False
    return all(
        word == _HASH.sub("", part) or (word.startswith(f"{_HASH.sub('', part)}-") and part.startswith(word))
        for word, part in zip(wanted, parts, strict=True)
    )


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
