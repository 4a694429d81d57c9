"""A log store in memory: a second adapter of the port, which shows that nothing but the port is asked of one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from headway.agents.tools.catalogue import RESULTS
from headway.domain.errors import LeaseLost, TransientError, UserError
from headway.domain.ids import AgentId, Fence, Incarnation, Role, RunName, run_of
from headway.domain.refs import Ref
from headway.eventlog.blobs import plain
from headway.eventlog.branch import NO_EVENT, OUTSIDE_THE_LINE, Branch
from headway.eventlog.codec import Codec
from headway.eventlog.events.envelope import AnyEvent, Body, BodyT, Event
from headway.eventlog.events.life import AgentFork, AgentLease
from headway.eventlog.redaction import NOTHING_SECRET, Redact
from headway.eventlog.store import AgentLog, LogStore, Stream, Tail, View, ViewT, no_such_event
from tests.support.events import event as event_of


class Killed(BaseException):
    """The process is gone."""


@dataclass
class Memory:
    """All that outlives a process.

    Attributes:
        half: Agents at whose log's end lies half an event.
        steps: Writes until the process dies; None: it lives.
    """

    logs: dict[AgentId, list[AnyEvent]] = field(default_factory=dict)
    claims: dict[RunName, Incarnation] = field(default_factory=dict)
    notes: dict[AgentId, bytes] = field(default_factory=dict)
    half: set[AgentId] = field(default_factory=set)
    steps: int | None = None

    def step(self) -> None:
        """One write, or the end of the process."""
        if self.steps is not None:
            self.steps -= 1
            if self.steps == 0:
                raise Killed

    def write(self, event: AnyEvent) -> None:
        """Add an event by two writes, between which it is there by halves."""
        self.step()
        self.half.add(event.agent)
        self.step()
        self.half.discard(event.agent)
        self.logs.setdefault(event.agent, []).append(event)
        self.step()


@dataclass(frozen=True)
class MemoryStream:
    """See `Stream`."""

    memory: Memory
    agent: AgentId

    def __iter__(self) -> Iterator[AnyEvent]:
        return iter(list(self.memory.logs.get(self.agent, ())))

    def skimmed(self) -> Iterator[AnyEvent]:
        """The same; nothing is apart here."""
        return iter(self)


@dataclass
class MemoryTail:
    """See `Tail`."""

    memory: Memory
    agent: AgentId
    count: int = 0

    def catch_up(self, view: ViewT, begin: Callable[[], ViewT]) -> ViewT:
        """Nothing is ever taken back here."""
        events = self.memory.logs.get(self.agent, [])
        for event in events[self.count :]:
            view.apply(event)
        self.count = len(events)
        return view


@dataclass(frozen=True)
class MemoryStore:
    """See `LogStore`."""

    memory: Memory
    redact: Redact = NOTHING_SECRET

    def claim(self, run: RunName, incarnation: Incarnation) -> None:
        if self.memory.claims.setdefault(run, incarnation) != incarnation:
            raise UserError(f"run {run!r}: there was a run of this name before")

    def release(self, run: RunName) -> None:
        if AgentId(run) not in self.memory.logs:
            self.forget(run)

    def expect(self, run: RunName, incarnation: Incarnation | None = None) -> None:
        if run not in self.memory.claims or incarnation not in {None, self.memory.claims[run]}:
            raise TransientError(f"run {run!r} does not live here")

    def forget(self, run: RunName) -> None:
        self.memory.claims.pop(run, None)
        for agent in self.agents(run):
            del self.memory.logs[agent]

    def open(self, agent: AgentId, *, role: Role, task: AgentId | None = None) -> AgentLog:
        return MemoryLog(self, agent, role, task)

    def read(self, agent: AgentId, upto: int | None = None) -> list[AnyEvent]:
        events = self.all_events(agent)
        if upto is not None and not 0 <= upto < len(events):
            raise no_such_event(agent, upto)
        line = Branch(events if upto is None else events[: upto + 1])
        return [events[seq] for seq in line.seqs(line.head)]

    def all_events(self, agent: AgentId) -> list[AnyEvent]:
        return list(self.stream(agent))

    def stream(self, agent: AgentId) -> Stream:
        return MemoryStream(self.memory, agent)

    def last(self, agent: AgentId) -> AnyEvent | None:
        return self.newest(agent, Body)

    def tail(self, agent: AgentId) -> Tail:
        return MemoryTail(self.memory, agent)

    def holds(self, fence: Fence) -> bool:
        agent, _, lease = fence.partition(" ")
        return max((event.lease for event in self.stream(AgentId(agent))), default=1 + int(lease)) <= int(lease)

    def newest(self, agent: AgentId, *kinds: type[BodyT]) -> Event[BodyT] | None:
        found = next((event for event in reversed(self.read(agent)) if isinstance(event.body, kinds)), None)
        return cast(Event[BodyT] | None, found)

    def event(self, ref: Ref) -> AnyEvent:
        events = self.all_events(ref.log)
        if not 0 <= ref.seq < len(events):
            raise no_such_event(ref.log, ref.seq)
        return events[ref.seq]

    def said(self, ref: Ref, kind: type[BodyT]) -> BodyT:
        body = self.event(ref).body
        if not isinstance(body, kind):
            raise no_such_event(ref.log, ref.seq)
        return body

    def agents(self, run: RunName) -> list[AgentId]:
        return sorted(agent for agent in self.memory.logs if run_of(agent) == run)

    def leave(self, agent: AgentId, note: bytes | None) -> None:
        self.memory.notes.pop(agent, None)
        if note is not None:
            self.memory.notes[agent] = note

    def left(self, run: RunName, most: int) -> Iterator[tuple[AgentId, bytes]]:
        for agent, note in sorted(self.memory.notes.items()):
            if run_of(agent) == run:
                yield agent, note[:most]


class MemoryLog:
    """See `AgentLog`."""

    def __init__(self, store: MemoryStore, agent: AgentId, role: Role, task: AgentId | None) -> None:
        self.agent = agent
        self._store, self._role, self._task = store, role, task
        store.memory.half.discard(agent)
        self._views: tuple[View, ...] = ()
        self._past: tuple[View, ...] = ()
        self.lease = max((event.lease for event in store.stream(agent)), default=0) + 1
        self._write(AgentLease(host="here", pid=1, boot="1"), 0, 0, None)

    @property
    def _events(self) -> list[AnyEvent]:
        return self._store.memory.logs.get(self.agent, [])

    def _line(self) -> list[AnyEvent]:
        """The live line as this holder knows it: a newer one may have gone on."""
        line = self._store.read(self.agent, self._newest_of_mine())
        return [event for event in line if event.lease <= self.lease]

    def _newest_of_mine(self) -> int:
        return max(event.seq for event in self._events if event.lease <= self.lease)

    @property
    def epoch(self) -> int:
        """The newest epoch of the live line."""
        return max((event.epoch for event in self._store.read(self.agent)), default=0)

    def append(
        self, body: BodyT, *, epoch: int = 0, turn: int = 0, dur_ms: float | None = None, sync: bool = False
    ) -> Event[BodyT]:
        self.check()
        event = self._write(body, epoch, turn, dur_ms)
        if sync:
            self.sync()
        return event

    def _write(self, body: BodyT, epoch: int, turn: int, dur_ms: float | None) -> Event[BodyT]:
        data = plain(body.wire(), self._store.redact)
        body = cast(BodyT, Codec(RESULTS).body(body.type, data))
        seq = len(self._events)
        bare = event_of(body, seq, epoch=epoch, turn=turn, agent=self.agent, role=self._role)
        event = bare._replace(lease=self.lease, task=self._task, dur_ms=dur_ms)
        self._store.memory.write(event)
        _show(event, self._past, self._views)
        return event

    def follow(self, *views: View, past: Sequence[View] = ()) -> None:
        live = {event.seq for event in self._line()}
        for event in self._events:
            _show(event, past, views if event.seq in live else ())
        self._views, self._past = (*self._views, *views), (*self._past, *past)

    def sync(self) -> None:
        self._store.memory.step()

    def reserve(self, nbytes: int) -> None:
        pass

    def fork(self, seq: int) -> None:
        self.check()
        if not NO_EVENT <= seq < len(self._events):
            raise no_such_event(self.agent, seq)
        tree = Branch(self._events)
        if tree.head_at(seq) != tree.head:
            self.append(AgentFork(to=seq), sync=True)
            self._views = self._past = ()

    def replay(self, epoch: int) -> Iterator[AnyEvent]:
        if epoch == self.epoch:
            yield from (event for event in self._store.read(self.agent) if event.epoch == epoch)

    def check(self) -> None:
        if self.agent not in self._store.memory.logs:
            raise LeaseLost(f"{self.agent}: the log was removed")
        if any(event.lease > self.lease for event in self._events):
            raise LeaseLost(f"{self.agent}: lease {self.lease} was taken over by a newer holder")

    def fence(self) -> Fence:
        return Fence(f"{self.agent} {self.lease}")

    def redacted(self, text: str) -> str:
        return self._store.redact(text)

    def without_our_secrets(self, text: str) -> str:
        return self._store.redact.known(text)

    def finish(self) -> None:
        self.sync()

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pass


def _show(event: AnyEvent, past: Sequence[View], views: Sequence[View]) -> None:
    for view in (*past, *(() if event.type in OUTSIDE_THE_LINE else views)):
        view.apply(event)


def memory_store(memory: Memory, redact: Redact = NOTHING_SECRET) -> LogStore:
    """The adapter as a process opens it."""
    return MemoryStore(memory, redact)
