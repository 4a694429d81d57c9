"""The things that a worker's tools work with, and the running of its calls."""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import cached_property
from inspect import iscoroutinefunction
from typing import cast

from headway.agents.loop.arguments import parsed
from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.agents.loop.harness_faults import answer_to, broken_before
from headway.agents.loop.tool import Toolset, tool_called
from headway.agents.worker.finish_checks import Commands
from headway.agents.worker.land_tool import LandTool
from headway.domain.task import TaskSpec
from headway.editing.edit_process import EditProcess
from headway.editing.files import Files
from headway.editing.patching import NO_FILES, FileHashes
from headway.eventlog.events.conversation import ToolCallBegun
from headway.eventlog.events.envelope import Event
from headway.eventlog.views.working import Working
from headway.git.workspace.workspace import Workspace
from headway.models.turn import ToolCall
from headway.runs.workspace_lock import alone
from headway.sandbox.runner import Sandbox
from headway.sandbox.spec import SandboxSpec
from headway.system.bounded import Within, unheld
from headway.system.threads import in_thread
from prompts.prompts import Prompts


@dataclass(frozen=True)
class WorkerTools:
    """The tools of one attempt at a task.

    Attributes:
        walls: The walls around its commands.
        command_seconds: Longest run time of one command.
        tools: The tools that the agent has.
        views: The attempt so far.
        commands: Its newest commands.
        within: The bounds of a program that reads for the agent.
    """

    task: TaskSpec
    conversation: Conversation
    workspace: Workspace
    lander: LandTool
    sandbox: Sandbox
    walls: SandboxSpec
    prompts: Prompts
    command_seconds: float
    tools: Toolset
    views: Working
    commands: Commands
    within: Within = unheld

    @cached_property
    def files(self) -> Files:
        """The workspace as the file tools see it."""
        return Files(self.workspace.path, self.within)

    @cached_property
    def apart(self) -> EditProcess:
        """Edits and parses texts of any size."""
        return EditProcess(self.within)

    async def answer(self, call: ToolCall) -> ToolAnswer:
        """Run a call and return its answer. A call that was begun before a crash is not simply run again.

        Raises:
            LeaseLost: Somebody else works on this task now; the call was stopped, or not begun.
        """
        tool = self.tools.tools.get(call.name)
        before = broken_before(self.conversation, call, self.prompts, resumes=tool is not None and tool.resumes)
        if before is not None:
            return before
        async with alone(self.workspace, self.conversation.log):
            try:
                return await self._run(call)
            except Exception as error:  # noqa: BLE001 - what is no fault of the call is raised again there
                return answer_to(error, self.prompts)

    async def _run(self, call: ToolCall) -> ToolAnswer:
        tool = tool_called(self.tools, call.name)
        arguments = parsed(tool.name, tool.args, tool.example, call.arguments)
        context = WorkerContext(call, self)
        if iscoroutinefunction(tool.run):
            return await cast("Awaitable[ToolAnswer]", tool.run(context, arguments))
        return cast("ToolAnswer", await in_thread(tool.run, context, arguments))


@dataclass(frozen=True)
class WorkerContext:
    """One call of a worker's tool."""

    call: ToolCall
    bench: WorkerTools

    @property
    def conversation(self) -> Conversation:
        """The worker's conversation."""
        return self.bench.conversation

    @property
    def prompts(self) -> Prompts:
        """The texts of answers."""
        return self.bench.prompts

    @property
    def files(self) -> Files:
        """The files of the workspace."""
        return self.bench.files

    def begin(self, files: FileHashes = NO_FILES) -> Event[ToolCallBegun]:
        """Note that the call is being run, before its first effect; the note from before a crash, if there is one.

        Args:
            files: The files that the call is about to change.
        """
        begun = self.begun()
        return self.conversation.note(self.note(files)) if begun is None else begun

    def begun(self) -> Event[ToolCallBegun] | None:
        """The note that the call was begun; None where its first effect is still to come."""
        return self.conversation.interrupted.begun(self.call.id)

    def note(self, files: FileHashes = NO_FILES) -> ToolCallBegun:
        """The note itself."""
        call = self.call
        return ToolCallBegun(
            call_id=call.id, name=call.name, arguments=call.arguments, before=files.before, after=files.after
        )

    def syntax(self, path: str, content: str | bytes) -> str:
        """The note on a file that does not parse, below the words on its change."""
        text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
        error = self.bench.apart.first_error(path, text)
        return "\n" + self.prompts.render("answers/syntax", path=path, error=error) if error else ""
