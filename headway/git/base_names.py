"""Whether the files of the base can be laid out at all. If not, the run is refused before any agent tries."""

import os

from headway.domain.errors import UserError
from headway.domain.ids import Oid
from headway.git.changes import shown
from headway.git.repo import Repo

NAME_BYTES = 255
PATH_BYTES = 3_500
"""A path in a workspace; the kernel takes 4,095 bytes with the folders above."""

_INVALID = "invalid path"
_OTHER = "Name another 'base', or rename it in your repository."


def check_names(hub: Repo, base: Oid) -> None:
    """Refuse a base with a path that no workspace can hold.

    Raises:
        UserError: git refuses a path (such as `.GIT/config`), or it is too long for a file system.
    """
    index = hub.git_dir / "base.index"
    try:
        read = hub.at(hub.git_dir, index).run("read-tree", base, ok=None)
    finally:
        index.unlink(missing_ok=True)
    if read.code and _INVALID in read.err:
        _, _, path = read.err.partition(_INVALID)
        raise UserError(f"base: git lays out no such path: {path.strip()[:300]}", _OTHER)
    for name in hub.run("ls-tree", "-r", "-z", "--name-only", base).out.split(b"\0"):
        if len(name) > PATH_BYTES or max(map(len, name.split(b"/"))) > NAME_BYTES:
            raise UserError(f"base: a path is too long for a file system: {shown(os.fsdecode(name)[:300])}", _OTHER)
