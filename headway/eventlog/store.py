"""The log store as agents use it: a port that takes agents, leases and places in a log, never a path.

`headway.eventlog.local_store` keeps logs in files. Each adapter passes the tests of `tests/eventlog/contract.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self, TypeVar

from headway.domain.errors import UserError
from headway.domain.ids import AgentId, Fence, Incarnation, Role, RunName
from headway.domain.refs import Ref
from headway.eventlog.events.envelope import AnyEvent, BodyT, Event


class View(Protocol):
    """A fold of events, taken in one at a time. Its methods and attributes answer for the events so far."""

    def apply(self, event: AnyEvent) -> None:
        """Take in the next event."""
        ...


ViewT = TypeVar("ViewT", bound=View)


class Tail(Protocol):
    """The end of one log, for a reader that comes again and again. It takes no lock and never writes."""

    def catch_up(self, view: ViewT, begin: Callable[[], ViewT]) -> ViewT:
        """Show a view each event that was added since the last time, with `APART` for each long string.

        Where a crash took back a part that was shown, the view that `begin` makes is shown the log from its start.

        Returns:
            The view that was shown all of it.
        """
        ...


class AgentLog(Protocol):
    """The log of one agent, under one lease. Opening it raises the lease: an earlier holder writes nothing more."""

    @property
    def agent(self) -> AgentId:
        """The agent whose log it is."""
        ...

    @property
    def lease(self) -> int:
        """The lease of this holder, from 1."""
        ...

    @property
    def epoch(self) -> int:
        """The newest epoch of the live line."""
        ...

    def append(
        self, body: BodyT, *, epoch: int = 0, turn: int = 0, dur_ms: float | None = None, sync: bool = False
    ) -> Event[BodyT]:
        """Write one event and return it as a reader will see it: redacted, and as JSON gives it back.

        Args:
            body: The content of the event.
            epoch: The stretch of the log that is in the model's context.
            turn: A planner's turn or a worker's step.
            dur_ms: How long the thing took, in milliseconds.
            sync: Return only when the event is durable.

        Raises:
            LeaseLost: A newer holder has opened the log; nothing was written.
            Shortage: The machine lacks something. Nothing was written; with `sync` the event may be there.
        """
        ...

    def sync(self) -> None:
        """Make all that was appended durable.

        Raises:
            Shortage: The machine could not; what was appended is still in the log.
        """
        ...

    def reserve(self, nbytes: int) -> None:
        """Make sure of room for the next `nbytes` of this log, for what is paid before it can be written.

        Raises:
            Shortage: There is not so much room.
        """
        ...

    def fork(self, seq: int) -> None:
        """Let the live line go on from event `seq` as it was live then; -1 is from nothing.

        Nothing is written when the line ends there already.

        Raises:
            UserError: The log has no such event.
        """
        ...

    def follow(self, *views: View, past: Sequence[View] = ()) -> None:
        """Give views each event of the log, oldest first, and from now on each one that is appended. One pass.

        `views` get the live line. `past` gets, before them, each event of the log, with leases, forks and abandoned
        events. Long strings are `APART` where the event's type says that nothing of it is kept. A fork ends it:
        the views tell of a line that is abandoned.
        """
        ...

    def replay(self, epoch: int) -> Iterator[AnyEvent]:
        """The live events of the newest epoch, whole, in order; none when `epoch` is another one."""
        ...

    def check(self) -> None:
        """Do nothing while this holder's lease is the newest.

        Raises:
            LeaseLost: It is not.
        """
        ...

    def fence(self) -> Fence:
        """The lease in a form that another process can check."""
        ...

    def redacted(self, text: str) -> str:
        """A text as the log would keep it."""
        ...

    def without_our_secrets(self, text: str) -> str:
        """A text as an agent may act on it: what merely looks like a key is there, the keys of this process are not."""
        ...

    def finish(self) -> None:
        """Make everything durable and let go of the log.

        Raises:
            Shortage: The machine could not; the log is let go all the same.
        """
        ...

    def close(self) -> None:
        """Let go of the log. The lease stays what it is until it is opened again."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class Stream(Protocol):
    """Every event of an agent in the order of writing; each iteration reads the log as it then stands."""

    def __iter__(self) -> Iterator[AnyEvent]: ...

    def skimmed(self) -> Iterator[AnyEvent]:
        """The same with `APART` for each long string, for readers of figures."""
        ...


class LogStore(Protocol):
    """The logs of every run. Safe for any number of threads and processes; every call is synchronous."""

    def claim(self, run: RunName, incarnation: Incarnation) -> None:
        """Take the run's name for this start of it; idempotent, durable.

        Raises:
            UserError: The name belongs to an earlier start.
        """
        ...

    def release(self, run: RunName) -> None:
        """Give a claimed name back, with all that was made for it. A run that has begun its log keeps it."""
        ...

    def expect(self, run: RunName, incarnation: Incarnation | None = None) -> None:
        """Make sure that a run lives here, before anything of it is looked for or made.

        Raises:
            TransientError: It does not.
        """
        ...

    def forget(self, run: RunName) -> None:
        """Remove everything of a run. From the first moment on its name is free, and holders of its logs lose them."""
        ...

    def open(self, agent: AgentId, *, role: Role, task: AgentId | None = None) -> AgentLog:
        """Take over an agent's log, or begin it: raises the lease, durably."""
        ...

    def read(self, agent: AgentId, upto: int | None = None) -> list[AnyEvent]:
        """The live line of an agent, forks folded: as it stands, or as it stood after event `upto`.

        The latter is immutable. A log that does not exist has no events.

        Raises:
            UserError: The log does not reach to `upto`.
        """
        ...

    def all_events(self, agent: AgentId) -> list[AnyEvent]:
        """Every event of an agent in the order of writing, with leases, forks and abandoned events."""
        ...

    def stream(self, agent: AgentId) -> "Stream":
        """The same, one event at a time and as often as it is asked for: a log may be larger than memory."""
        ...

    def tail(self, agent: AgentId) -> Tail:
        """The same for a reader that comes again and again."""
        ...

    def holds(self, fence: Fence) -> bool:
        """True if the lease that a fence was made of is still the newest of its log."""
        ...

    def last(self, agent: AgentId) -> AnyEvent | None:
        """The newest live event of an agent."""
        ...

    def newest(self, agent: AgentId, *kinds: type[BodyT]) -> Event[BodyT] | None:
        """The newest live event of one of these types."""
        ...

    def event(self, ref: Ref) -> AnyEvent:
        """The event that a ref names, also in a suffix that a fork abandoned.

        Raises:
            UserError: The log has no such event.
        """
        ...

    def said(self, ref: Ref, kind: type[BodyT]) -> BodyT:
        """The body of the event that a ref names.

        Raises:
            UserError: The log has no such event, or one of another type.
        """
        ...

    def agents(self, run: RunName) -> list[AgentId]:
        """Agents that have a log in this run: the run itself by its own name, then the agents in order of their ids."""
        ...

    def leave(self, agent: AgentId, note: bytes | None) -> None:
        """Replace the note that an agent leaves for others of its run; None leaves none. It may be lost in a crash."""
        ...

    def left(self, run: RunName, most: int) -> Iterator[tuple[AgentId, bytes]]:
        """Notes of the run's agents, in the order of their ids, each cut to `most` bytes."""
        ...


def no_such_event(agent: AgentId, seq: int) -> UserError:
    """The error for a place that a log does not have, although a ref names it."""
    return UserError(
        f"{agent}: the log has no event {seq}",
        "A part of HEADWAY_HOME is lost: restore it from a backup, or start the run anew under another name.",
    )
