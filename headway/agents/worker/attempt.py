"""One attempt at a task while a worker is on it, and its end: the kept work, and the handoff."""

from collections.abc import Sequence
from dataclasses import dataclass

from headway.agents.handoff_facts import files_of, work_facts
from headway.agents.handoff_store import append_handoff, made_by_harness
from headway.agents.loop.compaction import Compaction
from headway.agents.loop.conversation import Conversation
from headway.agents.loop.harness_faults import passes
from headway.agents.worker.finish_checks import Commands
from headway.agents.worker.task_message import TaskMessage
from headway.agents.worker.worker_tools import WorkerTools
from headway.domain.errors import AgentStopped, LeaseLost, ToolError
from headway.domain.handoff import Handoff, HandoffReport, HandoffStatus
from headway.domain.ids import Oid
from headway.domain.messages import WorkerDone, WorkOrder
from headway.domain.refs import Ref
from headway.domain.spec import RunSpec
from headway.domain.task import TaskKind, TaskSpec
from headway.eventlog.events.envelope import Event
from headway.eventlog.events.life import AgentStart, AgentState, HandedOff
from headway.eventlog.events.work import SnapshotKept
from headway.eventlog.spent import spent_by
from headway.eventlog.store import AgentLog, LogStore
from headway.eventlog.views.attempt import AttemptRecord
from headway.eventlog.views.working import Working
from headway.git.hub import Hub
from headway.git.workspace.snapshot import Snapshot, newest, snapshot
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspaces import Workspaces
from headway.system.boot import boot_id
from headway.system.excerpt import cut
from headway.system.shortage import lacking
from headway.system.threads import in_thread
from prompts.prompts import Prompts

SUMMARY_CHARS = 1_000
CHANGED_CHARS = 2_000
NONE = "none"
NOTHING_LANDED = "By the harness: the worker said done, and nothing of this task is on the trunk."


@dataclass
class Attempt:
    """An attempt at work."""

    order: WorkOrder
    spec: RunSpec
    task: TaskSpec
    start: Event[AgentStart]
    workspace: Workspace
    conversation: Conversation
    bench: WorkerTools
    assignment: TaskMessage
    views: Working
    compaction: Compaction

    def asked(self) -> str:
        """The worker's request, word for word."""
        return self.assignment.text(self.workspace.base, self.setup, self.views.attempt.earlier)

    def opening(self, carried: str, prompts: Prompts) -> str:
        """The beginning of an epoch that follows another one."""
        landed = [commit[:12] for commit in self.views.attempt.landed]
        facts = prompts.render(
            "messages/work_facts",
            landed=", ".join(landed) or NONE,
            base=self.workspace.base[:12],
            changed=cut(", ".join(self.workspace.changes().paths), CHANGED_CHARS) or NONE,
            minutes=round(self.views.time.active_s / 60),
            tokens=f"{self.conversation.paid.tokens:,}",
            scratchpad=self.views.notes.content or NONE,
        )
        return f"{self.asked()}\n\n---\n{facts}\n\n{carried}"

    @property
    def setup(self) -> AgentState | None:
        """The event that tells of the user's `setup` in these files, once it has run in them."""
        return self.views.attempt.setup.get(self.setup_name)

    @property
    def setup_name(self) -> str:
        """Names the files in which `setup` runs: they are new, or were rebuilt after a crash of the machine."""
        return boot_id() if self.workspace.rebuilt else "new"


@dataclass(frozen=True)
class Opening:
    """An attempt before its workspace is there."""

    order: WorkOrder
    task: TaskSpec
    spec: RunSpec
    log: AgentLog
    views: Working
    commands: Commands


class Stopped(AgentStopped):
    """The attempt ends by the harness's word; `retry`: another one may do better."""

    def __init__(self, status: HandoffStatus, why: str, *, retry: bool = False) -> None:
        super().__init__(status, why)
        self.retry = retry


