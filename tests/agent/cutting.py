"""A process that dies at one event of an agent's log: right before it is written, or right after."""

from typing import Any

from headway.domain.events import Event, EventType, Role
from headway.domain.ids import AgentId
from headway.trace.agent_log import AgentLog
from headway.trace.log_store import LogStore
from headway.trace.recall import Recall


class Killed(BaseException):
    """The process is gone."""


class DyingLog(AgentLog):
    """Lets so many events through, then dies; with `before`, what came of the last step is not written any more."""

    left = 0
    before = False
    died_at: EventType | None = None

    def append(self, type: EventType, data: dict[str, Any], **more: Any) -> Event:  # noqa: A002
        self.left -= 1
        if self.left == 0 and self.before:
            self.died_at = type
            raise Killed
        event = super().append(type, data, **more)
        if self.left == 0:
            self.died_at = type
            raise Killed
        return event


class DyingStore(LogStore):
    """A log store in a process that dies at the `at`-th event that it appends to `agent`'s log."""

    def dies(self, agent: AgentId, at: int, *, before: bool) -> "DyingStore":
        """Say when."""
        self.agent, self.at, self.before = agent, at, before
        self.log: DyingLog | None = None
        return self

    def open(
        self, agent: AgentId, *, role: Role, task: AgentId | None = None, recall: Recall | None = None
    ) -> AgentLog:
        log = super().open(agent, role=role, task=task, recall=recall)
        if agent == self.agent:
            log.__class__ = DyingLog
            assert isinstance(log, DyingLog)
            log.left, log.before, self.log = self.at, self.before, log
        return log

    @property
    def died_at(self) -> EventType | None:
        """The type of the event at which it died; None if it lived."""
        return self.log.died_at if self.log else None
