"""Maintenance of a hub: packing next to the landings, so that the ten-thousandth is as quick as the first.

It runs as `python -m headway.git.maintenance HUB`, which a landing starts now and then. It never takes the trunk's
lock, and deletes no object: objects that are loose or in a small pack go into a larger one, reachable or not. It may be
killed at any moment.
"""

import fcntl
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil

from headway.git.ledger import LandingLedger, MaintenanceNote
from headway.git.repo import Repo
from headway.system.process import is_open

LANDINGS = 500
LONGEST_S = 1800.0
SHORTEST_S = 30.0

_MEMORY = {"pack.windowMemory": "256m", "core.bigFileThreshold": "64m"}
"""Bounds while objects are packed. Each thread of git holds ten at once to find their common parts, and an agent may
have written files of any size. Those over 64 MB are packed by themselves."""

_LOOSE_REFS = 1_000
_DEBRIS_S = 3600.0
_INHERITED = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "TMPDIR", "LANG")

_running: list["subprocess.Popen[bytes]"] = []


def due(ledger: LandingLedger) -> bool:
    """True if maintenance is due; the next counts from now. The caller holds the trunk's lock, so one begins it."""
    last, now, landings = ledger.maintenance_note(), time.time(), ledger.count()
    since = landings - last.landings
    # Noted by a clock that was ahead: how long ago is not known, so that it is time.
    passed = now - last.at if now >= last.at else LONGEST_S
    if not (since >= LANDINGS and passed >= SHORTEST_S) and not (since > 0 and passed >= LONGEST_S):
        return False
    ledger.note_maintenance(MaintenanceNote(landings, now))
    return True


def start(hub: Path) -> None:
    """Begin it in a process of its own, at low priority."""
    _running[:] = [process for process in _running if process.poll() is None]
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    nothing = subprocess.DEVNULL
    command = [sys.executable, "-P", "-m", "headway.git.maintenance", str(hub)]
    _running.append(
        subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, env=env, start_new_session=True)
    )


def tidy(hub: Path) -> bool:
    """Pack objects and refs, and write the files that make history quick to read; False while another process is at it.

    Raises:
        GitError: For example, the disk is full. Nothing is lost, and the next one tries again.
    """
    handle = os.open(hub / "upkeep.flock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        # Git holds the lock as well: one that outlives us is waited for.
        repo = Repo(hub, keep=(handle,))
        _clear_debris(hub)
        _keep_folders(hub)
        packing = replace(repo, settings=tuple(_MEMORY.items()))
        packing.run("repack", "-d", "-l", "-q", "--geometric=2", "--no-write-bitmap-index")
        repo.run("commit-graph", "write", "--reachable", "--split", "--changed-paths", "--no-progress")
        if sum(len(names) for _, _, names in os.walk(hub / "refs")) > _LOOSE_REFS:
            repo.run("pack-refs", "--all")
        return True
    finally:
        os.close(handle)


def _clear_debris(hub: Path) -> None:
    """Delete the leftovers of a maintenance that was killed, or of a batch that never became a pack."""
    for left in (hub / "objects/info/commit-graphs").glob("*.lock"):
        # Only maintenance writes the commit graph, and we hold its lock.
        left.unlink(missing_ok=True)
    old = time.time() - _DEBRIS_S
    for pattern in ("objects/pack/tmp_*", "objects/pack/.tmp-*", "packed-refs.lock"):
        for left in hub.glob(pattern):
            with suppress(FileNotFoundError):
                # The age is by the wall clock, which may have been set: a file that is being written stays.
                if left.stat().st_mtime < old and not is_open(left):
                    left.unlink()


def _keep_folders(hub: Path) -> None:
    """Keep every folder of loose objects non-empty.

    Git would remove an empty one, and a process that writes an object at that moment would fail. Git takes the name for
    a file that was left half written, and looks past it.
    """
    for number in range(256):
        folder = hub / "objects" / f"{number:02x}"
        folder.mkdir(exist_ok=True)
        (folder / "tmp_obj_keeps_the_folder").touch()


def _lower_priority() -> None:
    os.nice(10)
    with suppress(AttributeError, psutil.Error, OSError):
        psutil.Process().ionice(psutil.IOPRIO_CLASS_IDLE)


if __name__ == "__main__":
    _lower_priority()
    tidy(Path(sys.argv[1]))
