"""The worker's loop: one attempt at one task, resumable at any point from the agent log and the workspace."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from headway.agents.loop import harness_faults, kept_reply
from headway.agents.loop.amendments import Amendments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Toolset
from headway.agents.worker import last_reply
from headway.agents.worker.attempt import Attempt, FinishedAttempt, Opening, Stopped, title_of
from headway.agents.worker.attempt_limits import missing_for_next_call, nearly_used_up, used_up
from headway.agents.worker.finish_checks import Commands
from headway.agents.worker.land_tool import ROUNDS, conflict_rounds
from headway.agents.worker.open_attempt import AttemptOpener
from headway.domain.defaults import SNAPSHOT_STEPS
from headway.domain.errors import HeldBack, Shortage, TransientError
from headway.domain.handoff import HandoffReport, HandoffStatus
from headway.domain.ids import RunName
from headway.domain.messages import EndWorker, WorkerDone, WorkerSuspended, WorkOrder
from headway.domain.progress import Progress
from headway.domain.results import Finished, Result
from headway.domain.state.budget import Amount
from headway.domain.task import TaskSpec
from headway.eventlog.events.conversation import Message, Reminder
from headway.eventlog.events.life import RunStart
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
from headway.models.editing import Edit
from headway.models.failures import ContextOverflow, FatalModelError
from headway.models.roles import ModelRoles
from headway.models.turn import ToolCall
from headway.runs.workspace_lock import alone
from headway.sandbox.runner import Sandbox
from headway.system.boot import boot_id
from headway.system.bounded import Reading, by_limits
from headway.system.threads import in_thread
from prompts.prompts import Prompts


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
        tools: Mapping[Edit, Toolset],
        snapshot_steps: int = SNAPSHOT_STEPS,
        reading: Reading = by_limits,
    ) -> None:
        self._store = store
        self._hubs = hubs
        self._workspaces = workspaces
        self._models = models
        self._prompts = prompts
        self._clock = clock
        self._snapshot_steps = snapshot_steps
        self._opener = AttemptOpener(store, hubs, workspaces, sandbox, models, prompts, tools, reading)

    async def work(self, order: WorkOrder, progress: Progress) -> WorkerDone | WorkerSuspended:
        """Work on an attempt until it is handed off or its grant is used up.

        On cancellation the running command is killed, the log synced, and the workspace left as it is.

        Raises:
            LeaseLost: A newer holder works on this task now.
            TransientError: The model or git cannot go on now; the attempt goes on when it is asked for again.
            UserError: No model can be chosen.
        """
        try:
            return await self._work(order, progress)
        except HeldBack:
            spent = await in_thread(spent_by, self._store.stream(order.me), is_task=True)
            return WorkerSuspended(why="held", spent=spent)

    async def _work(self, order: WorkOrder, progress: Progress) -> WorkerDone | WorkerSuspended:
        progress("opens the log")
        await in_thread(self._store.expect, order.context.run, order.context.incarnation)
        log = await in_thread(self._store.open, order.me, role="worker", task=order.me)
        try:
            task = await in_thread(task_at, self._store, order.task)
            ending = self._finished_attempt(order, task)
            spec = order.context.in_force(self._store.said(order.context.spec, RunStart).spec)
            commands = Commands(spec.check)
            views = await in_thread(Working, log, order.attempt, commands)
            if views.attempt.ended is not None:
                return ending.done(views.attempt.ended)
            opening = Opening(order, task, spec, log, views, commands)
            return await self._attempt(opening, ending, progress)
        finally:
            await self._models.leave(order.me)
            log.finish()

    async def _attempt(
        self, opening: Opening, ending: FinishedAttempt, progress: Progress
    ) -> WorkerDone | WorkerSuspended:
        """Work on it; it ends by the harness's word when it breaks at the same place again and again."""
        attempt: Attempt | None = None
        try:
            attempt = await self._opener.open(opening, progress)
            return await self._go_on(attempt, ending, progress)
        except Stopped as stop:
            return await ending.stopped(opening.log, attempt.workspace if attempt else None, stop)
        except Exception as error:
            if not await in_thread(harness_faults.counted, opening.log, opening.views.interrupted, error):
                raise
            broke = f"the harness failed at the same place again and again: {harness_faults.why(error)}"
            return await ending.broken(opening.log, attempt.workspace if attempt else None, broke)

    async def end(self, order: EndWorker) -> WorkerDone:
        """End an attempt from outside: fence the worker, keep its unlanded changes, and store its handoff.

        Raises:
            LeaseLost: A newer holder took over meanwhile.
        """
        work = order.order
        await in_thread(self._store.expect, work.context.run, work.context.incarnation)
        log = await in_thread(self._store.open, work.me, role="worker", task=work.me)
        try:
            ending = self._finished_attempt(work, await in_thread(task_at, self._store, work.task))
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
            return await self._opener.enter(order, log)
        except Exception as error:
            if not await in_thread(harness_faults.counted, log, views.interrupted, error):
                raise
            return None

    def _finished_attempt(self, order: WorkOrder, task: TaskSpec) -> FinishedAttempt:
        run = order.context.run
        return FinishedAttempt(self._store, self._hubs(run), self._workspaces(run), order, title_of(task), task.kind)

    async def _go_on(
        self, attempt: Attempt, ending: FinishedAttempt, progress: Progress
    ) -> WorkerDone | WorkerSuspended:
        """The loop. The next step follows from the log alone."""
        conversation = attempt.conversation
        while True:
            if attempt.compaction.is_due:
                await in_thread(attempt.compaction.settle)
            report = await self._carry_out(attempt, progress)
            if report is not None:
                return await ending.hand_off(conversation.log, attempt.workspace, report)
            self._tell_of_rebuilding(attempt)
            _stop_if_due(attempt)
            why = used_up(attempt, self._clock())
            if why is not None:
                await self._ask_for_final_reply(attempt, why, progress)
                continue
            if attempt.order.amendments and not conversation.handing_over:
                await in_thread(self._amend, attempt)
            attempt.compaction.prepare()
            need = missing_for_next_call(attempt)
            if need:
                # It gives up its slot: without a word of it, its log would show an agent between two steps for hours.
                conversation.note(BudgetAsked(needs=need))
                return WorkerSuspended(why="grant", spent=_spent(attempt), need=need)
            await self._keep(attempt, progress)
            if not conversation.handing_over:
                self._remind(attempt)
            progress(ASKS)
            try:
                conversation.turn += 1
                await attempt.compaction.ask(progress)
            except FatalModelError as error:
                if not attempt.compaction.goes_on(error):
                    # Another attempt has a new conversation, without the refused part.
                    raise Stopped(HandoffStatus.FAILED, str(error), retry=True) from error
            except ContextOverflow as error:
                if not attempt.compaction.goes_on(error):
                    raise Stopped(HandoffStatus.FAILED, f"context overflow: {error}", retry=True) from error

    async def _keep(self, attempt: Attempt, progress: Progress) -> None:
        """Keep changes that are not on the trunk, every so many steps."""
        if attempt.conversation.turn and attempt.conversation.turn % self._snapshot_steps == 0:
            progress("keeps its work")
            async with alone(attempt.workspace, attempt.conversation.log):
                await in_thread(attempt.bench.lander.keep, attempt.conversation)

    async def _carry_out(self, attempt: Attempt, progress: Progress) -> HandoffReport | None:
        """Answer every call of the newest reply; the report, when one of them hands off."""
        conversation = attempt.conversation
        report = _report_in(conversation.seen.results)
        for call in conversation.pending:
            if report is not None:
                break
            progress(call.name)
            answer = self._held_back(attempt, call) or await attempt.bench.answer(call)
            noted = await kept_reply.noted(partial(conversation.answer, call, answer), progress)
            report = _report_in([noted.body.result])
        return report

    def _held_back(self, attempt: Attempt, call: ToolCall) -> ToolAnswer | None:
        tool = attempt.bench.tools.tools.get(call.name)
        if (tool is None or not tool.hands_off) and attempt.conversation.seen.is_last_word:
            return ToolAnswer(self._prompts.render("answers/only_finish"), error=True, compared=None)
        return attempt.conversation.held_back(call, self._prompts)

    async def _ask_for_final_reply(self, attempt: Attempt, why: str, progress: Progress) -> None:
        """Let the agent hand off in its own words, once.

        Raises:
            Stopped: It had its last word, or there is no way to have it: the harness hands off.
        """
        conversation = attempt.conversation
        if conversation.seen.last_word == "had":
            raise Stopped(HandoffStatus.PARTIAL, why)
        text = self._prompts.render("reminders/last_word", what=why.partition(": ")[2].capitalize())
        if conversation.seen.last_word is None:
            conversation.note(Reminder(text=text, why=LAST_WORD))
        progress("asks for the last word")
        conversation.turn += 1
        for question in last_reply.questions(attempt, text):
            try:
                await conversation.ask(question)
            except Shortage:
                raise  # the machine's, and not the model's: the last word can wait
            except ContextOverflow:
                continue  # a shorter one may fit
            except (TransientError, FatalModelError) as error:
                raise Stopped(HandoffStatus.PARTIAL, why) from error
            return
        raise Stopped(HandoffStatus.PARTIAL, why)

    def _tell_of_rebuilding(self, attempt: Attempt) -> None:
        if not attempt.workspace.rebuilt:
            return
        if boot_id() in attempt.views.attempt.boots:
            return
        source = attempt.workspace.rebuilt_from
        shown = f"snapshot {source[:12]}" if source else f"trunk commit {attempt.workspace.base[:12]}"
        text = self._prompts.render("messages/rebuilt", source=shown)
        attempt.conversation.note(Reminder(text=text, why="rebuilt", boot=boot_id()))

    def _amend(self, attempt: Attempt) -> None:
        """Send the user's amendments that this epoch does not hold yet."""
        run = attempt.order.context.run
        amendments = Amendments(self._store, self._prompts, run, attempt.order.amendments).untold(
            attempt.conversation.seen.amendments
        )
        if amendments is not None:
            attempt.conversation.note(Message(text=amendments.text, amendments=amendments.seqs))

    def _remind(self, attempt: Attempt) -> None:
        attempt.conversation.remind(self._prompts)
        limit = nearly_used_up(attempt)
        if limit is not None and "limit" not in attempt.views.attempt.reminded:
            text = self._prompts.render("reminders/limit", what=limit)
            attempt.conversation.note(Reminder(text=text, why="limit"))


def _spent(attempt: Attempt) -> Amount:
    return attempt.conversation.paid.amount + Amount(tasks=1)


def _report_in(results: Iterable[Result | None]) -> HandoffReport | None:
    said = [result.report for result in results if isinstance(result, Finished)]
    return next((report for report in reversed(said) if report is not None), None)


def _stop_if_due(attempt: Attempt) -> None:
    # Among the newest answers: a landing that conflicts so often ends the attempt before anything else is asked.
    if conflict_rounds(attempt.conversation.seen.results) >= ROUNDS:
        kept = attempt.views.attempt.kept_here
        patch = f"; the change as it was before the last one is commit {kept}" if kept else ""
        raise Stopped(HandoffStatus.PARTIAL, f"landing conflicted {ROUNDS} times in a row{patch}")
    stop = attempt.conversation.guards.stop_due
    if stop is None:
        return
    if stop.cause == "mute":
        raise Stopped(HandoffStatus.PARTIAL, f"{stop.why}; the last words were: {stop.text}")
    raise Stopped(HandoffStatus.FAILED, stop.why, retry=True)
