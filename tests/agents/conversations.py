"""A conversation to carry calls out in, as a planner's turn or a worker's attempt opens it."""

from collections.abc import Iterator
from contextlib import contextmanager

from headway.agents.loop.conversation import Conversation
from headway.domain.ids import AgentId, Role
from headway.eventlog.views.interrupted import Interrupted
from headway.eventlog.views.paid import Paid
from headway.models.roles import Chosen
from tests.agents.stage import Stage


@contextmanager
def talk_of(stage: Stage, agent: AgentId, role: Role) -> Iterator[Conversation]:
    """An agent's conversation, with its log held."""
    with stage.store.open(agent, role=role, task=agent if role == "worker" else None) as log:
        chosen = Chosen(model=stage.models[-1], name="rehearsal")
        interrupted, paid = Interrupted(), Paid()
        log.follow(interrupted, past=[paid])
        yield Conversation(log, chosen, system="", tools=(), paid=paid, epoch=0, interrupted=interrupted)
