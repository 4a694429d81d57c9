"""One base layer: its notes, and its files as workspaces use them."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from headway.domain.ids import Oid
from headway.git.workspace import overlay
from headway.git.workspace.setup_cache import SetupDone
from headway.git.workspace.setup_changes import SetupChanges
from headway.system.files import delete

FACTS = "facts.json"


class BaseLayerFacts(BaseModel):
    """Notes of a base layer.

    Attributes:
        layers: Numbers of the base layers whose layers make up its files, the newest first; its own is the first.
        setup: Result of `setup`, if it ran here or in an older layer.
        made: The changes of `setup` in files that are not ignored.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    commit: Oid
    tree: Oid
    layers: tuple[int, ...]
    boot_id: str
    setup: SetupDone | None = None
    made: SetupChanges | None = None


@dataclass(frozen=True)
class BaseLayer:
    """A published one.

    Attributes:
        folder: Its folder.
        layers: The folders of its layers, the newest first.
    """

    folder: Path
    facts: BaseLayerFacts
    layers: tuple[Path, ...]

    @property
    def index(self) -> Path:
        """Git's index of the commit's files, which knows them by their stat data as an overlay shows them."""
        return self.folder / "index"

    def stray(self) -> frozenset[bytes]:
        """Names that differ from the commit already, because `setup` made or changed them and nothing ignores them."""
        return frozenset(filter(None, (self.folder / "stray").read_bytes().split(b"\0")))


def discard(place: Path) -> None:
    """Delete a folder of ours, mounts below it included."""
    if not place.exists():
        return
    for scratch in (place, *(found for found in place.iterdir() if found.is_dir())):
        overlay.unmount(scratch / overlay.MOUNT_POINT)
    delete(place)
