"""The git directory that an agent uses in its workspace: its own index, refs and configuration, the hub's objects.

The harness makes it and puts it on the trunk commit; it never runs git with it.
"""

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from headway.domain.ids import Oid
from headway.git.git_environment import listed
from headway.git.repo import Repo
from headway.system.files import delete, write_whole
from headway.system.walk import let_in, walk

_HALF_DONE = (
    "MERGE_HEAD",
    "MERGE_MSG",
    "MERGE_MODE",
    "AUTO_MERGE",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "SQUASH_MSG",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
)


def make(git_dir: Path, hub: Path, author: str, ignored: str, *, layered: bool = False) -> None:
    """Make an empty one that borrows the hub's objects. HEAD and the index come with `stand_on`.

    `layered`: the files lie on layers of other workspaces. Linking those into a newer layer changes their ctime, which
    git is told not to look at.
    """
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (git_dir / name).mkdir(parents=True)
    (git_dir / "objects/info/alternates").write_text(f"{listed(hub / 'objects')}\n")
    (git_dir / "info/exclude").write_text(f"/{ignored}/\n")
    if (hub / "shallow").is_file():
        shutil.copyfile(hub / "shallow", git_dir / "shallow")
    name, _, mail = author.rpartition(" <")
    settings = {
        "core.repositoryformatversion": "0",
        "core.bare": "false",
        "core.logAllRefUpdates": "true",
        "gc.auto": "0",
        "maintenance.auto": "false",
        "user.name": name,
        "user.email": mail.rstrip(">"),
    }
    if layered:
        # The index is copied for each workspace that commits; this form of it is a quarter smaller.
        settings |= {"core.trustctime": "false", "index.version": "4"}
    # The capabilities of the file system were found out when the hub was made.
    told = Repo(hub).run("config", "-z", "--get-regexp", r"^(core\.(filemode|symlinks|ignorecase)|extensions\..*)$")
    for line in filter(None, told.text.split("\0")):
        key, _, value = line.partition("\n")
        settings[key] = value
    if "extensions.objectformat" in settings:
        settings["core.repositoryformatversion"] = "1"
    (git_dir / "config").write_text("".join(_section(key, value) for key, value in settings.items()))


def _section(key: str, value: str) -> str:
    section, _, name = key.partition(".")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'[{section}]\n\t{name} = "{escaped}"\n'


def stand_on(git_dir: Path, commit: Oid, tree: Repo, home: Path, *, clean: bool) -> None:
    """Put the agent's HEAD, detached, and its index on `commit`; the files are there already.

    `tree` is the harness's own index of the files, whose stat data the agent's index takes over; `clean` says that the
    files are those of the commit. Files are made under a name that the agent cannot know and renamed, so a link that
    the agent left there is replaced and never followed.
    """
    assert tree.index is not None
    index = home / "agent-index"
    shutil.copyfile(tree.index, index)
    if not clean:
        assert tree.work_tree is not None
        tree.at(tree.work_tree, index).run("read-tree", "--reset", commit)
    write_whole(git_dir / "index", index.read_bytes(), synced=False)
    index.unlink()
    write_whole(git_dir / "HEAD", f"{commit}\n".encode(), synced=False)
    for name in _HALF_DONE:
        half = git_dir / name
        if half.is_dir() and not half.is_symlink():
            delete(half)
        else:
            half.unlink(missing_ok=True)


def set_aside(git_dir: Path, home: Path) -> None:
    """Take away a git directory that the agent broke. It is kept in `home` where that lies on the same file system."""
    if git_dir.is_dir() and not git_dir.is_symlink():
        # A folder that may not be written cannot be renamed either.
        let_in(git_dir)
    try:
        git_dir.rename(home / f"broken-{os.urandom(4).hex()}.git")
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if git_dir.is_dir() and not git_dir.is_symlink():
            delete(git_dir)
        else:
            git_dir.unlink()


def clear_locks(git_dir: Path) -> None:
    """Remove the locks that killed git processes left. Only for the holder of the workspace's lease."""
    for place in walk(git_dir, leave_out=("objects",)):
        for name in place.names:
            if name.endswith(".lock"):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=place.fd)
