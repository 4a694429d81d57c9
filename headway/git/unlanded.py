"""Work of agents that is not on the trunk: the changes that the snapshots of a run still hold."""

from dataclasses import dataclass

from headway.domain.ids import AgentId
from headway.git.hub import TRUNK, Hub
from headway.git.workspace.snapshot import WIP, newest


@dataclass(frozen=True)
class Unlanded:
    """The newest snapshot of one task, and the paths in it that the trunk holds differently."""

    task: AgentId
    ref: str
    paths: tuple[str, ...]


def unlanded(hub: Hub) -> list[Unlanded]:
    """The snapshots that hold something the trunk does not."""
    refs = hub.repo.run("for-each-ref", "--format=%(refname)", WIP).text.split()
    found = []
    for ref in refs:
        task = AgentId(ref.removeprefix(WIP))
        kept = newest(hub, task)
        if kept is None:
            continue
        differ = set(hub.changed_paths(kept.commit, TRUNK))
        paths = tuple(path for path in hub.changed_paths(kept.base, kept.commit) if path in differ)
        if paths:
            found.append(Unlanded(task, ref, paths))
    return found
