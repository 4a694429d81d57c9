"""The sandbox of an agent's commands, from its run's input."""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from headway.domain.errors import UserError
from headway.domain.ids import AgentId
from headway.domain.spec import RunSpec, SetupRights
from headway.eventlog.redaction import without
from headway.git.hub import Hub
from headway.sandbox.backends.host_binds import refused
from headway.sandbox.caches import keep_small, shared_caches
from headway.sandbox.spec import Cache, SandboxSpec

SHORTEST_SECRET = 4
"""A shorter value would vanish from every text."""


class CommandFiles(Protocol):
    """Files that commands work on, with their hub: a workspace, or a base layer that is being made."""

    @property
    def path(self) -> Path: ...

    @property
    def hub(self) -> Hub: ...

    def tracked(self) -> Collection[str]: ...


def sandbox_spec_of(
    agent: AgentId,
    workspace: CommandFiles,
    spec: RunSpec,
    *,
    setup: SetupRights | None = None,
    env: Mapping[str, str] = os.environ,
) -> SandboxSpec:
    """The sandbox of this agent's commands. Its git borrows the hub's objects, so that it may read those.

    Makes the run's shared caches where they are missing, and sees to it that they stay small: not for an event loop.

    Args:
        agent: The agent that gives the commands.
        workspace: Its files.
        spec: The input of its run.
        setup: The rights of the user's `setup`; None for any other command.
        env: The values of `policy.setup_env`.
    """
    policy = spec.policy
    caches = workspace.hub.folder.parent / "caches"
    keep_small(caches, spec.limits.command_seconds)
    return SandboxSpec(
        agent=agent,
        workspace=workspace.path,
        readable=(workspace.hub.folder / "objects", *map(_place, policy.read_only)),
        caches=_caches(caches, policy.caches, setup),
        network=policy.network == "tasks" if setup is None else setup.network,
        memory_mb=spec.limits.agent_memory_mb,
        wrap=None if setup is not None else policy.wrap,
        tracked=workspace.tracked,
        secrets={name: env[name] for name in policy.setup_env if name in env} if setup and setup.secrets else {},
    )


def _caches(folder: Path, names: Sequence[str], setup: SetupRights | None) -> tuple[Cache, ...]:
    """The shared caches; for a `setup` that has more than agents have, only while nothing is in them."""
    shared = shared_caches(folder, names)
    if setup is None or setup.shares_caches:
        return shared
    return tuple(cache for cache in shared if not any(cache.folder.iterdir()))


def without_secrets(text: str, walls: SandboxSpec) -> str:
    """A command's output, fit for a log: the values of its own secrets are taken out, in all their forms."""
    return without(text, (value for value in walls.secrets.values() if len(value.strip()) >= SHORTEST_SECRET))


def check_policy(spec: RunSpec, private: Sequence[Path], env: Mapping[str, str] = os.environ) -> None:
    """Check at a run's start that this machine can and may give its commands the paths and variables of the policy.

    Args:
        spec: The run's input.
        private: Folders that no command may see.
        env: The values of `policy.setup_env`.

    Raises:
        UserError: With everything that is refused.
    """
    problems = [
        f"policy.read_only: {text} is not shown: {why}"
        for text in spec.policy.read_only
        if (why := refused(_place(text), private))
    ]
    problems += [
        f"policy.setup_env: {name} is not set in the environment of the worker processes"
        for name in spec.policy.setup_env
        if name not in env
    ]
    if problems:
        raise UserError("input: " + "\n".join(problems), "Nothing was started and nothing was changed.")


def _place(text: str) -> Path:
    return Path(text).expanduser()