@dataclass(frozen=True)
class FinishedAttempt:
    """Writes the last event of an attempt."""

    store: LogStore
    hub: Hub
    workspaces: Workspaces
    order: WorkOrder
    title: str
    kind: TaskKind

    async def hand_off(
        self,
        log: AgentLog,
        workspace: Workspace | None,
        report: HandoffReport,
        *,
        harness_made: str = "",
        retry: bool = False,
    ) -> WorkerDone:
        """Keep the unlanded changes, store the handoff, and clear the workspace away."""
        event = await in_thread(self._store, log, workspace, report, harness_made, retry)
        if workspace is not None:
            await in_thread(self._clear, workspace)
        return self.done(event)

    async def stopped(self, log: AgentLog, workspace: Workspace | None, stop: Stopped) -> WorkerDone:
        """Hand off in the harness's words."""
        report = made_by_harness(stop.status, stop.why)
        return await self.hand_off(log, workspace, report, harness_made=stop.why, retry=stop.retry)

    async def broken(self, log: AgentLog, workspace: Workspace | None, why: str) -> WorkerDone:
        """Hand off with all changes that can be kept; where keeping breaks too, with the newest snapshot."""
        stop = Stopped(HandoffStatus.FAILED, why, retry=True)
        try:
            return await self.stopped(log, workspace, stop)
        except Exception as error:
            if workspace is None or isinstance(error, LeaseLost) or lacking(error):
                raise
            return await self.stopped(log, None, stop)

    def done(self, event: Event[HandedOff]) -> WorkerDone:
        """The result of a stored handoff, for the workflow."""
        handoff = event.body.handoff
        return WorkerDone(
            ref=Ref(log=event.agent, seq=event.seq),
            status=handoff.report.status,
            summary=cut(handoff.report.summary, SUMMARY_CHARS),
            spent=spent_by(self.store.stream(event.agent), is_task=True),
            retry=event.body.retry,
        )

    def _store(
        self, log: AgentLog, workspace: Workspace | None, report: HandoffReport, harness_made: str, retry: bool
    ) -> Event[HandedOff]:
        me = self.order.me
        kept, problem = self._keep(log, workspace)
        physical = self.store.stream(me)
        landed = tuple(self.hub.landed_by(me))
        report = true_report(report, self.kind, landed)
        if problem:
            report = report.model_copy(update={"concerns": f"{report.concerns}\n{problem}".strip()})
        handoff = Handoff(
            agent=me,
            title=self.title,
            report=report,
            facts=work_facts(
                physical,
                landed=landed,
                files_changed=files_of(self.hub, landed),
                wip=kept.ref if kept else None,
                attempt=self.order.attempt,
                harness_made=harness_made,
            ),
        )
        return append_handoff(log, handoff, attempt=self.order.attempt, retry=retry, epoch=log.epoch)

    def _keep(self, log: AgentLog, workspace: Workspace | None) -> tuple[Snapshot | None, str]:
        if workspace is None:
            return newest(self.hub, self.order.me), ""
        try:
            kept = snapshot(self.hub, workspace, self.order.me, log.check)
        except Exception as error:
            if passes(error) and not isinstance(error, ToolError):
                raise
            return None, f"what was not landed could not be kept on a ref and lies in {workspace.path}: {error}"
        if kept is not None:
            log.append(SnapshotKept(commit=kept.commit, ref=kept.ref, base=kept.base))
        return kept, ""

    def _clear(self, workspace: Workspace) -> None:
        try:
            self.workspaces.remove(workspace)
        except LeaseLost:
            raise
        except Exception:  # noqa: BLE001 - of any kind: the handoff is stored, and that is what counts
            # A workspace that cannot be cleared away safely stays, for `headway gc`.
            return


def true_report(report: HandoffReport, kind: TaskKind, landed: Sequence[Oid]) -> HandoffReport:
    """The report with a status that the trunk bears out: a change of which nothing is there is not done."""
    if report.status is not HandoffStatus.DONE or kind is TaskKind.INVESTIGATE or landed:
        return report
    concerns = f"{report.concerns}\n{NOTHING_LANDED}".strip()
    return report.model_copy(update={"status": HandoffStatus.PARTIAL, "concerns": concerns})


def begin_attempt(
    log: AgentLog, order: WorkOrder, task: TaskSpec, workspace: Workspace, attempt: AttemptRecord
) -> Event[AgentStart]:
    """Note that an attempt begins; each has an epoch of its own."""
    start = AgentStart(
        attempt=order.attempt,
        title=title_of(task),
        base=workspace.base,
        workspace=str(workspace.path),
        kind=task.kind,
    )
    return log.append(start, epoch=log.epoch + 1 if attempt.title else 0, sync=True)


def title_of(task: TaskSpec) -> str:
    """The whole title, on one line."""
    return " ".join(task.title.split())
