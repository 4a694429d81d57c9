"""A process that dies at one event of an agent's log: right before it is written, or right after."""

from typing import Any

from headway.domain.ids import AgentId, Role
from headway.eventlog.events.envelope import BodyT, Event
from headway.eventlog.local_log import LocalLog
from headway.eventlog.local_store import LocalStore


class Killed(BaseException):
    """The process is gone."""


class DyingLog(LocalLog):
    """Lets so many events through, then dies; with `before`, what came of the last step is not written any more."""

    left = 0
    before = False
    died_at: str | None = None

    def append(self, body: BodyT, **more: Any) -> Event[BodyT]:
        self.left -= 1
        if self.left == 0 and self.before:
            self.died_at = body.type
            raise Killed
        event = super().append(body, **more)
        if self.left == 0:
            self.died_at = body.type
            raise Killed
        return event


class DyingStore(LocalStore):
    """A log store in a process that dies at the `at`-th event that it appends to `agent`'s log."""

    def dies(self, agent: AgentId, at: int, *, before: bool) -> "DyingStore":
        """Say when."""
        self.agent, self.at, self.before = agent, at, before
        self.log: DyingLog | None = None
        return self

    def open(self, agent: AgentId, *, role: Role, task: AgentId | None = None) -> LocalLog:
        log = super().open(agent, role=role, task=task)
        if agent == self.agent:
            log.__class__ = DyingLog
            assert isinstance(log, DyingLog)
            log.left, log.before, self.log = self.at, self.before, log
        return log

    @property
    def died_at(self) -> str | None:
        """The type of the event at which it died; None if it lived."""
        return self.log.died_at if self.log else None
