"""The part of an agent's requests that others repeat, as far as its conversation tells: for prompt caches."""

import hashlib
from collections.abc import Callable

from headway.domain.ids import AgentId, key_of, parent_of, place_of
from headway.eventlog.events.conversation import LlmResponse, Message
from headway.eventlog.events.envelope import AnyEvent, BodyT
from headway.models.adapter import Reuse

AGENTS_PER_GROUP = 4
"""OpenAI serves about 15 requests a minute with one key and one beginning from one machine's cache, and sends others to
machines that know nothing of their conversation (https://developers.openai.com/api/docs/guides/prompt-caching). That is
room for four agents with three or four requests a minute each. The first of a group writes the cache of the others."""


class SharedPrefix:
    """Takes the events of one conversation, in their order.

    Args:
        shared: The text that the first messages of all agents of the role begin with, as the log holds it.
    """

    def __init__(self, agent: AgentId, role: str = "", shared: str = "") -> None:
        self._group = group_of(agent, role)
        self._shared = shared
        self.begin()

    def begin(self) -> None:
        """An empty conversation begins."""
        self._is_empty = True
        self._chars = 0
        self._replied_at: float | None = None
        self._pause_s = 0.0

    def take(self, event: AnyEvent) -> None:
        """Take in the next event."""
        if self._replied_at is not None:
            self._pause_s = max(self._pause_s, event.ts - self._replied_at)
        match event.body:
            case LlmResponse():
                self._replied_at = event.ts
            case Message(shared=shared) if self._is_empty:
                self._is_empty = False
                self._chars = shared

    def noted(self, body: BodyT, redacted: Callable[[str], str]) -> BodyT:
        """An event for the log: an epoch's first message says how much of it is shared.

        The run's limits and prompts may change later. The parts of a message that was sent must not.
        """
        if not isinstance(body, Message) or not (self._is_empty and self._shared):
            return body
        is_shared = redacted(body.text).startswith(self._shared)
        return body.model_copy(update={"shared": len(self._shared)}) if is_shared else body

    @property
    def reuse(self) -> Reuse:
        """The facts for the next request."""
        return Reuse(self._group, self._chars, self._pause_s)


def group_of(agent: AgentId, role: str) -> str:
    """The agents that share a cache key: a few of one role and one planner, and those of its later rounds."""
    place = place_of(key_of(agent))
    lane = place[1] // AGENTS_PER_GROUP if place else 0
    return f"{role or 'agent'}-{hashlib.sha256(parent_of(agent).encode()).hexdigest()[:24]}-{lane}"
