"""The walls around an agent's commands, from what its run says."""

from headway.domain.ids import AgentId
from headway.domain.spec import RunSpec
from headway.git.workspace import Workspace
from headway.sandbox.caches import keep_small, shared_caches
from headway.sandbox.walls import Walls


def walls_of(agent: AgentId, workspace: Workspace, spec: RunSpec) -> Walls:
    """What a command of this agent is held to. Its git borrows the hub's objects, so that it may read those.

    Makes the run's shared caches where they are missing, and sees to it that they stay small: not for an event loop.
    """
    caches = workspace.hub.folder.parent / "caches"
    keep_small(caches, spec.limits.command_seconds)
    return Walls(
        agent=agent,
        workspace=workspace.path,
        readable=(workspace.hub.folder / "objects",),
        caches=shared_caches(caches, spec.policy.caches),
        memory_mb=spec.limits.agent_memory_mb,
    )
