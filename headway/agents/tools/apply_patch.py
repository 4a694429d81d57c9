"""`apply_patch`: several files at once, for models that are trained on patches."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.json_schema import SkipJsonSchema

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.guards import digest
from headway.agents.loop.tool import Tool
from headway.agents.worker.worker_tools import WorkerContext
from headway.editing.patch import Add, Delete, Section, Update, parse_operation, parse_patch
from headway.editing.patch_draft import Done
from headway.editing.patching import FileHashes, Patching, notes_of, paths_of
from headway.eventlog.events.work import Edit
from headway.models.editing import PATCH_TOOL
from headway.system.excerpt import EXCERPT_CHARS, cut, line_count


class Operation(BaseModel):
    """A change of one file, in the form of models that have the tool from their provider."""

    model_config = ConfigDict(frozen=True)

    type: Literal["create_file", "update_file", "delete_file"]
    path: PathText
    diff: str = ""


class ApplyPatch(Arguments):
    patch: str
    operation: SkipJsonSchema[Operation | None] = None

    @model_validator(mode="before")
    @classmethod
    def _one_of_them(cls, given: Any) -> Any:
        return {"patch": ""} | given if isinstance(given, dict) and given.get("operation") else given

    def sections(self) -> tuple[Section, ...]:
        """The changes that it asks for, file by file.

        Raises:
            ToolError: It is no patch.
        """
        asked = self.operation
        return parse_patch(self.patch) if asked is None else (parse_operation(asked.type, asked.path, asked.diff),)


def _run(context: WorkerContext, asked: ApplyPatch) -> ToolAnswer:
    sections = asked.sections()
    patching = Patching(context.files, sections, digest(context.call.id), context.bench.apart)
    begun = context.begun()
    if begun is not None:
        patching.finish(FileHashes(begun.body.before, begun.body.after))
        paths = ", ".join(path for section in sections for path in paths_of(section))
        return ToolAnswer(context.prompts.render("answers/patch_finished", paths=paths), progress=True)
    changes, done = patching.drafted()
    patching.stage(changes)
    # Noted after everything that can be refused, and before the first file changes: a patch that is cut short is
    # finished.
    context.begin(notes_of(changes))
    patching.carry_out(changes)
    for each in done:
        how = each.made.how if each.made else ""
        context.conversation.note(Edit(path=each.section.path, call_id=context.call.id, kind="patch", how=how))
    return ToolAnswer(cut("\n".join(_told(context, each) for each in done), EXCERPT_CHARS), progress=True)


def _told(context: WorkerContext, done: Done) -> str:
    """The text on one file of a patch."""
    render = context.prompts.render
    match done.section:
        case Add(path, content):
            text = render("answers/written", path=path, done="written", lines=line_count(content))
            return text + context.syntax(path, content)
        case Delete(path):
            return render("answers/deleted", path=path)
        case Update(path, _, move_to):
            moved = f"{path} was moved to {move_to}." if move_to else ""
            if done.made is None:
                return moved
            how = "" if done.made.how == "exact" else f" ({done.made.how})"
            text = render("answers/edited", path=move_to or path, how=how, shown=done.made.shown)
            return "\n".join(filter(None, (moved, text + context.syntax(move_to or path, done.made.raw))))


TOOL = Tool(
    name=PATCH_TOOL,
    args=ApplyPatch,
    description="Changes files, all of them or none, by a patch in this form. `*** Begin Patch`, then for each file "
    "`*** Update File: path` with its changes, `*** Add File: path` with every line of it behind a `+`, or "
    "`*** Delete File: path`; then `*** End Patch`. `*** Move to: path` below an Update line gives the file a new "
    "place. A change is a line `@@`, then three lines as they stand in the file, each behind a space; the lines that "
    "go, each behind a `-`; the lines that come, each behind a `+`; and three more lines behind a space. Where such "
    "lines stand in the file more than once, write the line of the function or class before them: `@@ def parse():`.",
    example={"patch": "*** Begin Patch\n*** Update File: src/app.py\n@@\n-limit = 10\n+limit = 20\n*** End Patch"},
    run=_run,
    agents=("worker",),
    doing="editing `{}`",
    edit="patch",
)
