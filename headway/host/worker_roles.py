"""The worker processes of one machine, as children of a supervisor."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import headway
from headway.host.child_process import ChildProcess

ROLES = ("workflows", "planning", "agents")
"""In the order they start. Apart, because a blocking call of one must not starve another's heartbeats."""

AGENTS = "HEADWAY_AGENTS"
USUAL_AGENTS = 8 * (os.cpu_count() or 1)
"""The default number of agents at once. They mostly wait for their model."""

SKIP_RUN = "After an upgrade: start although this run does not fit; it stands still until the old version is back."

ALLOW_WEAK = "--allow-weak-sandbox"
WEAK = "Start also where commands of a model cannot be walled in; `headway doctor` says what that means."


def worker_children(
    agents: int | None = None,
    env: Mapping[str, str | None] | None = None,
    skip_runs: Sequence[str] = (),
    *,
    allow_weak: bool = False,
) -> list[ChildProcess]:
    """One child per role, named by it.

    Args:
        agents: Number of agents at once; None leaves it to the worker's own default.
        env: Additions to their environment, such as the address of a service that was just started.
        skip_runs: Runs that are not checked when the workflows' code has changed.
        allow_weak: They start also on a machine without a sandbox for commands.
    """
    # By path, not by module name: the same file in a checkout and in a wheel, whatever the working directory holds.
    program = str(Path(headway.__file__).resolve().parent.parent / "worker.py")
    children = []
    for role in ROLES:
        more: list[str] = []
        if role == "agents" and agents is not None:
            more = ["--agents", str(agents)]
        if role == "workflows":
            more = [part for run in skip_runs for part in ("--skip-run", run)]
        elif allow_weak:
            more = [*more, ALLOW_WEAK]
        children.append(ChildProcess(role, (sys.executable, program, "--only", role, *more), env or {}, heartbeat=True))
    return children
