"""How much larger the trunk's files are than those of its base. `limits.trunk_mb` bounds it.

Each agent's disk is bounded by a quota, and what has landed counts for no agent. Without this bound, one agent that
stays within its quota fills the disk by landing: compressible text takes little in the hub, and all of its size in
every checkout.
"""

from pydantic import BaseModel, ConfigDict, ValidationError

from headway.domain.ids import Oid
from headway.git.changes import NO_MODE, SUBMODULE, Entry, entries
from headway.git.hub import Hub
from headway.git.repo import Repo
from headway.system.files import write_whole

ALWAYS_FROM = 256 * 1024
"""Bytes from which on a landing always meets the bound. Of smaller ones one in sixteen does, which is enough to see
that many have added up: the look costs a process or two."""

_NOTE = "growth.json"


class _Growth(BaseModel):
    """Bytes that the files of a trunk commit take more than those of the base."""

    model_config = ConfigDict(frozen=True)

    commit: Oid
    bytes: int


def growth(hub: Hub) -> int:
    """Bytes that the trunk's files take more than the base's.

    The sum is kept beside the hub with the commit that it belongs to, and goes on from there. Without the note it is
    made again from the base.
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
    """Bytes that a change adds to the files; less than 0 for one that makes them smaller."""
    new = [entry.oid for entry in changed if entry.mode not in (NO_MODE, SUBMODULE)]
    old = [entry.old_oid for entry in changed if entry.status != "A"]
    sizes = sizes_of(repo, [*new, *old])
    return sum(sizes[: len(new)]) - sum(sizes[len(new) :])


def sizes_of(repo: Repo, blobs: list[Oid]) -> list[int]:
    """The sizes of blobs, in bytes; 0 for what is none, such as the commit of a submodule."""
    if not blobs:
        return []
    asked = "".join(f"{oid}\n" for oid in blobs).encode()
    said = repo.run("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=asked).text.split("\n")
    return [int(line[5:]) if line.startswith("blob ") else 0 for line in said[: len(blobs)]]
