"""Carries out a worker's tool calls in its workspace. A call with an effect is noted before it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from headway.agent.apart import Apart, Replacement
from headway.agent.breakage import answer_to, broken_before, passes, why
from headway.agent.conversation import Answer, Conversation
from headway.agent.doubts import Standing, after_last, doubts
from headway.agent.excerpt import EXCERPT_CHARS, cut, cut_middle, line_count
from headway.agent.files import Files
from headway.agent.guards import digest
from headway.agent.holding import alone, while_held
from headway.agent.kept_reply import noted
from headway.agent.lander import Lander
from headway.agent.last_word import is_newest_reply
from headway.agent.outcome import how_it_ended, measured, remarks
from headway.agent.patch import Add, Delete, Update
from headway.agent.patching import NO_FILES, Done, FileHashes, Patching, notes_of, paths_of
from headway.agent.prompts import Prompts
from headway.agent.scratchpad import rewrite
from headway.agent.threads import in_thread
from headway.agent.tools import working as tools
from headway.agent.tools.planning import Grep, ListDir, ReadFile, RewriteScratchpad
from headway.agent.tools.schema import Arguments, arguments_of
from headway.agent.unfinished import unfinished
from headway.domain.errors import ToolError, TransientError
from headway.domain.handoff import HandoffStatus
from headway.domain.results import INTERRUPTED, Finished, Ran
from headway.domain.task import TaskKind, TaskSpec
from headway.git.changes import shown
from headway.git.merging import marked
from headway.git.workspace import Workspace
from headway.model.turn import ToolCall
from headway.sandbox.runner import Command, Sandbox
from headway.sandbox.walls import Walls
from headway.system.bounded import Within, unheld
from headway.system.shortage import waited_for
from headway.trace.events.envelope import Event, bodies, only
from headway.trace.events.life import AgentState
from headway.trace.events.talk import ToolCallBegun, ToolResult
from headway.trace.events.work import Edit, LandedCommit, ResourceKill


@dataclass(frozen=True)
class Workbench:
    """The tools of one attempt at a task.

    Attributes:
        walls: The walls around its commands.
        command_seconds: Longest run time of one command.
        check: The user's command that proves a commit.
        offered: The tools that the agent has, by name.
        within: The bounds of a program that reads for the agent.
    """

    task: TaskSpec
    talk: Conversation
    workspace: Workspace
    lander: Lander
    sandbox: Sandbox
    walls: Walls
    prompts: Prompts
    command_seconds: float
    check: str | None = None
    offered: Mapping[str, type[Arguments]] = field(default_factory=lambda: tools.WORKER_TOOLS)
    within: Within = unheld

    async def answer(self, call: ToolCall) -> Answer:
        """Run a call and return its answer. A call that was begun before a crash is not simply run again.

        Raises:
            LeaseLost: Somebody else works on this task now; the call was stopped, or not begun.
        """
        before = broken_before(self.talk, call, self.prompts)
        if before is not None:
            return before
        async with alone(self.workspace, self.talk.log):
            return await self._answer(call)

    async def _answer(self, call: ToolCall) -> Answer:
        try:
            arguments = arguments_of(self.offered, call.name, call.arguments)
            match arguments:
                case tools.Shell():
                    return await self._shell(call, arguments)
                case tools.Land() if self.task.kind is TaskKind.INVESTIGATE:
                    return Answer(self.prompts.render("answers/land_investigate"), error=True)
                case tools.Land():
                    return await self.lander.land(self.talk, self._begin(call), arguments)
                case _:
                    return await in_thread(self._at_once, call, arguments)
        except Exception as error:  # noqa: BLE001 - what is no fault of the call is raised again there
            return answer_to(error, self.prompts)

    def _at_once(self, call: ToolCall, arguments: Arguments) -> Answer:
        files = self.files
        match arguments:
            case tools.EditFile():
                return self._edit(call, arguments)
            case tools.ApplyPatch():
                return self._patch(call, arguments)
            case tools.WriteFile(path=path, content=content):
                self._begin(call)
                done = "replaced" if files.write(path, content.encode("utf-8", "surrogateescape")) else "written"
                lines = line_count(content)
                said = self.prompts.render("answers/written", path=path, done=done, lines=lines)
                self.talk.note(Edit(path=path, call_id=call.id, kind="write"))
                return Answer(said + self._syntax(path, content), progress=True, compared=digest(content))
            case RewriteScratchpad(content=content):
                return rewrite(self.talk, self.prompts, content)
            case tools.Finish():
                return self._finish(arguments)
            case ListDir(path=path, depth=depth):
                return Answer(files.list_dir(path, depth))
            case ReadFile(path=path, start=start, limit=limit):
                return Answer(cut(files.read(path, start, limit), EXCERPT_CHARS))
            case Grep(pattern=pattern, path=path, glob=glob):
                return Answer(files.grep(pattern, path, glob))
            case _:
                raise TypeError(f"{type(arguments).__name__} is no tool of a worker")

    @cached_property
    def files(self) -> Files:
        """The workspace as the file tools see it."""
        return Files(self.workspace.path, self.within)

    @cached_property
    def apart(self) -> Apart:
        """Edits and parses texts of any size."""
        return Apart(self.within)

    def _begin(self, call: ToolCall, files: FileHashes = NO_FILES) -> Event[ToolCallBegun]:
        """The note that a call is being run; the one from before a crash, if there is one."""
        begun = self._begun(call)
        if begun is not None:
            return begun
        return self.talk.note(_call_begun(call, files))

    def _begun(self, call: ToolCall) -> Event[ToolCallBegun] | None:
        since = self.talk.reply.seq if self.talk.reply else 0
        line = self.talk.log.line
        notes = takewhile(lambda event: event.seq > since, reversed(line))
        newest = next((note for note in only(notes, ToolCallBegun) if note.body.call_id == call.id), None)
        return None if newest is None or newest.body.withdrawn else newest

    def _edit(self, call: ToolCall, asked: tools.EditFile) -> Answer:
        raw = self.files.raw(asked.path)
        begun = self._begun(call)
        if begun is not None and digest(raw) == begun.body.after:
            said = self.prompts.render("answers/edit_applied", path=asked.path)
            return Answer(said, progress=True)
        try:
            made = self.apart.change(raw, Replacement(asked.old, asked.new, asked.replace_all), 1)
        except ToolError as error:
            raise ToolError(f"{cut(asked.path, 300)} is as it was: {error}") from error
        # The text it makes is noted first, so that a kill right after the write is told from one right before it.
        self._begin(call, FileHashes(after=digest(made.raw)))
        self.files.write(asked.path, made.raw)
        self.talk.note(Edit(path=asked.path, call_id=call.id, kind="edit", how=made.how))
        how = "" if made.how == "exact" else f" ({made.how})"
        said = self.prompts.render("answers/edited", path=asked.path, how=how, shown=made.shown)
        return Answer(said + self._syntax(asked.path, made.raw), progress=True)

    def _patch(self, call: ToolCall, asked: tools.ApplyPatch) -> Answer:
        sections = asked.sections()
        patching = Patching(self.files, sections, digest(call.id), self.apart)
        begun = self._begun(call)
        if begun is not None:
            patching.finish(FileHashes(begun.body.before, begun.body.after))
            paths = ", ".join(path for section in sections for path in paths_of(section))
            return Answer(self.prompts.render("answers/patch_finished", paths=paths), progress=True)
        changes, done = patching.drafted()
        patching.stage(changes)
        # Noted after everything that can be refused, and before the first file changes: a patch that is cut short is
        # finished.
        self._begin(call, notes_of(changes))
        patching.carry_out(changes)
        for each in done:
            how = each.made.how if each.made else ""
            self.talk.note(Edit(path=each.section.path, call_id=call.id, kind="patch", how=how))
        return Answer(cut("\n".join(map(self._patched, done)), EXCERPT_CHARS), progress=True)

    def _patched(self, done: Done) -> str:
        """The words on one file of a patch."""
        match done.section:
            case Add(path, content):
                lines = line_count(content)
                said = self.prompts.render("answers/written", path=path, done="written", lines=lines)
                return said + self._syntax(path, content)
            case Delete(path):
                return self.prompts.render("answers/deleted", path=path)
            case Update(path, _, move_to):
                moved = f"{path} was moved to {move_to}." if move_to else ""
                if done.made is None:
                    return moved
                how = "" if done.made.how == "exact" else f" ({done.made.how})"
                said = self.prompts.render("answers/edited", path=move_to or path, how=how, shown=done.made.shown)
                return "\n".join(filter(None, (moved, said + self._syntax(move_to or path, done.made.raw))))

    def _syntax(self, path: str, content: str | bytes) -> str:
        """The note on a file that does not parse, below the words on its change."""
        text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
        error = self.apart.first_error(path, text)
        return "\n" + self.prompts.render("answers/syntax", path=path, error=error) if error else ""

    async def _shell(self, call: ToolCall, asked: tools.Shell) -> Answer:
        if self._begun(call) is not None:
            lost = Ran(command=asked.command, exit_code=None, note=INTERRUPTED)
            return Answer(self.prompts.render("answers/interrupted"), error=True, progress=True, result=lost)
        files = self.files
        cwd, home = files.folder(asked.workdir), files.home()
        begun = self._begin(call)
        limit = min(asked.timeout_s or self.command_seconds, self.command_seconds)
        command = Command(line=asked.command, cwd=cwd, timeout_s=limit, walls=self.walls, home=home)
        try:
            with waited_for("no file can be made for the output of a command"):
                output = files.output_file(begun.seq)
            result = await while_held(self.talk.log, self.sandbox.run(command, full_output=output))
        except TransientError:
            # It has not begun, for example because the disk is full. It runs when the agent goes on.
            withdrawn = _call_begun(call).model_copy(update={"withdrawn": True})
            await noted(lambda: self.talk.note(withdrawn))
            raise
        why = "oom" if result.out_of_memory else result.killed_for
        if why is not None:
            killed = ResourceKill(call_id=call.id, why=why, seconds=result.seconds)
            await noted(lambda: self.talk.note(killed))
        ended = how_it_ended(result)
        text = f"[{ended}, {result.seconds:.1f} s]\n{cut_middle(result.output, EXCERPT_CHARS)}"
        text += "".join(f"\n[{remark}]" for remark in remarks(result, self.walls))
        if result.output_cut:
            shown = output.relative_to(self.workspace.path)
            text += f"\n[{result.output_bytes} bytes in all; the whole output: {shown}]"
        ran = measured(asked.command, "" if result.killed_for is None else ended, result)
        compared = f"{ended}\n{result.output}"
        return Answer(text, compared=compared, result=ran, dur_ms=result.seconds * 1000)

    def _finish(self, report: tools.Finish) -> Answer:
        said = report.handed()
        told = any(_bounced(answer) for answer in bodies(self.talk.events, ToolResult))
        # A last word counts as it stands: there is no call left to set anything right.
        found = [] if told or is_newest_reply(self.talk.events) else self._doubts_told(said.status)
        if found:
            listed = "\n".join(f"- {doubt}" for doubt in found)
            text = self.prompts.render("answers/doubtful_finish", facts=listed)
            return Answer(text, error=True, compared=None, result=Finished(bounced=True))
        return Answer(self.prompts.render("answers/handed_off"), compared=None, result=Finished(report=said))

    def _doubts_told(self, status: HandoffStatus) -> list[str]:
        """The doubts; none where they cannot be found out, because nothing may keep an agent from handing off."""
        try:
            return self._doubts(status)
        except Exception as error:
            if passes(error):
                raise
            self.talk.note(AgentState(broke=why(error)))
            return []

    def _doubts(self, status: HandoffStatus) -> list[str]:
        if self.task.kind is TaskKind.INVESTIGATE:
            return doubts(status, self.task.kind, Standing(), self.talk.events)
        hub = self.lander.hub
        landed = tuple(hub.landed_by(self.lander.task))
        claimed = [each.commit for each in bodies(self.talk.log.line, LandedCommit)]
        left = self.workspace.changes().paths
        with self.workspace.held():
            conflicted = self.workspace.standing().conflicted
            marks = marked(hub.repo, self.workspace.scan().files, conflicted) if conflicted else []
        now = Standing(
            unlanded=left,
            in_submodules=self.workspace.in_submodules(),
            marked=tuple(map(shown, marks)),
            landed=landed,
            gone=tuple(after_last(claimed, landed)),
            unfinished=unfinished(hub, landed),
            check=self.check,
        )
        return doubts(status, self.task.kind, now, self.talk.events)


def _call_begun(call: ToolCall, files: FileHashes = NO_FILES) -> ToolCallBegun:
    return ToolCallBegun(
        call_id=call.id, name=call.name, arguments=call.arguments, before=files.before, after=files.after
    )


def _bounced(answer: ToolResult) -> bool:
    return isinstance(answer.result, Finished) and answer.result.bounced
