"""The envelope of an agent log: one JSON object a line, append-only, one file per agent."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from headway.domain.ids import AgentId, RunName

LOG_VERSION = 1

EventType = Literal[
    "run.start",
    "run.end",
    "agent.lease",
    "agent.start",
    "agent.state",
    "agent.end",
    "agent.fork",
    "turn.start",
    "turn.end",
    "text",
    "message",
    "reminder",
    "llm.request",
    "llm.response",
    "llm.retry",
    "tool.call",
    "tool.result",
    "edit",
    "land",
    "snapshot",
    "check",
    "scratchpad",
    "compaction",
    "handoff",
    "planner.state",
    "resource.kill",
    "resource.wait",
    "budget",
    "policy",
]

Role = Literal["run", "planner", "worker", "fixer"]


class Event(BaseModel):
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
        data: The fields of the type; a string over 4 kB lies in a content-addressed file next to the logs.
    """

    model_config = ConfigDict(frozen=True)

    v: int = LOG_VERSION
    ts: float
    seq: int
    lease: int
    run: RunName
    agent: AgentId
    parent: AgentId
    role: Role
    task: AgentId | None = None
    epoch: int = 0
    turn: int = 0
    type: EventType
    dur_ms: float | None = None
    data: dict[str, Any]

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> "Event":
        """An event from fields that were typed already; each of them must be there.

        Logs are read by the hundred thousand lines, and pydantic's own way without validation costs three times as much
        and a kilobyte more for each.
        """
        event = cls.__new__(cls)
        for name, value in (("__dict__", fields), *_UNVALIDATED):
            object.__setattr__(event, name, value)
        return event


_UNVALIDATED: tuple[tuple[str, Any], ...] = (
    ("__pydantic_fields_set__", set(Event.model_fields)),
    ("__pydantic_extra__", None),
    ("__pydantic_private__", None),
)
DEFAULTS: dict[str, Any] = {
    name: field.default for name, field in Event.model_fields.items() if not field.is_required()
}
