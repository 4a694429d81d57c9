"""`edit_file`: one piece of a file, for models that edit by replacing."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.guards import digest
from headway.agents.loop.tool import Tool
from headway.agents.worker.worker_tools import WorkerContext
from headway.domain.errors import ToolError
from headway.editing.edit_process import Replacement
from headway.editing.patching import FileHashes
from headway.eventlog.events.work import Edit
from headway.system.excerpt import cut


class EditFile(Arguments):
    path: PathText
    old: str
    new: str
    replace_all: Annotated[bool, Field(description="Replace every place where `old` stands.")] = False


def _run(context: WorkerContext, asked: EditFile) -> ToolAnswer:
    raw = context.files.raw(asked.path)
    begun = context.begun()
    if begun is not None and digest(raw) == begun.body.after:
        return ToolAnswer(context.prompts.render("answers/edit_applied", path=asked.path), progress=True)
    try:
        made = context.bench.apart.change(raw, Replacement(asked.old, asked.new, asked.replace_all), 1)
    except ToolError as error:
        raise ToolError(f"{cut(asked.path, 300)} is as it was: {error}") from error
    # The text it makes is noted first, so that a kill right after the write is told from one right before it.
    context.begin(FileHashes(after=digest(made.raw)))
    context.files.write(asked.path, made.raw)
    context.conversation.note(Edit(path=asked.path, call_id=context.call.id, kind="edit", how=made.how))
    how = "" if made.how == "exact" else f" ({made.how})"
    text = context.prompts.render("answers/edited", path=asked.path, how=how, shown=made.shown)
    return ToolAnswer(text + context.syntax(asked.path, made.raw), progress=True)


TOOL = Tool(
    name="edit_file",
    args=EditFile,
    description="Replaces one piece of a file. `old` must stand in the file exactly once: give enough lines around it. "
    "White space at line ends and indentation are forgiven.",
    example={"path": "src/app.py", "old": "limit = 10", "new": "limit = 20"},
    run=_run,
    agents=("worker",),
    doing="editing `{}`",
    edit="replace",
)
