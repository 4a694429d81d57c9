"""The queue of a trunk: submissions of every process wait in a folder of the hub, and get their answers there.

    landing/queue/<boot>-<when>-<ticket>   one submission as JSON; gone once it is answered
    landing/answers/<client>/              the answers to one process; `alive` in it is locked while that process lives

Files appear under these names whole, so one that cannot be parsed was torn by a crash of the machine or by its disk,
and never becomes readable. Nothing here is synced: after a crash of the machine no process waits for an answer, and
landed changes are on the trunk.
"""

import fcntl
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from headway.domain.ids import AgentId, Fence, Oid, short_hash
from headway.git.changes import Change
from headway.git.landing.merging import Conflict
from headway.system.boot import boot_id
from headway.system.files import write_whole
from headway.system.process import Process

_ALIVE = "alive"
_NAME = re.compile(r"(^|\.new-)[0-9a-f]{8}-\d{20}-(?P<ticket>(?P<client>\d+-[0-9a-f]{12})-\d+)(\.|$)")


@dataclass(frozen=True)
class Queued:
    """A submission as the holder of the trunk's lock needs it.

    Attributes:
        ticket: Name of its answer.
        client: Name of the process that waits for it.
        fence: The submitter's lease, for other processes to check.
        mark: Hash that identifies a landing of this very change.
        message: The whole message of the commit, with its trailers.
        changes: Differences between the trees of `base` and `tree`.
    """

    ticket: str
    client: str
    fence: Fence
    task: AgentId
    mark: str
    base: Oid
    tree: Oid
    author: str
    message: str
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Verdict:
    """The result of a submission.

    Attributes:
        state: `nothing`: the trunk has all of it already. `lost`: its submitter has not the lease any more. `failed`:
            trying again may help. `broken`: an unforeseen error. `uneven`: a merge with `tip` comes first, and takes
            too long under the trunk's lock.
        tip: The trunk's commit when it was its turn.
        commit: The commit as which it landed.
        tree: Of a conflict: the merge, with markers.
        why: The error, when it failed or is broken.
    """

    state: Literal["landed", "nothing", "conflicted", "lost", "failed", "broken", "uneven"]
    tip: Oid
    commit: Oid | None = None
    tree: Oid | None = None
    conflicts: tuple[Conflict, ...] = ()
    why: str = ""


