"""Identifiers as types, and the derivation of one from another.

The id of an agent is its Temporal workflow id: `<run>/root-<h>` for the root planner, `<parent>/<turn>.<index>-<h>`
below it. The hash makes a retry and a replay find the same child, while a reset that decides differently, or a second
run of the same name, never adopts a stranger.
"""

import hashlib
import re
from typing import Literal, NewType

RunName = NewType("RunName", str)
"""The workflow id of a `Run`; also its name in branches, refs, trailers and commands."""

AgentId = NewType("AgentId", str)
"""The workflow id of a `Planner` or a `Task`; for events of the run itself, the run's name."""

ChildKey = NewType("ChildKey", str)
"""The last part of a child's id, `<turn>.<index>-<h>`: unique under its parent, and shorter."""

Incarnation = NewType("Incarnation", str)
"""The first execution id of a `Run`: stable over continue-as-new and reset, new at a new start."""

Oid = NewType("Oid", str)
"""A full hexadecimal git object id."""

Role = Literal["run", "planner", "worker", "fixer"]
"""Kind of an agent; `run` for events of the run itself."""

Fence = NewType("Fence", str)
"""A lease in a form that another process can check; never empty."""

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
CHILD_KEY = re.compile(r"(\d+)\.(\d+)-([0-9a-f]{8})")


def short_hash(*parts: str) -> str:
    """Eight hexadecimal digits that stand for `parts`."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]


def run_name_problem(name: str) -> str | None:
    """Reason why `name` cannot name a run, or None. It becomes part of git refs, which are stricter than ids."""
    if not RUN_NAME.fullmatch(name):
        return "must be 1 to 61 letters, digits, dots, underscores or dashes, and start with a letter or a digit"
    if ".." in name or name.endswith((".", ".lock")):
        return "must not contain '..' and must not end in '.' or '.lock', because git refuses such a branch name"
    return None


def root_planner_id(run: RunName, incarnation: Incarnation, attempt: int = 1) -> AgentId:
    """The id of the run's root planner; a later attempt takes the place of one that failed."""
    parts = (incarnation,) if attempt == 1 else (incarnation, str(attempt))
    return AgentId(f"{run}/root-{short_hash(*parts)}")


def child_key(turn: int, index: int, incarnation: Incarnation, decision: str) -> ChildKey:
    """The key of the child that the `index`-th entry of a turn's decisions asks for.

    `decision` is the canonical text of the request.
    """
    return ChildKey(f"{turn}.{index}-{short_hash(incarnation, decision)}")


def decision_of(key: ChildKey) -> str:
    """The hash of a request, which is the same in any turn of a run."""
    return key.partition("-")[2]


def child_id(parent: AgentId, key: ChildKey) -> AgentId:
    """The workflow id of a planner's child."""
    return AgentId(f"{parent}/{key}")


def key_of(agent: AgentId) -> ChildKey:
    """The last part of an agent's id."""
    return ChildKey(agent.rpartition("/")[2])


def parent_of(agent: AgentId) -> AgentId:
    """The id of the workflow that an agent reports to."""
    return AgentId(agent.rpartition("/")[0])


def key_below(above: AgentId, agent: AgentId) -> ChildKey:
    """The key of an agent under any planner above it, or under its run; `child_id` takes it back.

    It has slashes where the agent was asked for by a planner in between, which is closed.
    """
    return ChildKey(agent.removeprefix(f"{above}/"))


def all_above(agent: AgentId) -> tuple[AgentId, ...]:
    """Every workflow above an agent, the nearest first, its run last."""
    parts = agent.split("/")
    return tuple(AgentId("/".join(parts[:end])) for end in range(len(parts) - 1, 0, -1))


def is_adopted(key: ChildKey) -> bool:
    """True if a child's key is that of an agent whose own planner is closed."""
    return "/" in key


def run_of(agent: AgentId) -> RunName:
    """The run that an agent belongs to."""
    return RunName(agent.partition("/")[0])


def place_of(key: ChildKey) -> tuple[int, int] | None:
    """(turn, index) of a child's key, or None for a key of another form, such as the root planner's."""
    found = CHILD_KEY.fullmatch(key)
    return (int(found[1]), int(found[2])) if found else None
