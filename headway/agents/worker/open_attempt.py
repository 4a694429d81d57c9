"""Opens an attempt: its model, workspace, conversation and tools, as they were left or for the first time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from headway.agents.loop import harness_faults
from headway.agents.loop.compaction import Compaction
from headway.agents.loop.conversation import Conversation
from headway.agents.loop.shared_prefix import SharedPrefix
from headway.agents.loop.tool import Toolset
from headway.agents.worker.attempt import Attempt, Opening, begin_attempt, title_of
from headway.agents.worker.land_tool import LandTool
from headway.agents.worker.set_up import set_up
from headway.agents.worker.task_message import TaskMessage
from headway.agents.worker.worker_tools import WorkerTools
from headway.domain.ids import RunName
from headway.domain.messages import WorkOrder
from headway.domain.progress import Progress
from headway.eventlog.store import AgentLog, LogStore
from headway.git.hub import Hub
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspaces import Workspaces
from headway.models.editing import Edit
from headway.models.roles import Chosen, ModelRoles
from headway.policy.sandbox_policy import sandbox_spec_of
from headway.runs.setup_runner import ensure_base_layer
from headway.runs.workspace_lock import alone
from headway.sandbox.runner import Sandbox
from headway.system.bounded import Reading, Within
from headway.system.threads import in_thread
from prompts.prompts import Prompts


@dataclass(frozen=True)
class AttemptOpener:
    """The adapters that an attempt stands on."""

    store: LogStore
    hubs: Callable[[RunName], Hub]
    workspaces: Callable[[RunName], Workspaces]
    sandbox: Sandbox
    models: ModelRoles
    prompts: Prompts
    tools: Mapping[Edit, Toolset]
    reading: Reading

    async def open(self, opening: Opening, progress: Progress) -> Attempt:
        """Find the attempt as it was left, or begin it.

        Raises:
            UserError: No model can be chosen.
        """
        order, spec, log, views = opening.order, opening.spec, opening.log, opening.views
        chosen = await self.models.choose("worker", spec)
        within = partial(self.reading, order.me, spec.limits.agent_memory_mb)
        hub = self.hubs(order.context.run).held_to(within)
        progress("opens the workspace")
        await ensure_base_layer(self.workspaces(order.context.run), spec, self.sandbox, order.me, progress)
        workspace = await self.enter(order, log)
        start = views.attempt.start
        if start is None:
            start = await in_thread(begin_attempt, log, order, opening.task, workspace, views.attempt)
        assignment = TaskMessage(order, opening.task, spec, hub, self.prompts)
        conversation = await self._conversation(opening, chosen, start.epoch, assignment)
        tools = await self._tools(opening, conversation, workspace, hub, within)
        other = await self.models.note_taker(spec, "worker")
        compaction = Compaction(
            conversation, self.prompts, lambda carried: attempt.opening(carried, self.prompts), other
        )
        attempt = Attempt(
            order, spec, opening.task, start, workspace, conversation, tools, assignment, views, compaction
        )
        await in_thread(harness_faults.note_resumed, conversation, tools.tools.named(lambda tool: tool.resumes))
        await set_up(attempt, self.sandbox, progress)
        await in_thread(compaction.settle)
        if conversation.seen.is_empty:
            await in_thread(lambda: conversation.say(attempt.asked()))
        return attempt

    async def enter(self, order: WorkOrder, log: AgentLog) -> Workspace:
        """The attempt's workspace, once an earlier holder has left it: a newer lease soon stops its command."""
        workspace = await in_thread(self.workspaces(order.context.run).open, order.me, order.attempt, log.lease)
        async with alone(workspace, log):
            return workspace

    async def _conversation(
        self, opening: Opening, chosen: Chosen, epoch: int, assignment: TaskMessage
    ) -> Conversation:
        order, log, views, tools = opening.order, opening.log, opening.views, self.tools[chosen.edit]
        conversation = Conversation(
            log,
            chosen,
            system=tools.system(self.prompts, "worker"),
            tools=tools.schemas,
            paid=views.paid,
            epoch=epoch,
            interrupted=views.interrupted,
            prompts=self.prompts.fingerprint,
            goal=title_of(opening.task),
            repeats=SharedPrefix(order.me, "worker", log.redacted(await in_thread(lambda: assignment.shared))),
        )
        conversation.turn = views.time.replies
        return conversation

    async def _tools(
        self, opening: Opening, conversation: Conversation, workspace: Workspace, hub: Hub, within: Within
    ) -> WorkerTools:
        order, spec, views = opening.order, opening.spec, opening.views
        author = spec.commit.author if spec.commit else hub.facts().author
        trunk_mb = None if spec.limits.trunk_mb == "none" else spec.limits.trunk_mb
        lander = LandTool(
            order.context,
            order.me,
            hub,
            workspace,
            author,
            self.prompts,
            views.attempt,
            self.store.holds,
            spec.policy.forbidden_dependencies,
            trunk_mb,
        )
        return WorkerTools(
            opening.task,
            conversation,
            workspace,
            lander,
            self.sandbox,
            await in_thread(sandbox_spec_of, order.me, workspace, spec),
            self.prompts,
            spec.limits.command_seconds,
            self.tools[conversation.chosen.edit],
            views,
            opening.commands,
            within,
        )
