"""Checkouts that are used again: on a large ext4, writing thousands of files after deleting as many is very slow."""

import os
from dataclasses import replace
from pathlib import Path

from headway.git.changes import SUBMODULE, with_nul
from headway.git.git_process import GitError
from headway.git.repo import Repo
from headway.git.workspace.checkout import CHECKED_OUT
from headway.system.boot import boot_id
from headway.system.files import delete

_KEPT = 8
"""More would only hold disk: as many are needed as end before the next one begins."""


class CheckoutPool:
    """Folders of loose checkouts whose workspace is gone. Safe to use from any number of processes at once.

    One is used within the boot that wrote it: a crash of the machine may have emptied its files.
    """

    def __init__(self, folder: Path, repo: Repo) -> None:
        self.folder = folder
        self._repo = repo
        self._boot = boot_id()

    def give(self, home: Path) -> bool:
        """Take in the folder of a removed workspace; False, with nothing done, when there are enough."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if len(list(self.folder.iterdir())) >= _KEPT:
            return False
        home.rename(self.folder / f"{self._boot}.{os.urandom(8).hex()}")
        return True

    def take(self, home: Path, lock: int) -> bool:
        """Put a checkout at `home` with its index; files that the index does not name are gone. False when there is
        none.

        `lock` keeps all other processes from `home`; git, which may outlive us, holds it as well.
        """
        for found in sorted(self.folder.glob("*")) if self.folder.is_dir() else ():
            try:
                found.rename(home)
            except FileNotFoundError:
                # Another process was faster.
                continue
            if found.name.startswith(f"{self._boot}.") and _cleared(home, replace(self._repo, keep=(lock,))):
                return True
            delete(home)
        return False


def _cleared(home: Path, repo: Repo) -> bool:
    """Take away everything but tracked files and their index."""
    keep = {"files", CHECKED_OUT}
    files = home / "files"
    try:
        for entry in (*home.iterdir(), files / ".git"):
            if entry.name in keep:
                continue
            if entry.is_dir() and not entry.is_symlink():
                delete(entry)
            else:
                entry.unlink(missing_ok=True)
        at = repo.at(files, home / CHECKED_OUT)
        # In place of a tracked file, `clean` takes a folder for the file and leaves the folder's content.
        at.run("checkout-index", "-f", "-q", "-a")
        # `clean` leaves the content of a submodule's folder alone while the index has the submodule.
        listed = at.run("ls-files", "-s", "-z").out.split(b"\0")
        links = [line.partition(b"\t")[2] for line in listed if line.startswith(SUBMODULE.encode())]
        if links:
            at.run("update-index", "-z", "--force-remove", "--stdin", stdin=with_nul(links))
        at.run("clean", "-ffdxq")
    except (OSError, GitError):
        return False
    return True
