"""The walls around an agent's commands, from what its run says."""

from headway.domain.ids import AgentId
from headway.domain.spec import RunSpec
from headway.git.workspace import Workspace
from headway.sandbox.walls import Walls


def walls_of(agent: AgentId, workspace: Workspace, spec: RunSpec) -> Walls:
    """What a command of this agent is held to. Its git borrows the hub's objects, so that it may read those."""
    return Walls(
        agent=agent,
        workspace=workspace.path,
        readable=(workspace.hub.folder / "objects",),
        memory_mb=spec.limits.agent_memory_mb,
    )
