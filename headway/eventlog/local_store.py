"""All agent logs under one HEADWAY_HOME: the trace, and the source of every model's context."""

import contextlib
import itertools
import os
import re
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from headway.domain.errors import TransientError, UserError
from headway.domain.ids import AgentId, Fence, Incarnation, Role, RunName, run_name_problem, run_of
from headway.domain.refs import Ref
from headway.domain.results import NO_RESULTS, Results
from headway.eventlog.blobs import Blobs
from headway.eventlog.branch import Branch
from headway.eventlog.codec import Codec, Found, lines_of
from headway.eventlog.events.envelope import AnyEvent, Body, BodyT, Event
from headway.eventlog.fence import holds
from headway.eventlog.local_log import LocalLog
from headway.eventlog.local_tail import LocalTail
from headway.eventlog.redaction import NOTHING_SECRET, Redact
from headway.eventlog.store import no_such_event
from headway.system.files import delete, make_folder, place_new, sync_folder, write_whole

ELSEWHERE_S = 2.0
"""Seconds after which work is given out again that came to a worker process with another HEADWAY_HOME."""
NOTES = "open"
"""The folder of the notes that agents leave for others."""

RUN_LOG = "run"
"""The name of the log of the run itself; every agent's own name has a dash."""

_ID_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class LocalStore:
    """The logs of every run. Safe for any number of threads and processes; every call is synchronous.

    Args:
        home: HEADWAY_HOME; made when the first run is claimed.
        redact: Applied to every string before it is written, see `headway.eventlog.redaction`.
        results: The model of each tool's results.
    """

    def __init__(self, home: Path, redact: Redact = NOTHING_SECRET, results: Results = NO_RESULTS) -> None:
        self._runs = home / "runs"
        self.redact = redact
        self._codec = Codec(results)
        self._synced: set[int] = set()

    def run_folder(self, run: RunName) -> Path:
        """The folder of a run.

        Raises:
            UserError: `run` cannot name a run.
        """
        if problem := run_name_problem(run):
            raise UserError(f"run name {run!r}: {problem}")
        return self._runs / run

    def claim(self, run: RunName, incarnation: Incarnation) -> None:
        """Make the run's folder for this start of it; idempotent, durable.

        Raises:
            UserError: The folder belongs to an earlier start of the same name.
        """
        folder = self.run_folder(run)
        make_folder(folder)
        if place_new(folder / "incarnation", f"{incarnation}\n".encode()):
            return
        if (folder / "incarnation").read_text(encoding="utf-8").strip() != incarnation:
            raise UserError(
                f"run {run!r}: there was a run of this name before, and its logs and commits are in {folder}",
                f"Start it under another name, or remove the earlier one with: headway rm {run}",
            )

    def release(self, run: RunName) -> None:
        """Give a claimed name back, with all that was made for it. A run that has begun its log keeps it."""
        if not self._path(AgentId(run)).exists():
            self.forget(run)

    def expect(self, run: RunName, incarnation: Incarnation | None = None) -> None:
        """Make sure that a run lives here, before anything of it is looked for or made.

        Raises:
            TransientError: It does not. A worker process with another HEADWAY_HOME on the same service takes the work
                of every run; it is handed back for one that has the run.
        """
        folder = self.run_folder(run)
        try:
            lives = (folder / "incarnation").read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            lives = ""
        if lives and incarnation in {None, lives}:
            return
        what = "another start of this name" if lives else "nothing of it"
        raise TransientError(
            f"run {run!r} does not live in the HEADWAY_HOME of this worker process: {what} is in {folder} on "
            f"{socket.gethostname()}. Its work is handed back. Start worker processes with the run's HEADWAY_HOME, "
            "or give this one a Temporal service or namespace of its own.",
            delay_s=ELSEWHERE_S,
        )

    def open(self, agent: AgentId, *, role: Role, task: AgentId | None = None) -> LocalLog:
        """Take over an agent's log, or begin it: raises the lease, durably.

        Half a line at its end, which a crash left, is cut.
        """
        path, blobs = self._path(agent), self._blobs_of(run_of(agent))
        return LocalLog(path, blobs, self.redact, agent=agent, role=role, task=task, codec=self._codec)

    def read(self, agent: AgentId, upto: int | None = None) -> list[AnyEvent]:
        """The live line of an agent, forks folded: as it stands, or as it stood after event `upto`.

        The latter is immutable. A log that does not exist has no events.

        Raises:
            UserError: The log does not reach to `upto`.
        """
        events = self.all_events(agent)
        if upto is not None and not 0 <= upto < len(events):
            raise no_such_event(agent, upto)
        line = Branch(events if upto is None else events[: upto + 1])
        return [events[seq] for seq in line.seqs(line.head)]

    def all_events(self, agent: AgentId) -> list[AnyEvent]:
        """Every event of an agent in the order of writing, with leases, forks and abandoned events."""
        return list(self.stream(agent))

    def stream(self, agent: AgentId) -> "LocalStream":
        """The same, one event at a time and as often as it is asked for: a log may be larger than memory."""
        return LocalStream(self._path(agent), self._codec, self._blobs_of(run_of(agent)))

    def last(self, agent: AgentId) -> AnyEvent | None:
        """The newest live event of an agent; read from the end of the log."""
        return self.newest(agent, Body)

    def tail(self, agent: AgentId) -> LocalTail:
        """See `LogStore.tail`."""
        return LocalTail(self._path(agent), self._codec)

    @staticmethod
    def holds(fence: Fence) -> bool:
        """See `fence.holds`."""
        return holds(fence)

    def newest(self, agent: AgentId, *kinds: type[BodyT]) -> Event[BodyT] | None:
        """The newest live event of one of these types; read from the end of the log."""
        found = next((each for each in self.stream(agent).back() if isinstance(each.event.body, kinds)), None)
        return None if found is None else cast(Event[BodyT], found.resolved(self._blobs_of(run_of(agent))))

    def said(self, ref: Ref, kind: type[BodyT]) -> BodyT:
        """The body of the event that a ref names.

        Raises:
            UserError: The log has no such event, or one of another type.
        """
        event = self.event(ref)
        if not isinstance(event.body, kind):
            raise no_such_event(ref.log, ref.seq)
        return event.body

    def event(self, ref: Ref) -> AnyEvent:
        """The event that a ref names, also in a suffix that a fork abandoned.

        Raises:
            UserError: The log has no such event.
        """
        found = next(self.stream(ref.log).found(ref.seq), None) if ref.seq >= 0 else None
        if found is None:
            raise no_such_event(ref.log, ref.seq)
        return found.resolved(self._blobs_of(run_of(ref.log)))

    def agents(self, run: RunName) -> list[AgentId]:
        """Agents that have a log in this run: the run itself by its own name, then the agents in order of their ids."""
        logs = self.run_folder(run) / "logs"
        names = sorted(_names_in(str(logs)))
        own = [AgentId(run)] if RUN_LOG in names else []
        return own + [AgentId(f"{run}/{name}") for name in names if name != RUN_LOG]

    def leave(self, agent: AgentId, note: bytes | None) -> None:
        """Replace the note that an agent leaves for others of its run; None leaves none. It may be lost in a crash."""
        path = self._note(agent)
        if note is None:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, note, synced=False)

    def left(self, run: RunName, most: int) -> Iterator[tuple[AgentId, bytes]]:
        """Notes of the run's agents, in the order of their ids, each cut to `most` bytes."""
        notes = self.run_folder(run) / NOTES
        for name in sorted(path.relative_to(notes).with_suffix("").as_posix() for path in notes.rglob("*.json")):
            with contextlib.suppress(OSError), (notes / f"{name}.json").open("rb") as file:
                yield AgentId(f"{run}/{name}"), file.read(most)

    def _note(self, agent: AgentId) -> Path:
        return self.run_folder(run_of(agent)) / NOTES / f"{agent.partition('/')[2]}.json"

    def forget(self, run: RunName) -> None:
        """Remove everything of a run. From the first moment on its name is free, and holders of its logs lose them."""
        folder = self.run_folder(run)
        gone = self._runs / f".gone-{uuid.uuid4().hex}-{run}"
        with contextlib.suppress(FileNotFoundError):
            folder.rename(gone)
            sync_folder(self._runs)
        for rest in self.forgotten(run):
            delete(rest)

    def forgotten(self, run: RunName) -> list[Path]:
        """The rest of a run that was forgotten, because the process that removed it was killed."""
        hexadecimal = "[0-9a-f]" * 32
        return sorted(self._runs.glob(f".gone-{hexadecimal}-{run}"))

    def _path(self, agent: AgentId) -> Path:
        run, below, rest = agent.partition("/")
        parts = rest.split("/") if below else [RUN_LOG]
        if not all(_ID_PART.fullmatch(part) for part in parts) or rest == RUN_LOG:
            raise ValueError(f"{agent!r} is no agent's id")
        return self.run_folder(RunName(run)).joinpath("logs", *parts[:-1], f"{parts[-1]}.jsonl")

    def _blobs_of(self, run: RunName) -> Blobs:
        return Blobs(self.run_folder(run) / "blobs", self._synced)


