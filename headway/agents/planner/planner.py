"""The planner's loop: one turn from its facts to its decisions, resumable at any point from the agent log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from headway.agents.loop import harness_faults
from headway.agents.loop.amendments import Amendments
from headway.agents.loop.compaction import Compaction
from headway.agents.loop.conversation import Conversation
from headway.agents.loop.shared_prefix import SharedPrefix
from headway.agents.loop.tool import Toolset
from headway.agents.loop.usage import missing
from headway.agents.planner import planner_guards
from headway.agents.planner.open_task_index import OpenTaskIndex
from headway.agents.planner.planner_messages import PlannerMessages
from headway.agents.planner.planner_tools import PlannerTools
from headway.domain.ids import RunName
from headway.domain.planner_turn import (
    ACTIVE_MINUTES_PER_TURN,
    CALLS_PER_TURN,
    SPAWNS_PER_TURN,
    Decision,
    Finish,
    PlanTurn,
    TurnOutcome,
)
from headway.domain.progress import Progress
from headway.domain.refs import Ref
from headway.domain.results import Cancelled, Finished, Result, Spawn, Waits
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import Message
from headway.eventlog.events.envelope import Event
from headway.eventlog.events.life import RunStart, TurnEnd, TurnStart
from headway.eventlog.store import AgentLog, LogStore
from headway.eventlog.views.planning import Planning
from headway.eventlog.views.turn import Turn
from headway.git.hub import Hub
from headway.models.circuit_breaker import ASKS
from headway.models.failures import ContextOverflow, FatalModelError
from headway.models.roles import ModelRoles
from headway.models.turn import ToolCall
from headway.system.bounded import Reading, by_limits
from headway.system.excerpt import cut, cut_bytes
from headway.system.threads import in_thread
from prompts.prompts import Prompts

BOARD_BYTES = 4_000
SUMMARY_CHARS = 1_000
WHY_CHARS = 1_000


@dataclass
class _Turn:
    """A turn at work."""

    order: PlanTurn
    log: AgentLog
    conversation: Conversation
    desk: PlannerTools
    brief: PlannerMessages
    views: Planning
    start: Event[TurnStart]
    compaction: Compaction = field(init=False)


class PlannerAgent:
    """Takes planning turns. The log is the only state: a turn that was cut anywhere goes on from it."""

    def __init__(
        self,
        store: LogStore,
        hubs: Callable[[RunName], Hub],
        models: ModelRoles,
        prompts: Prompts,
        clock: Callable[[], float],
        *,
        tools: Toolset,
        reading: Reading = by_limits,
    ) -> None:
        self._tools = tools
        self._store = store
        self._hubs = hubs
        self._models = models
        self._prompts = prompts
        self._clock = clock
        self._reading = reading

    async def turn(self, order: PlanTurn, progress: Progress) -> TurnOutcome:
        """One turn, or the outcome of it if it has ended already.

        Raises:
            LeaseLost: Somebody else takes this planner's turns now.
            TransientError: The model cannot answer now; the same turn goes on when it is asked for again.
            UserError: No model can be chosen.
        """
        progress("opens the log")
        await in_thread(self._store.expect, order.context.run, order.context.incarnation)
        log = await in_thread(self._store.open, order.me, role="planner")
        try:
            views = await in_thread(Planning, log, order.key, order.from_seq)
            ended = views.past.ended.get(order.key)
            if ended is not None:
                whole = await in_thread(self._store.said, Ref(log=order.me, seq=ended), TurnEnd)
                return whole.at(ended)
            turn = await self._open(order, log, views)
            try:
                return await self._go_on(turn, progress)
            except Exception as error:
                if not await in_thread(harness_faults.counted, log, turn.views.interrupted, error):
                    raise
                return await in_thread(self._close, turn, Decision.GAVE_UP, harness_faults.why(error))
        finally:
            await self._models.leave(order.me)
            log.finish()

    async def _open(self, order: PlanTurn, log: AgentLog, views: Planning) -> _Turn:
        spec = order.context.in_force(self._store.said(order.context.spec, RunStart).spec)
        chosen = await self._models.choose("planner", spec)
        within = partial(self._reading, order.me, spec.limits.agent_memory_mb)
        hub = self._hubs(order.context.run).held_to(within)
        if views.turn.start is None:
            views = await in_thread(_begin, order, log, views, hub)
        start = views.turn.start
        assert start is not None  # it has begun
        brief = PlannerMessages(order, spec, self._store, hub, self._prompts, views.children, self._clock())
        conversation = Conversation(
            log,
            chosen,
            system=self._tools.system(self._prompts, "planner_root" if brief.is_root else "planner_sub"),
            tools=self._tools.schemas,
            paid=views.paid,
            epoch=start.epoch,
            interrupted=views.interrupted,
            prompts=self._prompts.fingerprint,
            goal=brief.goal,
            repeats=SharedPrefix(order.me, "planner", log.redacted(brief.shared)),
        )
        conversation.turn = order.turn
        pinned = start.body.pinned
        others = self._open_tasks(order.context.run)
        given = (order, self._store, hub, self._prompts, conversation)
        desk = PlannerTools(*given, pinned, views, others, self._tools)
        turn = _Turn(order, log, conversation, desk, brief, views, start)
        other = await self._models.note_taker(spec, "planner")
        turn.compaction = Compaction(conversation, self._prompts, lambda carried: self._again(turn, carried), other)
        await in_thread(harness_faults.note_resumed, conversation)
        return turn

    async def _go_on(self, turn: _Turn, progress: Progress) -> TurnOutcome:
        """The loop. The next step follows from the log alone."""
        while True:
            if turn.compaction.is_due:
                await in_thread(turn.compaction.settle)
            for call in turn.conversation.pending:
                progress(call.name)
                await in_thread(self._answer, turn, call)
            await in_thread(self._tell, turn)
            end = self._end(turn)
            if end is not None:
                return await in_thread(self._close, turn, *end)
            turn.compaction.prepare()
            if not turn.conversation.handing_over:
                self._remind(turn)
            paid, reserve, order = turn.conversation.paid.amount, turn.compaction.reserve, turn.order
            dollars = order.context.bounds_dollars
            if missing(paid, reserve, order.allowance, dollars=dollars):
                need = missing(Amount(), reserve, Amount(), dollars=dollars)
                return _outcome(turn, Decision.OUT_OF_BUDGET, seq=turn.views.turn.newest, need=need)
            progress(ASKS)
            try:
                await turn.compaction.ask(progress)
            except (ContextOverflow, FatalModelError) as error:
                if not turn.compaction.goes_on(error):
                    return await in_thread(self._close, turn, Decision.GAVE_UP, str(error))

    def _open_tasks(self, run: RunName) -> OpenTaskIndex:
        return OpenTaskIndex(self._store, run)

    def _answer(self, turn: _Turn, call: ToolCall) -> None:
        turn.conversation.answer(call, turn.conversation.held_back(call, self._prompts) or turn.desk.answer(call))

    def _tell(self, turn: _Turn) -> None:
        """Send the parts of this turn's request that the planner was not told yet.

        Mostly that is one message, which opens the turn. More comes when a turn that waited for budget is asked for
        again, with later news.
        """
        order, at = turn.order, turn.views.turn
        inbox = [notice for notice in order.inbox if notice.child not in at.told]
        steers = [ref for ref in order.steers if (ref.log, ref.seq) not in at.heard]
        opened = at.opened
        run = Amendments(self._store, self._prompts, order.context.run, order.amendments)
        amendments = run.untold(turn.conversation.seen.amendments)
        if opened and not inbox and not steers and amendments is None:
            return
        parts = [] if opened else self._opening(turn)
        parts += [turn.brief.handoffs(inbox)] if inbox else []
        parts += turn.brief.steers(steers)
        parts += [amendments.text] if amendments else []
        if not opened:
            parts += [turn.brief.final(turn.desk.pinned)] if order.final else []
            parts += [self._prompts.render("messages/nudge")] if order.nudge else []
        few = 0 if opened else _few(turn)
        parts += [turn.brief.few(few)] if few else []
        message = Message(
            text="\n\n".join(parts),
            concerns={child: points for child, points in turn.brief.concerns(inbox).items() if points},
            few=few > 0,
            inbox=tuple(inbox),
            steers=tuple((ref.log, ref.seq) for ref in steers),
            amendments=amendments.seqs if amendments else (),
        )
        turn.conversation.note(message)

    def _again(self, turn: _Turn, carried: str) -> str:
        """The beginning of an epoch in the middle of a turn: the scope, word for word, then the carried parts."""
        brief, views = turn.brief, turn.views
        steers = brief.steers(Ref(log=log, seq=seq) for log, seq in views.rounds.steers)
        parts = [brief.scope(), *steers, carried, brief.fresh(views.notes.content), self._facts(turn)]
        return "\n\n".join([*parts, *([brief.final(turn.desk.pinned)] if turn.order.final else [])])

    def _opening(self, turn: _Turn) -> list[str]:
        parts: list[str] = []
        if turn.conversation.seen.is_empty:
            parts.append(turn.brief.scope())
            if turn.start.epoch > 0:
                parts += [self._prompts.render("messages/closed"), turn.brief.fresh(turn.views.notes.content)]
        parts.append(self._facts(turn))
        undecided = turn.views.rounds.undecided
        parts += [self._prompts.render("messages/undecided", turns=undecided)] if undecided else []
        recovered = turn.start.body.recovered
        parts += [turn.brief.recovered(recovered)] if recovered else []
        return parts

    def _facts(self, turn: _Turn) -> str:
        coming = {notice.child for notice in turn.order.inbox}
        out = [asked for key, asked in turn.views.children.outstanding.items() if key not in coming]
        return turn.brief.facts(turn.desk.pinned, turn.views.turn.before, out)

    def _remind(self, turn: _Turn) -> None:
        turn.conversation.remind(self._prompts)
        if turn.views.notes.is_stale(turn.order.turn):
            turn.conversation.remind_of("scratchpad", self._prompts)

    def _end(self, turn: _Turn) -> tuple[Decision, str] | None:
        """The turn's end, or None while it goes on. A reply that was followed by a message decides nothing any more."""
        reply = turn.conversation.reply
        if reply is None or reply.seq < turn.views.turn.newest_message:
            return None
        made = {decision for result in turn.conversation.seen.results if (decision := _decision_of(result)) is not None}
        if made:
            # A planner that asked for far too little is told so before it sleeps.
            waits = "wait" in made and not _few(turn)
            return ("finish" in made and Decision.FINISH) or (waits and Decision.WAIT) or Decision.GO_ON, ""
        stop = turn.conversation.guards.stop_due
        if stop is not None:
            return Decision.GAVE_UP, stop.why
        if reply.body.stop == "text" and turn.views.children.outstanding:
            return Decision.WAIT, ""
        time = turn.views.time
        if time.replies >= CALLS_PER_TURN or time.active_s >= ACTIVE_MINUTES_PER_TURN * 60:
            turns = 1 + turn.views.rounds.undecided
            gives_up = turns >= planner_guards.UNDECIDED_TURNS
            return (Decision.GAVE_UP, f"{turns} turns ended without a decision") if gives_up else (Decision.GO_ON, "")
        return None

    def _close(self, turn: _Turn, decision: Decision, why: str) -> TurnOutcome:
        outcome = _outcome(turn, decision, seq=0, why=cut(why, WHY_CHARS))
        # `seq` is the place of this very event, which is known once it is written.
        event = turn.conversation.note(TurnEnd(key=turn.order.key, outcome=outcome), sync=True)
        self._open_tasks(turn.order.context.run).tell(turn.order.me, turn.views.children.outstanding.values())
        return event.body.at(event.seq)


