"""One agent's conversation with its model: what its log says so far, and one paid call at a time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.agent import guards
from headway.agent.context import HANDOVER, Context, head_bytes
from headway.agent.excerpt import ANSWER_CHARS, cut_middle
from headway.agent.kept_reply import kept, room_for_reply
from headway.agent.last_word import LAST_WORD
from headway.agent.misses import Misses, final_kind
from headway.agent.models import Chosen
from headway.agent.prompts import Prompts, fingerprint
from headway.agent.recall import PAST, in_window
from headway.agent.repeats import Repeats
from headway.agent.spoken import with_spoken_calls
from headway.agent.usage import Gauge, Meter, Usage, noted, of_failure
from headway.agent.waits import noting_waits
from headway.domain.budget import Amount
from headway.domain.errors import HeadwayError
from headway.domain.events import Event, EventType
from headway.domain.ids import run_of
from headway.model.adapter import Request, ToolSchema
from headway.model.turn import ToolCall, Turn
from headway.trace.agent_log import AgentLog
from headway.trace.fold import Spell

Beat = Callable[[str], None]
"""Told at each step what the agent is doing; cheap."""

TALK = frozenset({"message", "reminder", "llm.response", "tool.result"})
RESPONSE = "llm.response"


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


@dataclass(frozen=True)
class Question:
    """A request that is not simply the conversation so far, and who is asked."""

    request: Request
    chosen: Chosen


class Conversation:
    """The newest epoch of an agent's log, as its model reads it and as the guards judge it.

    Attributes:
        events: The conversation's events of this epoch, which grow with it. The newest reply and what follows it are
            whole; of what lies before, the words are left out, and of an older past all that is no fact.
        made: How often each call was made among those, at least, by its key.
        epoch: The stretch of the log that the model reads.
        paid: All that this agent's calls used up so far, over every epoch, attempt and fork.
        spell: What the attempt or turn took so far.
        goal: What the agent was asked for, in a line.
        misses: Failures since the model's newest reply or the question for a handover note.

    Args:
        prompts: Hash of the set of prompts that the agent works by, for the log.
        repeats: For prompt caches.
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
        spell: Spell | None = None,
        goal: str = "",
        repeats: Repeats | None = None,
    ) -> None:
        self.log = log
        self.paid = paid
        self.spell = spell or Spell()
        self.turn = 0
        self.goal = goal
        self.chosen = chosen
        self._system = system
        self._prompts = prompts
        self._tools = tools
        self._head_bytes = head_bytes(system, tools)
        self._repeats = repeats or Repeats(log.agent)
        self._begin(max(epoch, log.epoch))
        for event in log.replay(self.epoch):
            self._take(event)
        # A process that is new does not know yet how this model counts.
        chosen.model.seed(chosen.name, self._gauge.nbytes, self._gauge.tokens)

    def _begin(self, epoch: int) -> None:
        self.epoch = epoch
        self.events: list[Event] = []
        self.made: Counter[str] = Counter()
        self.context = Context(self.chosen.model.adapter)
        self.misses = Misses()
        self._repeats.begin()
        self._gauge = Gauge()
        self._fresh = 0
        self._calls: dict[str, ToolCall] = {}
        self._keyed: tuple[ToolCall, str] | None = None

    def begin_epoch(self, data: Mapping[str, Any]) -> None:
        """Close the conversation and begin an empty one; `data` is what the log says of it."""
        self._begin(self.epoch + 1)
        self.note("compaction", dict(data), sync=True)

    @property
    def reply(self) -> Event | None:
        """The model's newest reply in this epoch."""
        return next((event for event in reversed(self.events) if event.type == RESPONSE), None)

    @property
    def results(self) -> list[Event]:
        """The answers to the calls of the newest reply, so far."""
        return [event for event in self._since_reply() if event.type == "tool.result"]

    @property
    def pending(self) -> list[ToolCall]:
        """The calls of the newest reply that have no answer yet, with the arguments as the model wrote them.

        The log keeps no secrets; so what looks like one is in memory only, and a call that lost it is `garbled`.
        """
        reply = self.reply
        if reply is None or reply.data.get(HANDOVER):
            return []
        answered = {event.data["call_id"] for event in self.results}
        left = (call for call in reply.data["calls"] if call["id"] not in answered)
        return [self._calls.get(call["id"]) or _call_of(call) for call in left]

    def key_of(self, call: ToolCall) -> str:
        """The call's name among those that were made; see `guards.call_key`. Worked out once for the call at hand."""
        if self._keyed is None or self._keyed[0] is not call:
            self._keyed = call, guards.call_key(call.name, call.arguments)
        return self._keyed[1]

    def garbled(self, call: ToolCall) -> bool:
        """Whether a call's arguments are not what the model wrote, because the process that heard them died."""
        said = self.reply.data["calls"] if self.reply else []
        return call.id not in self._calls and any(c["id"] == call.id and c.get("redacted") for c in said)

    @property
    def handing_over(self) -> bool:
        """Whether the model was asked for a handover note that is not there yet."""
        asked = [event.data.get("why") for event in self._since_reply() if event.type == "reminder"]
        # Asked for its last reply, it has no time left for a note.
        return HANDOVER in asked and LAST_WORD not in asked

    @property
    def next_call(self) -> int:
        """Tokens that the next model call will hardly exceed."""
        return self.chosen.model.worst_call(self.nbytes, self.chosen.name)

    @property
    def nbytes(self) -> int:
        """Bytes of the next request."""
        return self._head_bytes + self.context.nbytes

    @property
    def tokens(self) -> int:
        """Tokens that the next request is likely to have: as last reported, and what was added since."""
        gauge, model, name = self._gauge, self.chosen.model, self.chosen.name
        if gauge.tokens is None:
            return model.estimate_tokens(self.nbytes, name)
        return gauge.tokens + model.estimate_tokens(max(0, self.nbytes - gauge.nbytes), name)

    @property
    def reserve(self) -> Amount:
        """The worst case of the next model call, which is set aside before it."""
        made = self.chosen.model.endpoint.max_output
        factor = self.chosen.model.adapter.write_factor(self.request())
        return Meter(self.chosen.price).reserve(self.next_call - made, made, factor)

    def reserve_for(self, question: "Question") -> Amount:
        """The worst case of a call with this question."""
        request, model = question.request, question.chosen.model
        nbytes = self.nbytes
        if request.items is not self.context.items:  # a part of the conversation, or another text in its place
            head = self._head_bytes if request.tools else len(request.system.encode())
            nbytes = head + sum(len(item) for item in request.items)
        given = model.worst_call(nbytes, question.chosen.name) - model.endpoint.max_output
        return Meter(question.chosen.price).reserve(given, request.max_output, model.adapter.write_factor(request))

    def note(self, kind: EventType, data: dict[str, Any], *, dur_ms: float | None = None, sync: bool = False) -> Event:
        """Append an event to the log, and to the context if it belongs there."""
        event = self.log.append(kind, data, epoch=self.epoch, turn=self.turn, dur_ms=dur_ms, sync=sync)
        self.spell.take(event)
        self._take(event)
        return event

    def say(self, text: str, **data: object) -> Event:
        """A message of the harness to the model."""
        return self.note("message", {"text": text, **data})

    def answer(self, call: ToolCall, answer: Answer) -> Event:
        """The one answer to a call."""
        data: dict[str, Any] = {
            "call_id": call.id,
            "name": call.name,
            "text": cut_middle(f"error: {answer.text}" if answer.error else answer.text, ANSWER_CHARS),
            **answer.facts,
        }
        if call.form != "function":
            data["form"] = call.form
        flags = {"error": answer.error, "progress": answer.progress, "refused": answer.refused}
        data |= {name: True for name, value in flags.items() if value}
        if answer.compared is not None:
            data |= {
                "key": self.key_of(call),
                "digest": guards.digest(answer.compared or answer.text),
            }
        return self.note("tool.result", data, dur_ms=answer.dur_ms)

    def held_back(self, call: ToolCall, prompts: Prompts) -> Answer | None:
        """The answer to a call that is not run: its reply was cut or filtered, or it was repeated too often."""
        if self.reply is not None and guards.is_idle(self.reply):
            return Answer(prompts.render("answers/not_run"), error=True, compared=None)
        if guards.is_refused(self.events, self.key_of(call), self.made):
            text = prompts.render("answers/repeated", count=guards.REFUSE_AT - 1)
            return Answer(text, error=True, refused=True)
        if self.garbled(call):
            return Answer(prompts.render("answers/garbled"), error=True, compared=None)
        return None

    def remind(self, prompts: Prompts) -> None:
        """Append the reminders that are due."""
        for why in guards.reminders_due(self.events, self.made):
            self.remind_of(why, prompts)

    def remind_of(self, why: guards.Reminder, prompts: Prompts) -> None:
        """Append a reminder."""
        name = f"reminders/{why}"
        goal = {"goal": self.goal} if "goal" in prompts.placeholders(name) else {}
        self.note("reminder", {"text": prompts.render(name, **goal), "why": why})

    async def ask(self, question: Question | None = None, beat: Beat = lambda _: None) -> Event:
        """One model call. Its reply is on disk when this returns, and nothing comes between the reply and its line.

        `beat` is called with the reason of a wait: the model refuses all calls, or a broken disk cannot take a paid
        reply.

        Raises:
            Shortage: There is no room for the longest reply; nothing was asked.
            Parked: The model refuses everybody, or the run may spend no more in this hour, for longer than an agent
                should hold its slot for.
            TransientError, ContextOverflow, FatalModelError: See `headway.model.failures`.
        """
        question = question or Question(self.request(), self.chosen)
        request = question.request
        told: dict[str, Any] = {"prompt": fingerprint(request.system), "prompts": self._prompts}
        reserve = self.reserve_for(question)
        told |= {"items": len(request.items), "tools": len(request.tools), "bytes": self.nbytes}
        told["reserved"] = noted(reserve)
        chosen = question.chosen
        if chosen.hourly is None or chosen.price is None:
            return await self._sent(question, told, reserve, beat)
        # Before the request is noted: what is noted without an answer counts as paid.
        waits = noting_waits(beat, "the dollars of this hour", self.note)
        async with chosen.hourly.spent_by(run_of(self.log.agent), reserve.micro_usd, waits) as bought:
            before = self.paid.amount.micro_usd
            try:
                reply = await self._sent(question, told, reserve, beat)
            except HeadwayError:
                bought.cost = self.paid.amount.micro_usd - before
                raise
            bought.cost = self.paid.amount.micro_usd - before
            return reply

    async def _sent(self, question: Question, told: dict[str, Any], reserve: Amount, beat: Beat) -> Event:
        """Note a request, send it, and note its reply."""
        request = question.request
        self.log.reserve(room_for_reply(request.max_output))
        self.note("llm.request", {"step": request.step, "model": request.model, **told})
        try:
            reply = await question.chosen.model.answer(request, noting_waits(beat, "the model server", self.note))
        except HeadwayError as error:
            failure = self.misses.judged(error)
            spent, figures = of_failure(error, reserve, question.chosen.meter())
            why = {"kind": type(error).__name__, "why": str(error), "final": final_kind(failure)}
            self.note("llm.retry", {"step": request.step, **why, **figures})
            self.paid = self.paid.plus(spent)
            raise failure from (None if failure is error else error)
        return await kept(lambda: self._note_reply(question, reply), self.log, beat)

    def request(self) -> Request:
        """The conversation so far. The tools are the same in each request: a prompt cache begins with them."""
        return Request(
            model=self.chosen.name,
            system=self._system,
            items=self.context.items,
            agent=self.log.agent,
            tools=self._tools,
            max_output=self.chosen.model.endpoint.max_output,
            effort=self.chosen.effort,
            step=self.paid.calls,
            reuse=self._repeats.reuse,
        )

    def _note_reply(self, question: Question, reply: Turn) -> Event:
        """Take a reply in. In a thread, because a reply of megabytes takes its time."""
        request, settled = question.request, question.chosen.meter(reply.model).settle(reply)
        if request.tool_choice != "none":
            reply = with_spoken_calls(reply, request.tools)
        self._calls = {call.id: self._as_meant(call) for call in reply.calls}
        handover = {HANDOVER: True} if self.handing_over else {}
        event = self.note(
            "llm.response",
            {
                "step": request.step,
                "stop": reply.stop,
                "text": reply.text,
                "calls": [self._noted(call) for call in reply.calls],
                "items": list(reply.raw),
                **noted(settled),
                "usage": reply.usage.model_dump(),
                "model": reply.model,
                "response_id": reply.response_id,
                "request_id": reply.request_id,
                "waited_s": round(reply.waited_s, 3),
                "conceded": list(reply.conceded),
                **handover,
            },
            # What it waited for its turn is no work.
            dur_ms=reply.seconds * 1000,
        )
        self.paid = self.paid.plus(settled, calls=1)
        return event

    def _noted(self, call: ToolCall) -> dict[str, Any]:
        redacted = {"redacted": True} if self.log.redacted(call.arguments) != call.arguments else {}
        return call.model_dump(exclude_defaults=True) | redacted

    def _as_meant(self, call: ToolCall) -> ToolCall:
        """What the model asked for is carried out as it was asked, but for secrets that are ours."""
        return call.model_copy(update={"arguments": self.log.without_our_secrets(call.arguments)})

    def _take(self, event: Event) -> None:
        """Take in the next event of this epoch."""
        self._repeats.take(event)
        match event.type:
            case "llm.request":
                self._gauge.asked = event.data["bytes"]
            case "llm.retry":
                self.misses.take(event)
            case "llm.response":
                self.misses = Misses()
                self._gauge = Gauge(nbytes=self._gauge.asked, tokens=event.data["usage"].get("input"))
            case "reminder" if event.data.get("why") == HANDOVER:
                self.misses = Misses()
        if event.type not in TALK:
            return
        self.context.take(event)
        self.events.append(event)
        if "key" in event.data:
            self.made[event.data["key"]] += 1
        if event.type == RESPONSE:
            self.events[self._fresh : -1] = [in_window(older) for older in self.events[self._fresh : -1]]
            self._forget()
            self._fresh = len(self.events) - 1

    def _forget(self) -> None:
        """A step must not cost more, in time or memory, the longer an epoch is."""
        if len(self.events) > 2 * guards.WINDOW:
            older, newer = self.events[: -guards.WINDOW], self.events[-guards.WINDOW :]
            self.events = [left for event in older if (left := PAST(event)) is not None] + newer
            self.made = guards.made_in(newer)

    def _since_reply(self) -> Sequence[Event]:
        events = self.events
        start = next((at for at in range(len(events) - 1, -1, -1) if events[at].type == RESPONSE), -1)
        return events[start + 1 :]


def _call_of(noted: Mapping[str, Any]) -> ToolCall:
    return ToolCall(**{field: noted[field] for field in ("id", "name", "arguments", "form") if field in noted})
