"""The queue of a trunk: submissions of every process wait in a folder of the hub, and get their answers there.

    landing/queue/<when>-<ticket>        one submission, as JSON and a newline; gone once it is answered
    landing/answers/<client>/            the answers to one process; `alive` in it is locked while that process lives

Nothing here is synced: after a crash of the machine nobody waits any more, and what landed stands on the trunk.
"""

import fcntl
import itertools
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from headway.domain.ids import AgentId, Oid
from headway.git.merging import Conflict
from headway.git.splice import Change
from headway.system.files import write_whole

_ALIVE = "alive"


@dataclass(frozen=True)
class Queued:
    """A submission as whoever holds the trunk's lock needs it.

    Attributes:
        ticket: By which its answer is found.
        client: Whose process waits for it.
        fence: By which another process sees whether the submitter still has its lease; empty for always.
        mark: The hash by which a landing of this very change is known.
        message: The whole message of the commit, with its trailers.
        changes: What differs between the trees of `base` and `tree`.
    """

    ticket: str
    client: str
    fence: str
    task: AgentId
    mark: str
    base: Oid
    tree: Oid
    author: str
    message: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Verdict:
    """What became of a submission.

    Attributes:
        state: `nothing`: the trunk has all of it already. `lost`: its submitter has not the lease any more.
        tip: Where the trunk stood when it was its turn.
        commit: As which it landed.
        tree: Of a conflict: the merge, with markers.
        why: Of a failure.
    """

    state: Literal["landed", "nothing", "conflicted", "lost", "failed"]
    tip: Oid
    commit: Oid | None = None
    tree: Oid | None = None
    conflicts: tuple[Conflict, ...] = ()
    why: str = ""


class Spool:
    """The folder of one trunk's queue."""

    def __init__(self, hub: Path) -> None:
        self._queue = hub / "landing" / "queue"
        self._answers = hub / "landing" / "answers"
        self._queue.mkdir(parents=True, exist_ok=True)
        self._answers.mkdir(exist_ok=True)

    def put(self, queued: Queued) -> Path:
        """Queue a submission; returns its place, for `withdraw`."""
        # The clock of the machine since its start: one for all processes, and nobody sets it back.
        path = self._queue / f"{time.monotonic_ns():020}-{queued.ticket}"
        path.write_text(_encode(queued), encoding="ascii")
        return path

    def withdraw(self, place: Path) -> None:
        """Take a submission out, answered or not."""
        place.unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """Places of all submissions, the oldest first."""
        with os.scandir(self._queue) as found:
            names = sorted(entry.name for entry in found)
        return [self._queue / name for name in names]

    def read(self, place: Path) -> Queued | None:
        """A submission; None while it is being written, or when it is gone."""
        try:
            return _decode(place.read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    def answer(self, client: str, verdicts: dict[str, Verdict]) -> None:
        """Answer submissions of another process, by ticket."""
        content = json.dumps({ticket: asdict(verdict) for ticket, verdict in verdicts.items()})
        folder = self._answers / client
        if folder.is_dir():
            write_whole(folder / f"{time.monotonic_ns():020}.json", content.encode(), synced=False)

    def drop_if_dead(self, client: str) -> bool:
        """Whether the process of a client is gone; what was kept for it is deleted then."""
        folder = self._answers / client
        try:
            handle = os.open(folder / _ALIVE, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)
        return True

    def clients(self) -> list[str]:
        """Every process that has landed here and left its folder."""
        return [found.name for found in self._answers.iterdir() if not found.name.startswith(".")]

    def enter(self) -> "Client":
        """Become a client."""
        name = f"{os.getpid()}-{os.urandom(6).hex()}"
        made = self._answers / f".{name}"
        made.mkdir()
        handle = os.open(made / _ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        folder = made.rename(self._answers / name)
        return Client(name, folder, handle)


@dataclass
class Client:
    """One process that waits for answers.

    Attributes:
        alive: The descriptor whose lock says that the process lives.
    """

    name: str
    folder: Path
    alive: int

    def __post_init__(self) -> None:
        self._count = itertools.count()

    def stands(self) -> bool:
        """Whether answers can still come."""
        return os.fstat(self.alive).st_nlink > 0

    def leave(self) -> None:
        """Let go of the descriptor, as a fork of the process has to."""
        os.close(self.alive)

    def ticket(self) -> str:
        """A new ticket."""
        return f"{self.name}-{next(self._count)}"

    def collect(self) -> Iterator[tuple[str, Verdict]]:
        """The answers that have come."""
        with os.scandir(self.folder) as found:
            names = sorted(entry.name for entry in found if entry.name.endswith(".json") and entry.name[0] != ".")
        for name in names:
            path = self.folder / name
            for ticket, fields in json.loads(path.read_bytes()).items():
                yield ticket, _verdict(fields)
            path.unlink()


def _verdict(fields: dict[str, Any]) -> Verdict:
    conflicts = tuple(Conflict(**each) for each in fields.pop("conflicts"))
    return Verdict(conflicts=conflicts, **fields)


def _encode(queued: Queued) -> str:
    fields = {name: value for name, value in vars(queued).items() if name != "changes"}
    # A path is bytes; each of them becomes one character.
    fields["changes"] = [[c.path.decode("latin-1"), c.old, c.new] for c in queued.changes]
    return json.dumps(fields) + "\n"


def _decode(text: str) -> Queued | None:
    if not text.endswith("\n"):
        return None
    fields = json.loads(text)
    changes = tuple(Change(path.encode("latin-1"), _side(old), _side(new)) for path, old, new in fields.pop("changes"))
    return Queued(changes=changes, **fields)


def _side(read: Sequence[str] | None) -> tuple[str, Oid] | None:
    return None if read is None else (read[0], Oid(read[1]))