class QueueFiles:
    """The folder of one trunk's queue."""

    def __init__(self, hub: Path) -> None:
        self._queue = hub / "landing" / "queue"
        self._answers = hub / "landing" / "answers"
        self._queue.mkdir(parents=True, exist_ok=True)
        self._answers.mkdir(exist_ok=True)
        self._boot = short_hash(boot_id())

    def put(self, queued: Queued) -> Path:
        """Queue a submission; returns its place, for `withdraw`.

        Raises:
            OSError: The disk is full or broken; nothing is queued.
        """
        # The clock of the machine since its start: one for all processes, and no user can set it back.
        path = self._queue / f"{self._boot}-{time.monotonic_ns():020}-{queued.ticket}"
        write_whole(path, _encode(queued).encode("ascii"), synced=False)
        return path

    def withdraw(self, place: Path) -> None:
        """Take a submission out, answered or not."""
        place.unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """Places of all submissions, the oldest first; those of earlier boots, whose clocks began anew, before all."""
        with os.scandir(self._queue) as found:
            names = [entry.name for entry in found if entry.name[0] != "." and entry.is_file(follow_symlinks=False)]
        return [self._queue / name for name in sorted(names, key=lambda name: (name.startswith(self._boot), name))]

    def read(self, place: Path) -> Queued:
        """A submission.

        Raises:
            FileNotFoundError: It was withdrawn.
            OSError: It cannot be read now.
            ValueError: The file is torn, and stays so.
        """
        try:
            return _decode(place.read_text(encoding="ascii"))
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise ValueError(f"{place.name} holds no submission: {error!r}") from error

    def answer(self, client: str, verdicts: dict[str, Verdict]) -> None:
        """Answer submissions of another process, by ticket."""
        content = json.dumps({ticket: asdict(verdict) for ticket, verdict in verdicts.items()})
        folder = self._answers / client
        if folder.is_dir():
            write_whole(folder / f"{time.monotonic_ns():020}.json", content.encode(), synced=False)

    def is_dead(self, client: str) -> bool:
        """True if the process of a client is gone."""
        try:
            handle = os.open(self._answers / client / _ALIVE, os.O_RDWR)
        except (FileNotFoundError, NotADirectoryError):
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    def clients(self) -> list[str]:
        """Every process that has landed here and left its folder."""
        return [found.name for found in self._answers.iterdir() if not found.name.startswith(".")]

    def _sweep(self) -> None:
        """Delete the leftovers of processes that are gone: their submissions, half-written ones too, and their folders.

        No caller waits for it: the next client finds again what could not be deleted now.
        """
        left: dict[str, list[Path]] = {client: [] for client in self.clients()}
        for place in self._queue.iterdir():
            left.setdefault(client_of(place), []).append(place)
        for client, places in left.items():
            if self.is_dead(client):
                for place in places:
                    place.unlink(missing_ok=True)
                if client:
                    shutil.rmtree(self._answers / client, ignore_errors=True)
        for made in self._answers.glob(".*-*"):
            pid = made.name[1:].partition("-")[0]
            if not pid.isdigit() or Process.of(int(pid)) is None:
                shutil.rmtree(made, ignore_errors=True)

    def enter(self) -> "Client":
        """Become a client. The leftovers of dead clients are deleted first, so that they do not add up."""
        with suppress(OSError):
            self._sweep()
        name = f"{os.getpid()}-{os.urandom(6).hex()}"
        made = self._answers / f".{name}"
        made.mkdir()
        handle = os.open(made / _ALIVE, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            folder = made.rename(self._answers / name)
        except BaseException:
            os.close(handle)
            raise
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
        """True if answers can still come: the folder is at its place, and not that of a hub that was removed."""
        try:
            return os.path.samestat((self.folder / _ALIVE).stat(), os.fstat(self.alive))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def close(self) -> None:
        """Remove the folder of answers: this process waits for none."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self.alive)

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
            yield from ((ticket, _verdict(fields)) for ticket, fields in json.loads(path.read_bytes()).items())
            path.unlink()


def client_of(place: Path) -> str:
    """The client that a file of the queue, also a half-written one, belongs to; empty if its name tells none."""
    return _named(place)[0]


def ticket_of(place: Path) -> str:
    """The ticket of a submission in the queue; empty if the name tells none."""
    return _named(place)[1]


@lru_cache(maxsize=1024)  # asked for five times in each landing, and the name of a path alone takes a microsecond
def _named(place: Path) -> tuple[str, str]:
    found = _NAME.search(place.name)
    return (found["client"], found["ticket"]) if found else ("", "")


def _verdict(fields: dict[str, Any]) -> Verdict:
    conflicts = tuple(Conflict(**each) for each in fields.pop("conflicts"))
    return Verdict(conflicts=conflicts, **fields)


def _encode(queued: Queued) -> str:
    fields = {name: value for name, value in vars(queued).items() if name != "changes"}
    # A path is bytes; each of them becomes one character.
    fields["changes"] = [[c.path.decode("latin-1"), c.old, c.new] for c in queued.changes]
    return json.dumps(fields) + "\n"


def _decode(text: str) -> Queued:
    fields = json.loads(text)
    changes = tuple(Change(path.encode("latin-1"), _side(old), _side(new)) for path, old, new in fields.pop("changes"))
    return Queued(changes=changes, **fields)


def _side(read: Sequence[str] | None) -> tuple[str, Oid] | None:
    return None if read is None else (read[0], Oid(read[1]))
