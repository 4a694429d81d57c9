"""The worker's loop: one attempt at one task, resumable at any point from the agent log and the workspace."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

from headway.agents.loop import harness_faults, kept_reply
from headway.agents.loop.amendments import Amendments
from headway.agents.loop.compaction import Compaction
from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.agents.loop.shared_prefix import SharedPrefix
from headway.agents.loop.usage import missing
from headway.agents.tools.catalogue import WORKER_TOOLS
from headway.agents.worker import last_reply
from headway.agents.worker.attempt import Attempt, FinishedAttempt, Opening, Stopped, begin_attempt, title_of
from headway.agents.worker.finish_checks import Commands
from headway.agents.worker.land_tool import ROUNDS, LandTool, conflict_rounds
from headway.agents.worker.set_up import set_up
from headway.agents.worker.task_message import TaskMessage
from headway.agents.worker.worker_tools import WorkerTools
from headway.domain.defaults import SNAPSHOT_STEPS
from headway.domain.errors import HeldBack, Shortage, TransientError
from headway.domain.handoff import HandoffReport, HandoffStatus
from headway.domain.ids import RunName
from headway.domain.messages import EndWorker, WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.progress import Progress
from headway.domain.results import Finished, Result
from headway.domain.state.budget import MICRO, Amount
from headway.domain.task import TaskSpec
from headway.eventlog.events.life import RunStart
from headway.eventlog.events.talk import Message, Reminder
from headway.eventlog.events.work import BudgetAsked
from headway.eventlog.request_text import task_at
from headway.eventlog.spent import spent_by
from headway.eventlog.store import AgentLog, LogStore
from headway.eventlog.views.epoch import LAST_WORD
from headway.eventlog.views.working import Working
from headway.git.hub import Hub
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspaces import Workspaces
from headway.models.circuit_breaker import ASKS
from headway.models.failures import ContextOverflow, FatalModelError
from headway.models.roles import ModelRoles
from headway.models.turn import ToolCall
from headway.policy.sandbox_policy import sandbox_spec_of
from headway.runs.setup_runner import ensure_base_layer
from headway.runs.workspace_lock import alone
from headway.sandbox.runner import Sandbox
from headway.system.boot import boot_id
from headway.system.bounded import Reading, by_limits
from headway.system.threads import in_thread
from prompts.prompts import Prompts

REMIND_AT = 0.8
"""The part of a limit after which a worker is told to bring its work in."""


class WorkerAgent:
    """Works on tasks. The log and the workspace are the only state."""

    def __init__(  # noqa: PLR0917 - the adapters it is built on, given once by the composition root
        self,
        store: LogStore,
        hubs: Callable[[RunName], Hub],
        workspaces: Callable[[RunName], Workspaces],
        sandbox: Sandbox,
        models: ModelRoles,
        prompts: Prompts,
        clock: Callable[[], float],
        *,
        snapshot_steps: int = SNAPSHOT_STEPS,
        reading: Reading = by_limits,
    ) -> None:
        self._store = store
        self._hubs = hubs
        self._workspaces = workspaces
        self._sandbox = sandbox
        self._models = models
        self._prompts = prompts
        self._clock = clock
        self._snapshot_steps = snapshot_steps
        self._reading = reading

    async def work(self, order: WorkOrder, beat: Progress) -> WorkerDone | WorkerSuspended:
        """Work on an attempt until it is handed off or its slice is used up.

        On cancellation the running command is killed, the log synced, and the workspace left as it is.

        Raises:
            LeaseLost: Somebody else works on this task now.
            TransientError: The model or git cannot go on now; the attempt goes on when it is asked for again.
            UserError: No model can be chosen.
        """
        try:
            return await self._work(order, beat)
        except HeldBack:
            spent = await in_thread(spent_by, self._store.stream(order.me), is_task=True)
            return WorkerSuspended(why="held", spent=spent)

    async def _work(self, order: WorkOrder, beat: Progress) -> WorkerDone | WorkerSuspended:
        beat("opens the log")
        await in_thread(self._store.expect, order.context.run, order.context.incarnation)
        log = await in_thread(self._store.open, order.me, role="worker", task=order.me)
        try:
            task = await in_thread(self._task, order)
            ending = self._ending(order, task)
            spec = order.context.in_force(self._store.said(order.context.spec, RunStart).spec)
            commands = Commands(spec.check)
            views = await in_thread(Working, log, order.attempt, commands)
            if views.attempt.ended is not None:
                return ending.done(views.attempt.ended)
            opening = Opening(order, task, spec, log, views, commands)
            return await self._attempt(opening, ending, beat)
        finally:
            await self._models.leave(order.me)
            log.finish()

    async def _attempt(self, opening: Opening, ending: FinishedAttempt, beat: Progress) -> WorkerDone | WorkerSuspended:
        """Work on it; it ends by the harness's word when it breaks at the same place again and again."""
        job: Attempt | None = None
        try:
            job = await self._open(opening, beat)
            return await self._go_on(job, ending, beat)
        except Stopped as stop:
            return await ending.stopped(opening.log, job.workspace if job else None, stop)
        except Exception as error:
            if not await in_thread(harness_faults.counted, opening.log, opening.views.interrupted, error):
                raise
            broke = f"the harness failed at the same place again and again: {harness_faults.why(error)}"
            return await ending.broken(opening.log, job.workspace if job else None, broke)

    async def end(self, order: EndWorker) -> WorkerDone:
        """End an attempt from outside: fence the worker, keep its unlanded changes, and store its handoff.

        Raises:
            LeaseLost: A newer holder took over meanwhile.
        """
        work = order.order
        await in_thread(self._store.expect, work.context.run, work.context.incarnation)
        log = await in_thread(self._store.open, work.me, role="worker", task=work.me)
        try:
            ending = self._ending(work, await in_thread(self._task, work))
            views = await in_thread(Working, log, work.attempt)
            if views.attempt.ended is not None:
                return ending.done(views.attempt.ended)
            workspace = None
            if views.attempt.start is not None:
                workspace = await self._left_by(work, log, views)
            return await ending.stopped(log, workspace, Stopped(order.status, order.why))
        finally:
            log.finish()

    async def _left_by(self, order: WorkOrder, log: AgentLog, views: Working) -> Workspace | None:
        """The attempt's workspace; None where it cannot be opened, which must not keep the attempt from its end."""
        try:
            return await self._enter(order, log)
        except Exception as error:
            if not await in_thread(harness_faults.counted, log, views.interrupted, error):
                raise
            return None

    async def _enter(self, order: WorkOrder, log: AgentLog) -> Workspace:
        """The attempt's workspace, once an earlier holder has left it: a newer lease soon stops its command."""
        workspace = await in_thread(self._workspaces(order.context.run).open, order.me, order.attempt, log.lease)
        async with alone(workspace, log):
            return workspace

    def _task(self, order: WorkOrder) -> TaskSpec:
        return task_at(self._store, order.task)

    def _ending(self, order: WorkOrder, task: TaskSpec) -> FinishedAttempt:
        run = order.context.run
        return FinishedAttempt(self._store, self._hubs(run), self._workspaces(run), order, title_of(task), task.kind)

    async def _open(self, opening: Opening, beat: Progress) -> Attempt:
        """Find the attempt as it was left, or begin it."""
        order, task, spec, log, views = opening.order, opening.task, opening.spec, opening.log, opening.views
        context = order.context
        chosen = await self._models.choose("worker", spec)
        within = partial(self._reading, order.me, spec.limits.agent_memory_mb)
        hub = self._hubs(context.run).held_to(within)
        beat("opens the workspace")
        await ensure_base_layer(self._workspaces(context.run), spec, self._sandbox, order.me, beat)
        workspace = await self._enter(order, log)
        start = views.attempt.start
        if start is None:
            start = await in_thread(begin_attempt, log, order, task, workspace, views.attempt)
        assignment = TaskMessage(order, task, spec, hub, self._prompts)
        tools = WORKER_TOOLS[chosen.edit]
        talk = Conversation(
            log,
            chosen,
            system=tools.system(self._prompts, "worker"),
            tools=tools.schemas,
            paid=views.paid,
            epoch=start.epoch,
            interrupted=views.interrupted,
            prompts=self._prompts.fingerprint,
            goal=title_of(task),
            repeats=SharedPrefix(order.me, "worker", log.redacted(await in_thread(lambda: assignment.shared))),
        )
        talk.turn = views.time.replies
        author = spec.commit.author if spec.commit else hub.facts().author
        forbidden = spec.policy.forbidden_dependencies
        trunk_mb = None if spec.limits.trunk_mb == "none" else spec.limits.trunk_mb
        seen = (views.attempt, self._store.holds)
        lander = LandTool(context, order.me, hub, workspace, author, self._prompts, *seen, forbidden, trunk_mb)
        walls = await in_thread(sandbox_spec_of, order.me, workspace, spec)
        limit = spec.limits.command_seconds
        hands = (self._sandbox, walls, self._prompts)
        bench = WorkerTools(task, talk, workspace, lander, *hands, limit, tools, views, opening.commands, within)
        other = await self._models.note_taker(spec, "worker")
        compaction = Compaction(talk, self._prompts, lambda carried: job.opening(carried, self._prompts), other)
        job = Attempt(order, spec, task, start, workspace, talk, bench, assignment, views, compaction)
        await in_thread(harness_faults.note_resumed, talk, tools.named(lambda tool: tool.resumes))
        await set_up(job, self._sandbox, beat)
        await in_thread(compaction.settle)
        if talk.seen.is_empty:
            await in_thread(lambda: talk.say(job.asked()))
        return job

    async def _go_on(self, job: Attempt, ending: FinishedAttempt, beat: Progress) -> WorkerDone | WorkerSuspended:
        """The loop. The next step follows from the log alone."""
        talk = job.talk
        while True:
            if job.compaction.is_due:
                await in_thread(job.compaction.settle)
            report = await self._carry_out(job, beat)
            if report is not None:
                return await ending.hand_off(talk.log, job.workspace, report)
            self._tell_of_rebuilding(job)
            _stop_if_due(job)
            used_up = self._used_up(job)
            if used_up is not None:
                await self._hear_last_word(job, used_up, beat)
                continue
            if job.order.amendments and not talk.handing_over:
                await in_thread(self._amend, job)
            job.compaction.prepare()
            need = _missing(job)
            if need:
                # It gives up its slot: without a word of it, its log would show an agent between two steps for hours.
                talk.note(BudgetAsked(needs=need))
                return WorkerSuspended(why="grant", spent=_spent(job), need=need)
            await self._keep(job, beat)
            if not talk.handing_over:
                self._remind(job)
            beat(ASKS)
            try:
                talk.turn += 1
                await job.compaction.ask(beat)
            except FatalModelError as error:
                if not job.compaction.goes_on(error):
                    # Another attempt has a new conversation, without the refused part.
                    raise Stopped(HandoffStatus.FAILED, str(error), retry=True) from error
            except ContextOverflow as error:
                if not job.compaction.goes_on(error):
                    raise Stopped(HandoffStatus.FAILED, f"context overflow: {error}", retry=True) from error

    async def _keep(self, job: Attempt, beat: Progress) -> None:
        """Keep changes that are not on the trunk, every so many steps."""
        if job.talk.turn and job.talk.turn % self._snapshot_steps == 0:
            beat("keeps its work")
            async with alone(job.workspace, job.talk.log):
                await in_thread(job.bench.lander.keep, job.talk)

    async def _carry_out(self, job: Attempt, beat: Progress) -> HandoffReport | None:
        """Answer every call of the newest reply; the report, when one of them hands off."""
        talk = job.talk
        report = _report_in(talk.seen.results)
        for call in talk.pending:
            if report is not None:
                break
            beat(call.name)
            answer = self._held_back(job, call) or await job.bench.answer(call)
            noted = await kept_reply.noted(partial(talk.answer, call, answer), beat)
            report = _report_in([noted.body.result])
        return report

    def _held_back(self, job: Attempt, call: ToolCall) -> ToolAnswer | None:
        tool = job.bench.tools.tools.get(call.name)
        if (tool is None or not tool.hands_off) and job.talk.seen.is_last_word:
            return ToolAnswer(self._prompts.render("answers/only_finish"), error=True, compared=None)
        return job.talk.held_back(call, self._prompts)

    async def _hear_last_word(self, job: Attempt, why: str, beat: Progress) -> None:
        """Let the agent hand off in its own words, once.

        Raises:
            Stopped: It had its last word, or there is no way to have it: the harness hands off.
        """
        talk = job.talk
        if talk.seen.last_word == "had":
            raise Stopped(HandoffStatus.PARTIAL, why)
        text = self._prompts.render("reminders/last_word", what=why.partition(": ")[2].capitalize())
        if talk.seen.last_word is None:
            talk.note(Reminder(text=text, why=LAST_WORD))
        beat("asks for the last word")
        talk.turn += 1
        for question in last_reply.questions(job, text):
            try:
                await talk.ask(question)
            except Shortage:
                raise  # the machine's, and not the model's: the last word can wait
            except ContextOverflow:
                continue  # a shorter one may fit
            except (TransientError, FatalModelError) as error:
                raise Stopped(HandoffStatus.PARTIAL, why) from error
            return
        raise Stopped(HandoffStatus.PARTIAL, why)

    def _tell_of_rebuilding(self, job: Attempt) -> None:
        if not job.workspace.rebuilt:
            return
        if boot_id() in job.views.attempt.boots:
            return
        source = job.workspace.rebuilt_from
        shown = f"snapshot {source[:12]}" if source else f"trunk commit {job.workspace.base[:12]}"
        text = self._prompts.render("messages/rebuilt", source=shown)
        job.talk.note(Reminder(text=text, why="rebuilt", boot=boot_id()))

    def _used_up(self, job: Attempt) -> str | None:
        """The limit that is used up, but for the last reply."""
        deadline = job.order.context.deadline
        if deadline is not None and self._clock() >= deadline:
            return "hours: the run's hours are used up"
        if _minutes(job) >= _bound(job.spec.limits.task_minutes):
            return "minutes: the active time of this task is used up"
        short = Amount() if job.order.more else _missing(job)
        if short.tokens:
            return "budget: the tokens of this task are used up"
        return "budget: the dollars of this task are used up" if short else None

    def _amend(self, job: Attempt) -> None:
        """Send the user's amendments that this epoch does not hold yet."""
        run = job.order.context.run
        amendments = Amendments(self._store, self._prompts, run, job.order.amendments).untold(job.talk.seen.amendments)
        if amendments is not None:
            job.talk.note(Message(text=amendments.text, amendments=amendments.seqs))

    def _remind(self, job: Attempt) -> None:
        job.talk.remind(self._prompts)
        limits = job.spec.limits
        used = {
            "active minutes": _minutes(job) / _bound(limits.task_minutes),
            "tokens": job.talk.paid.tokens / min(_bound(limits.task_tokens), _last_slice(job)),
            "dollars": job.talk.paid.amount.micro_usd / MICRO / _bound(limits.task_usd),
        }
        nearly = [what for what, part in used.items() if part >= REMIND_AT]
        if nearly and "limit" not in job.views.attempt.reminded:
            text = self._prompts.render("reminders/limit", what=nearly[0])
            job.talk.note(Reminder(text=text, why="limit"))