def _names_in(folder: str, above: str = "") -> Iterator[str]:
    """The names of all logs below a folder, without their ending."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _names_in(entry.path, f"{above}{entry.name}/")
            elif entry.name.endswith(".jsonl"):
                yield above + entry.name.removesuffix(".jsonl")


class LocalStream:
    """Every event of an agent in the order of writing; each iteration reads the log as it then stands."""

    def __init__(self, path: Path, codec: Codec, blobs: Blobs) -> None:
        self._path = path
        self._codec = codec
        self._blobs = blobs

    def __iter__(self) -> Iterator[AnyEvent]:
        return (found.resolved(self._blobs) for found in self.found())

    def skimmed(self) -> Iterator[AnyEvent]:
        """The same with `APART` for each long string."""
        return (found.event for found in self.found())

    def found(self, first: int = 0) -> Iterator[Found]:
        """The same from some place on, with long strings left where they lie; nothing before it is read as JSON."""
        with self._opened() as fd:
            if fd is not None:
                yield from self._codec.events_in(itertools.islice(lines_of(fd), first, None), first=first)

    def back(self) -> Iterator[Found]:
        """The live events, the newest first, with long strings left where they lie; see `Codec.events_back`."""
        with self._opened() as fd:
            if fd is not None:
                yield from self._codec.events_back(fd)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        try:
            fd = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        try:
            yield fd
        finally:
            os.close(fd)
