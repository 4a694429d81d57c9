"""Growth of the trunk's files over those of its base. `limits.trunk_mb` bounds it.

A quota bounds each agent's disk, but landed files count for no agent. Without this bound one agent within its quota
could fill the disk by landing: compressible text takes little space in the hub, and its full size in every checkout.
"""

from pydantic import BaseModel, ConfigDict, ValidationError

from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, SUBMODULE, Entry, entries
from headway.git.hub import Hub
from headway.git.repo import Repo
from headway.system.files import write_whole

ALWAYS_FROM = 256 * 1024
"""A landing of at least this many bytes is always checked. Of smaller ones one in sixteen is, because a check costs one
or two processes; that suffices to notice that many small ones have added up."""

_NOTE = "growth.json"


class _Growth(BaseModel):
    """Growth of the files at a trunk commit over those of the base, in bytes."""

    model_config = ConfigDict(frozen=True)

    commit: Oid
    bytes: int


def growth(hub: Hub) -> int:
    """Growth of the trunk's files over those of the base, in bytes.

    A note next to the hub holds the sum and its commit, and only later commits are added to it. Without the note the
    sum is computed from the base.
    """
    tip, note = hub.tip(), hub.folder / _NOTE
    try:
        known = _Growth.model_validate_json(note.read_bytes())
    except (FileNotFoundError, ValidationError):
        known = _Growth(commit=hub.facts().base, bytes=0)
    if known.commit != tip:
        added = added_bytes(hub.repo, entries(hub.repo, known.commit, tip))
        known = _Growth(commit=tip, bytes=known.bytes + added)
        write_whole(note, known.model_dump_json().encode(), synced=False)
    return known.bytes


def added_bytes(repo: Repo, changed: list[Entry]) -> int:
    """Bytes that a change adds to the files; negative when it makes them smaller."""
    new = [entry.oid for entry in changed if entry.mode not in (NO_MODE, SUBMODULE)]
    old = [entry.old_oid for entry in changed if entry.status != "A"]
    sizes = sizes_of(repo, [*new, *old])
    return sum(sizes[: len(new)]) - sum(sizes[len(new) :])


def sizes_of(repo: Repo, blobs: list[Oid]) -> list[int]:
    """The sizes of blobs in bytes; 0 for another object, such as the commit of a submodule."""
    if not blobs:
        return []
    asked = "".join(f"{oid}\n" for oid in blobs).encode()
    said = repo.run("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=asked).text.split("\n")
    return [int(line[5:]) if line.startswith("blob ") else 0 for line in said[: len(blobs)]]
