"""The envelope of an agent log: one JSON object a line, append-only, one file per agent."""

from collections.abc import Iterable, Iterator
from typing import ClassVar, Generic, NamedTuple, TypeVar, cast

from pydantic import ConfigDict

from headway.domain.ids import AgentId, Role, RunName
from headway.domain.retention import Keep, Record

LOG_VERSION = 1


class Body(Record):
    """The content of an event. Each class is the body of one type of event."""

    type: ClassVar[str]
    keep: ClassVar[Keep] = Keep.DROP

    @property
    def shown(self) -> Keep:
        """The strings that the views of an agent that goes on are shown."""
        return self.keep


BodyT = TypeVar("BodyT", bound=Body)
Body_co = TypeVar("Body_co", bound=Body, covariant=True)


class Event(NamedTuple, Generic[Body_co]):
    """One line of an agent log.

    Attributes:
        v: Version of this envelope.
        ts: Seconds since the epoch, by the clock of the machine that wrote it.
        seq: Place in the log, from 0, without gaps.
        lease: The lease under which it was written.
        task: The task that the agent works on; None for planners and the run.
        epoch: The stretch of the log that is in the model's context; compaction opens a new one.
        turn: A planner's turn or a worker's step.
        dur_ms: Duration in milliseconds, where it took time; the agent's active time is the sum.
        body: The content, by its type; a string over 4 kB lies in a content-addressed file next to the logs.
    """

    v: int
    ts: float
    seq: int
    lease: int
    run: RunName
    agent: AgentId
    parent: AgentId
    role: Role
    task: AgentId | None
    epoch: int
    turn: int
    type: str
    dur_ms: float | None
    body: Body_co


AnyEvent = Event[Body]


def only(events: Iterable[AnyEvent], kind: type[BodyT]) -> Iterator[Event[BodyT]]:
    """Events of one type."""
    return (cast(Event[BodyT], event) for event in events if isinstance(event.body, kind))


def bodies(events: Iterable[AnyEvent], kind: type[BodyT]) -> Iterator[BodyT]:
    """Bodies of those of one type."""
    return (event.body for event in events if isinstance(event.body, kind))


class OtherBody(Body):
    """Of a type that this version does not know: its JSON as it stands in the log."""

    model_config = ConfigDict(extra="allow")
    type: ClassVar[str] = ""
    keep: ClassVar[Keep] = Keep.DROP
