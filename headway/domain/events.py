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
        dur_ms: How long the thing took, where it took time; the agent's active time is summed from it.
        data: What the type says; a string over 4 kB lies in a content-addressed file beside the logs.
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
