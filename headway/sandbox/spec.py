"""The sandbox of a command: the one tree that it may write, the paths that it may read, and its network."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

INSIDE = Path("/workspace")
"""Path of every agent's workspace at the levels that can place it: build caches that hold paths stay valid."""


@dataclass(frozen=True)
class Cache:
    """A folder of a build tool that the commands of several agents share and may write.

    Attributes:
        folder: On the host; exists.
        inside: Path that a command sees, at the levels that can place it; elsewhere it is seen at `folder`.
        variable: The environment variable that tells the tool where it is; None for one that looks by itself.
    """

    folder: Path
    inside: Path
    variable: str | None = None


@dataclass(frozen=True)
class SandboxSpec:
    """The bounds of one command.

    Attributes:
        agent: The agent that gave the command; resources are counted by it.
        workspace: The one tree that it may write, as the host sees it.
        readable: More paths that it may read, as the host names them: the hub's objects, `policy.read_only`.
        caches: Caches that it shares with other agents.
        network: True if it may reach out; it never reaches this machine's own services.
        memory_mb: Megabytes for all processes of its agent together.
        disk_mb: The most that the workspace may take; None for the whole disk.
        wrap: A command line that the command runs through; it gets the command as its arguments.
        tracked: Tells the paths of the repository's files in the workspace. They stay when files of a command are
            removed because it filled the disk.
        secrets: More variables of its environment, never logged; only the user's `setup` has any.
    """

    agent: str
    workspace: Path
    readable: tuple[Path, ...] = ()
    caches: tuple[Cache, ...] = ()
    network: bool = False
    memory_mb: int = 2048
    disk_mb: int | None = None
    wrap: str | None = None
    tracked: Callable[[], Collection[str]] = field(default=tuple, repr=False, compare=False)
    secrets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
