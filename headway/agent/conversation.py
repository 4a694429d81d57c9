"""One agent's conversation with its model: what its log says so far, and one paid call at a time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NewType

from headway.agent import guards
from headway.agent.context import Context
from headway.agent.models import Chosen
from headway.agent.prompts import Prompts, fingerprint
from headway.agent.spoken import with_spoken_calls
from headway.agent.threads import in_thread
from headway.agent.usage import Usage
from headway.domain.errors import HeadwayError
from headway.domain.events import Event, EventType
from headway.model.adapter import Request, ToolSchema
from headway.model.turn import ToolCall
from headway.trace.agent_log import AgentLog

Beat = Callable[[str], None]
"""Told at each step what the agent is doing; cheap."""

Prompt = NewType("Prompt", str)
"""A rendered system prompt."""

TALK = frozenset({"message", "reminder", "llm.response", "tool.result"})


@dataclass(frozen=True)
class Answer:
    """What a tool call is answered with.

    Attributes:
        progress: Something was done that may make an earlier call give another result.
        compared: What repeats are told by, where the text holds times or places that differ each time; None exempts
            the call, as for waiting.
        facts: What the harness notes beside the text.
    """

    text: str
    error: bool = False
    progress: bool = False
    refused: bool = False
    compared: str | None = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    dur_ms: float | None = None


class Conversation:
    """The newest epoch of an agent's log, as its model reads it and as the guards judge it.

    Attributes:
        events: The conversation's events of this epoch, which grow with it.
        paid: All that this agent's calls used up so far, over every epoch, attempt and fork.

    Args:
        prompts: Hash of the set of prompts that the agent works by, for the log.
    """

    def __init__(
        self,
        log: AgentLog,
        chosen: Chosen,
        *,
        system: str,
        tools: tuple[ToolSchema, ...],
        paid: Usage,
        epoch: int,
        prompts: str = "",
    ) -> None:
        self.log = log
        self.paid = paid
        self.epoch = epoch
        self.turn = 0
        self._chosen = chosen
        self._system = system
        self._prompts = prompts
        self._tools = tools
        self._head_bytes = len(system.encode()) + sum(
            len(t.name) + len(t.description) + len(str(t.parameters)) for t in tools
        )
        self.events = [event for event in log.line if event.epoch == epoch and event.type in TALK]
        self._context = Context(chosen.model.adapter, self.events)

    @property
    def reply(self) -> Event | None:
        """The model's newest reply in this epoch."""
        return next((event for event in reversed(self.events) if event.type == "llm.response"), None)

    @property
    def results(self) -> list[Event]:
        """The answers to the calls of the newest reply, so far."""
        since = self.reply
        return [e for e in self.events if since is not None and e.seq > since.seq and e.type == "tool.result"]

    @property
    def pending(self) -> list[ToolCall]:
        """The calls of the newest reply that have no answer yet."""
        if self.reply is None:
            return []
        answered = {event.data["call_id"] for event in self.results}
        return [ToolCall(**call) for call in self.reply.data["calls"] if call["id"] not in answered]

    @property
    def next_call(self) -> int:
        """Tokens that the next model call will hardly exceed."""
        return self._chosen.model.worst_call(self._nbytes, self._chosen.name)

    def note(self, kind: EventType, data: dict[str, Any], *, dur_ms: float | None = None, sync: bool = False) -> Event:
        """Append an event to the log, and to the context if it belongs there."""
        event = self.log.append(kind, data, epoch=self.epoch, turn=self.turn, dur_ms=dur_ms, sync=sync)
        if event.type in TALK:
            self.events.append(event)
            self._context.take(event)
        return event

    def say(self, text: str, **data: object) -> Event:
        """A message of the harness to the model."""
        return self.note("message", {"text": text, **data})

    def answer(self, call: ToolCall, answer: Answer) -> Event:
        """The one answer to a call."""
        data: dict[str, Any] = {
            "call_id": call.id,
            "name": call.name,
            "text": f"error: {answer.text}" if answer.error else answer.text,
            **answer.facts,
        }
        flags = {"error": answer.error, "progress": answer.progress, "refused": answer.refused}
        data |= {name: True for name, value in flags.items() if value}
        if answer.compared is not None:
            data |= {
                "key": guards.call_key(call.name, call.arguments),
                "digest": guards.digest(answer.compared or answer.text),
            }
        return self.note("tool.result", data, dur_ms=answer.dur_ms)

    def held_back(self, call: ToolCall, prompts: Prompts) -> Answer | None:
        """The answer to a call that is not run: its reply was cut or filtered, or it was repeated too often."""
        if self.reply is not None and guards.is_idle(self.reply):
            return Answer(prompts.render("answers/not_run"), error=True, compared=None)
        if guards.is_refused(self.events, guards.call_key(call.name, call.arguments)):
            text = prompts.render("answers/repeated", count=guards.REFUSE_AT - 1)
            return Answer(text, error=True, refused=True)
        return None

    def remind(self, prompts: Prompts) -> None:
        """Append the reminders that are due."""
        for why in guards.reminders_due(self.events):
            self.note("reminder", {"text": prompts.render(f"reminders/{why}"), "why": why})

    async def ask(self) -> Event:
        """One model call. Its reply is on disk when this returns, and nothing comes between the reply and its line.

        Raises:
            TransientError, ContextOverflow, FatalModelError: See `headway.model.failures`.
        """
        request = self._request()
        self.note(
            "llm.request",
            {
                "step": request.step,
                "model": request.model,
                "prompt": fingerprint(self._system),
                "prompts": self._prompts,
                "items": len(request.items),
                "bytes": self._nbytes,
            },
        )
        started = time.monotonic()
        try:
            reply = with_spoken_calls(await self._chosen.model.answer(request), [tool.name for tool in request.tools])
        except HeadwayError as error:
            self.note("llm.retry", {"step": request.step, "kind": type(error).__name__, "why": str(error)})
            raise
        event = await in_thread(
            self.note,
            "llm.response",
            {
                "step": request.step,
                "stop": reply.stop,
                "text": reply.text,
                "calls": [call.model_dump(exclude={"kind"}) for call in reply.calls],
                "items": list(reply.raw),
                "tokens": reply.tokens,
                "usage": reply.usage.model_dump(),
                "model": reply.model,
                "response_id": reply.response_id,
                "request_id": reply.request_id,
            },
            dur_ms=(time.monotonic() - started) * 1000,
            sync=True,
        )
        self.paid = Usage(tokens=self.paid.tokens + reply.tokens, calls=self.paid.calls + 1)
        return event

    def _request(self) -> Request:
        return Request(
            model=self._chosen.name,
            system=self._system,
            items=self._context.items,
            agent=self.log.agent,
            tools=self._tools,
            max_output=self._chosen.model.endpoint.max_output,
            effort=self._chosen.effort,
            step=self.paid.calls,
        )

    @property
    def _nbytes(self) -> int:
        return self._head_bytes + self._context.nbytes


def newest_scratchpad(events: Sequence[Event]) -> str:
    """An agent's notes as it last wrote them; empty before that."""
    return next((event.data["content"] for event in reversed(events) if event.type == "scratchpad"), "")