def _few(turn: _Turn) -> int:
    """Tasks that the planner asked for so far, if that is far too few and it was not told yet."""
    views, fewest = turn.views, turn.brief.round_range[0]
    asked, room = views.children.asked, turn.order.spawnable - len(views.turn.asked)
    few = not views.rounds.told_of_few and planner_guards.far_too_few(asked.values(), fewest, room)
    return len(asked) if few else 0


def _begin(order: PlanTurn, log: AgentLog, views: Planning, hub: Hub) -> Planning:
    """Bring the line to where the planner's history stands, and note that the turn has begun."""
    if views.turn.moved:
        log.fork(order.from_seq)
        views = Planning(log, order.key, order.from_seq)
    start = TurnStart(
        key=order.key,
        pinned=hub.tip(),
        inbox=tuple(notice.child for notice in order.inbox),
        recovered=tuple(views.children.to_recover[:SPAWNS_PER_TURN]),
        fresh=order.fresh,
        final=order.final,
        nudge=order.nudge,
    )
    epoch = 0 if views.turn.before is None else log.epoch + int(order.fresh)
    log.append(start, epoch=epoch, turn=order.turn, sync=True)
    return views


def _outcome(turn: _Turn, decision: Decision, *, seq: int, need: Amount | None = None, why: str = "") -> TurnOutcome:
    at = turn.views.turn
    # Before a cancel can count, its child must be known.
    found = sorted(turn.views.children.to_recover, key=lambda child: child.key not in at.cancelled)
    room = max(0, SPAWNS_PER_TURN - len(at.asked))
    if len(found) > room and decision in {Decision.WAIT, Decision.FINISH}:
        # The rest comes with the next turn, which nothing may keep from coming.
        decision = Decision.GO_ON
    return TurnOutcome(
        decision=decision,
        seq=seq,
        own=turn.conversation.paid.amount,
        spawned=tuple(at.asked.values()),
        cancelled=tuple(at.cancelled),
        recovered=tuple(found[:room]),
        finish=_finish(at) if decision is Decision.FINISH else None,
        need=need or Amount(),
        call=missing(Amount(), turn.compaction.reserve, Amount(), dollars=turn.order.context.bounds_dollars),
        why=why,
        board=cut_bytes(turn.views.notes.content, BOARD_BYTES),
        pinned=turn.desk.pinned,
        # Of the request that began this turn: a turn that has ended and is asked for again has a longer one.
        told=sum(notice.child in at.told for notice in turn.order.inbox),
        steered=sum((ref.log, ref.seq) in at.heard for ref in turn.order.steers),
    )


def _finish(at: Turn) -> Finish | None:
    if at.finish is None:
        return None
    report, seq = at.finish
    return Finish(status=report.status, seq=seq, summary=cut(report.summary, SUMMARY_CHARS))


def _decision_of(result: Result) -> str | None:
    match result:
        case Spawn() | Cancelled() | Waits() | Finished():
            return result.decision
        case _:
            return None
