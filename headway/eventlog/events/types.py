"""Every type of event, by its name on the wire."""

from headway.eventlog.events.conversation import (
    LlmRequest,
    LlmResponse,
    LlmRetry,
    Message,
    Reminder,
    Text,
    ToolCallBegun,
    ToolResult,
)
from headway.eventlog.events.envelope import Body
from headway.eventlog.events.life import (
    AgentFork,
    AgentLease,
    AgentStart,
    AgentState,
    HandedOff,
    RunEnd,
    RunStart,
    TurnEnd,
    TurnStart,
)
from headway.eventlog.events.work import (
    BudgetAsked,
    Check,
    Compaction,
    Edit,
    LandedCommit,
    Policy,
    ResourceKill,
    ResourceWait,
    Scratchpad,
    SnapshotKept,
)

_ALL: tuple[type[Body], ...] = (
    *(RunStart, RunEnd, AgentLease, AgentFork, AgentStart, AgentState, TurnStart, TurnEnd, HandedOff),
    *(Text, Message, Reminder, LlmRequest, LlmResponse, LlmRetry, ToolCallBegun, ToolResult),
    *(Edit, LandedCommit, SnapshotKept, Check, Scratchpad, Compaction, ResourceKill, ResourceWait, BudgetAsked, Policy),
)

BODIES = {body.type: body for body in _ALL}
