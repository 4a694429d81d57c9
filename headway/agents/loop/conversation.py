"""One agent's conversation with its model: the words of its log so far, and one paid call at a time."""

from dataclasses import dataclass

from headway.agents.loop.context import Context, head_bytes
from headway.agents.loop.failed_calls import FailedCalls, final_kind
from headway.agents.loop.guards import call_key, digest
from headway.agents.loop.kept_reply import event_of, kept, room_for_reply
from headway.agents.loop.shared_prefix import SharedPrefix
from headway.agents.loop.usage import Gauge, Usage, failed, noted, of_failure, used_by
from headway.agents.loop.waits import noting_waits
from headway.domain.errors import HeadwayError
from headway.domain.ids import run_of
from headway.domain.progress import Progress
from headway.domain.results import Result
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import Call, LlmRequest, LlmResponse, LlmRetry, Message, Reminder, ToolResult
from headway.eventlog.events.envelope import AnyEvent, BodyT, Event
from headway.eventlog.events.work import Compaction
from headway.eventlog.store import AgentLog
from headway.eventlog.views.epoch import HANDOVER, Epoch
from headway.eventlog.views.guards import REFUSE_AT, Guards, Reason, is_idle
from headway.eventlog.views.interrupted import Interrupted
from headway.eventlog.views.paid import Paid
from headway.models.adapter import Request, ToolSchema
from headway.models.meter import Meter
from headway.models.roles import Chosen
from headway.models.text_calls.text_tool_calls import with_text_calls
from headway.models.turn import ToolCall, Turn
from headway.system.excerpt import ANSWER_CHARS, cut_middle
from prompts.prompts import Prompts, fingerprint


@dataclass(frozen=True)
class ToolAnswer:
    """The answer to a tool call.

    Attributes:
        progress: The call did something that may give an earlier call another result.
        compared: The text that tells repeats, where the answer holds times or places that differ each time; None
            exempts the call, as for waiting.
        broke: A fault of the harness.
        result: The harness's notes on it, which are not in the text.
    """

    text: str
    error: bool = False
    progress: bool = False
    refused: bool = False
    compared: str | None = ""
    broke: str | None = None
    result: Result | None = None
    dur_ms: float | None = None


@dataclass(frozen=True)
class Question:
    """A request that is not simply the conversation so far, and the model for it."""

    request: Request
    chosen: Chosen


