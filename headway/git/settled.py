"""Objects of the hub on disk, content and name, before they are answered for.

Git brings loose objects to disk with one sync for many, and renames them afterwards. On ext4 and XFS the next sync of
any file, such as that of a landing's pack, commits those renames too, because all of them are in one journal. Where a
sync is of one file, as on btrfs and f2fs, a power loss would leave a trunk whose blobs are gone.
"""

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.repo import Repo
from headway.system.file_system import file_system
from headway.system.files import sync_folder

_ONE_JOURNAL = frozenset({"ext3", "ext4", "xfs", "tmpfs", "ramfs"})


def settle(repo: Repo, before: Oid, after: Oid, *more: Oid) -> None:
    """Wait until the objects that tree `after` has and `before` lacks are on disk, and `more` as well.

    Raises:
        OSError: The disk is full or broken; they may be lost in a crash of the machine.
    """
    if _in_one_journal(repo.git_dir):
        return
    said = repo.run("diff-tree", "-r", "-t", "-z", "--no-renames", "--raw", before, after).out
    facts = (part.split(b" ") for part in said.split(b"\0")[0::2] if part)
    oids = {fields[3].decode() for fields in facts if fields[1].strip(b"0")} | {after, *more}
    objects = repo.git_dir / "objects"
    # An object that is no longer loose was packed, and maintenance deleted the loose file: the pack must not be lost
    # after that.
    folders = {objects / "pack", objects}
    for oid in oids:
        place = objects / oid[:2] / oid[2:]
        with suppress(FileNotFoundError):
            _sync(place)
            folders.add(place.parent)
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)


def _sync(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@lru_cache(maxsize=64)
def _in_one_journal(folder: Path) -> bool:
    return file_system(folder) in _ONE_JOURNAL