def _spent(job: Attempt) -> Amount:
    return job.talk.paid.amount + Amount(tasks=1)


def _report_in(results: Iterable[Result | None]) -> HandoffReport | None:
    said = [result.report for result in results if isinstance(result, Finished)]
    return next((report for report in reversed(said) if report is not None), None)


def _stop_if_due(job: Attempt) -> None:
    # Among the newest answers: a landing that conflicts so often ends the attempt before anything else is asked.
    if conflict_rounds(job.talk.seen.results) >= ROUNDS:
        kept = job.views.attempt.kept_here
        patch = f"; the change as it was before the last one is commit {kept}" if kept else ""
        raise Stopped(HandoffStatus.PARTIAL, f"landing conflicted {ROUNDS} times in a row{patch}")
    stop = job.talk.guards.stop_due
    if stop is None:
        return
    if stop.cause == "mute":
        raise Stopped(HandoffStatus.PARTIAL, f"{stop.why}; the last words were: {stop.text}")
    raise Stopped(HandoffStatus.FAILED, stop.why, retry=True)


def _missing(job: Attempt) -> Amount:
    """The part of the task's next call that its grant lacks, beside the cost of a last reply."""
    paid = job.talk.paid.amount + last_reply.kept_for_it(job)
    return missing(paid, job.compaction.reserve, job.order.granted, dollars=job.order.context.bounds_dollars)


def _last_slice(job: Attempt) -> float:
    """All tokens that the task will ever have; without bound while it may ask for more."""
    return _bound("none" if job.order.more else job.order.granted.tokens)


def _minutes(job: Attempt) -> float:
    return job.views.time.active_s / 60


def _bound(limit: float | Literal["none"]) -> float:
    return float("inf") if limit == "none" else float(limit)