class Conversation:
    """The newest epoch of an agent's log, as its model reads it and as the guards judge it.

    Attributes:
        seen: The marks of this epoch.
        guards: The signs in it that the agent goes in circles.
        interrupted: The calls that lost processes left; the agent's log shows it each event.
        epoch: The stretch of the log that the model reads.
        goal: The agent's request, in a line.
        misses: Failures since the model's newest reply or the question for a handover note.

    Args:
        paid: The agent's calls, over every epoch, attempt and fork; the agent's log shows it each event.
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
        paid: Paid,
        epoch: int,
        interrupted: Interrupted,
        prompts: str = "",
        goal: str = "",
        repeats: SharedPrefix | None = None,
    ) -> None:
        self.log = log
        self._paid = paid
        self.interrupted = interrupted
        self.turn = 0
        self.goal = goal
        self.chosen = chosen
        self._system = system
        self._prompts = prompts
        self._tools = tools
        self._head_bytes = head_bytes(system, tools)
        self._repeats = repeats or SharedPrefix(log.agent)
        self._begin(max(epoch, log.epoch))
        for event in log.replay(self.epoch):
            self._take(event)
        # A process that is new does not know yet how this model counts.
        chosen.model.seed(chosen.name, self._gauge.nbytes, self._gauge.tokens)

    def _begin(self, epoch: int) -> None:
        self.epoch = epoch
        self.seen = Epoch()
        self.guards = Guards()
        self.context = Context(self.chosen.model.adapter)
        self.misses = FailedCalls()
        self._repeats.begin()
        self._gauge = Gauge()
        self._calls: dict[str, ToolCall] = {}
        self._keyed: tuple[ToolCall, str] | None = None

    def begin_epoch(self, compaction: Compaction) -> None:
        """Close the conversation and begin an empty one."""
        self._begin(self.epoch + 1)
        self.note(compaction, sync=True)

    @property
    def reply(self) -> Event[LlmResponse] | None:
        """The model's newest reply in this epoch."""
        return self.seen.reply

    @property
    def paid(self) -> Usage:
        """The amount that this agent's calls used up so far."""
        return used_by(self._paid)

    @property
    def pending(self) -> list[ToolCall]:
        """The calls of the newest reply that have no answer yet, with the arguments as the model wrote them.

        The log keeps no secrets; so a text that looks like one is in memory only, and a call that lost it is `garbled`.
        """
        reply = self.reply
        if reply is None or reply.body.handover:
            return []
        left = (call for call in reply.body.calls if not self.seen.is_answered(call.id))
        return [self._calls.get(call.id) or _call_of(call) for call in left]

    def key_of(self, call: ToolCall) -> str:
        """The call's name among those that were made; see `call_key`. Worked out once for the call at hand."""
        if self._keyed is None or self._keyed[0] is not call:
            self._keyed = call, call_key(call.name, call.arguments)
        return self._keyed[1]

    def garbled(self, call: ToolCall) -> bool:
        """True if a call's arguments are not the model's own, because the process that heard them died."""
        said = self.reply.body.calls if self.reply else ()
        return call.id not in self._calls and any(each.id == call.id and each.redacted for each in said)

    @property
    def handing_over(self) -> bool:
        """True if the model was asked for a handover note that is not there yet."""
        return self.seen.handing_over

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
        """Tokens that the next request is likely to have: as last reported, with the additions since."""
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

    def note(self, body: BodyT, *, dur_ms: float | None = None, sync: bool = False) -> Event[BodyT]:
        """Append an event to the log, and to the context if it belongs there."""
        noted = self._repeats.noted(body, self.log.redacted)
        event = self.log.append(noted, epoch=self.epoch, turn=self.turn, dur_ms=dur_ms, sync=sync)
        self._take(event)
        return event

    def say(self, text: str) -> Event[Message]:
        """A message of the harness to the model."""
        return self.note(Message(text=text))

    def answer(self, call: ToolCall, answer: ToolAnswer) -> Event[ToolResult]:
        """The one answer to a call."""
        counts = answer.compared is not None
        told = ToolResult(
            call_id=call.id,
            name=call.name,
            text=cut_middle(f"error: {answer.text}" if answer.error else answer.text, ANSWER_CHARS),
            form=call.form,
            error=answer.error,
            progress=answer.progress,
            refused=answer.refused,
            key=self.key_of(call) if counts else None,
            digest=digest(answer.compared or answer.text) if counts else None,
            broke=answer.broke,
            result=answer.result,
        )
        return self.note(told, dur_ms=answer.dur_ms)

    def held_back(self, call: ToolCall, prompts: Prompts) -> ToolAnswer | None:
        """The answer to a call that is not run: its reply was cut or filtered, or it was repeated too often."""
        if self.reply is not None and is_idle(self.reply.body):
            return ToolAnswer(prompts.render("answers/not_run"), error=True, compared=None)
        if self.guards.is_refused(self.key_of(call)):
            text = prompts.render("answers/repeated", count=REFUSE_AT - 1)
            return ToolAnswer(text, error=True, refused=True)
        if self.garbled(call):
            return ToolAnswer(prompts.render("answers/garbled"), error=True, compared=None)
        return None

    def remind(self, prompts: Prompts) -> None:
        """Append the reminders that are due."""
        for why in self.guards.reminders_due:
            self.remind_of(why, prompts)

    def remind_of(self, why: Reason, prompts: Prompts) -> None:
        """Append a reminder."""
        name = f"reminders/{why}"
        goal = {"goal": self.goal} if "goal" in prompts.placeholders(name) else {}
        self.note(Reminder(text=prompts.render(name, **goal), why=why))

    async def ask(self, question: Question | None = None, progress: Progress = lambda _: None) -> Event[LlmResponse]:
        """One model call. Its reply is on disk when this returns, and nothing comes between the reply and its line.

        `progress` is called with the reason of a wait: the model refuses all calls, or a broken disk cannot take a paid
        reply.

        Raises:
            Shortage: There is no room for the longest reply; nothing was asked.
            Parked: The model refuses all agents, or the run may spend no more in this hour, for longer than an agent
                should hold its slot for.
            TransientError, ContextOverflow, FatalModelError: See `headway.models.failures`.
        """
        question = question or Question(self.request(), self.chosen)
        request = question.request
        reserve = self.reserve_for(question)
        told = LlmRequest(
            step=request.step,
            model=request.model,
            prompt=fingerprint(request.system),
            prompts=self._prompts,
            items=len(request.items),
            tools=len(request.tools),
            bytes=self.nbytes,
            reserved=noted(reserve),
        )
        chosen = question.chosen
        if chosen.hourly is None or chosen.price is None:
            return await self._sent(question, told, reserve, progress)
        # Before the request is noted: a noted request without an answer counts as paid.
        waits = noting_waits(progress, "the dollars of this hour", self.note)
        async with chosen.hourly.spent_by(run_of(self.log.agent), reserve.micro_usd, waits) as bought:
            before = self.paid.amount.micro_usd
            try:
                reply = await self._sent(question, told, reserve, progress)
            except HeadwayError:
                bought.cost = self.paid.amount.micro_usd - before
                raise
            bought.cost = self.paid.amount.micro_usd - before
            return reply

    async def _sent(
        self, question: Question, told: LlmRequest, reserve: Amount, progress: Progress
    ) -> Event[LlmResponse]:
        """Note a request, send it, and note its reply."""
        request = question.request
        self.log.reserve(room_for_reply(request.max_output))
        self.note(told)
        try:
            reply = await question.chosen.model.answer(request, noting_waits(progress, "the model server", self.note))
        except HeadwayError as error:
            failure = self.misses.judged(error)
            spent, cut_off = of_failure(error, reserve, question.chosen.meter())
            self.note(failed(request.step, error, final_kind(failure), spent, cut_off=cut_off))
            raise failure from (None if failure is error else error)
        return await kept(lambda: self._note_reply(question, reply), self.log, progress)

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

    def _note_reply(self, question: Question, reply: Turn) -> Event[LlmResponse]:
        """Take a reply in. In a thread, because a reply of megabytes takes its time."""
        request, settled = question.request, question.chosen.meter(reply.model).settle(reply)
        if request.tool_choice != "none":
            reply = with_text_calls(reply, request.tools)
        self._calls = {call.id: self._as_meant(call) for call in reply.calls}
        calls = tuple(map(self._noted, reply.calls))
        said = event_of(reply, request.step, noted(settled), calls, handover=self.handing_over)
        return self.note(said, dur_ms=reply.seconds * 1000)  # its wait for its turn is no work

    def _noted(self, call: ToolCall) -> Call:
        redacted = self.log.redacted(call.arguments) != call.arguments
        return Call(id=call.id, name=call.name, arguments=call.arguments, form=call.form, redacted=redacted)

    def _as_meant(self, call: ToolCall) -> ToolCall:
        """A call with its arguments as the model wrote them, except for secrets that are ours."""
        return call.model_copy(update={"arguments": self.log.without_our_secrets(call.arguments)})

    def _take(self, event: AnyEvent) -> None:
        """Take in the next event of this epoch."""
        self._repeats.take(event)
        match event.body:
            case LlmRequest(bytes=nbytes):
                self._gauge.asked = nbytes
            case LlmRetry() as retry:
                self.misses.take(retry)
            case LlmResponse(usage=usage):
                self.misses = FailedCalls()
                self._gauge = Gauge(nbytes=self._gauge.asked, tokens=usage.input)
            case Reminder(why=why) if why == HANDOVER:
                self.misses = FailedCalls()
        self.context.take(event)
        self.seen.apply(event)
        self.guards.apply(event)


def _call_of(noted: Call) -> ToolCall:
    return ToolCall(id=noted.id, name=noted.name, arguments=noted.arguments, form=noted.form)
