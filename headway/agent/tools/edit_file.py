"""`edit_file`: one piece of a file, for models that edit by replacing."""

from typing import Annotated

from pydantic import Field

from headway.agent.apart import Replacement
from headway.agent.conversation import Answer
from headway.agent.excerpt import cut
from headway.agent.guards import digest
from headway.agent.patching import FileHashes
from headway.agent.tools.arguments import Arguments, PathText
from headway.agent.tools.tool import Tool
from headway.agent.workbench import WorkerContext
from headway.domain.errors import ToolError
from headway.trace.events.work import Edit


class EditFile(Arguments):
    path: PathText
    old: str
    new: str
    replace_all: Annotated[bool, Field(description="Replace every place where `old` stands.")] = False


def _run(context: WorkerContext, asked: EditFile) -> Answer:
    raw = context.files.raw(asked.path)
    begun = context.begun()
    if begun is not None and digest(raw) == begun.body.after:
        return Answer(context.prompts.render("answers/edit_applied", path=asked.path), progress=True)
    try:
        made = context.bench.apart.change(raw, Replacement(asked.old, asked.new, asked.replace_all), 1)
    except ToolError as error:
        raise ToolError(f"{cut(asked.path, 300)} is as it was: {error}") from error
    # The text it makes is noted first, so that a kill right after the write is told from one right before it.
    context.begin(FileHashes(after=digest(made.raw)))
    context.files.write(asked.path, made.raw)
    context.talk.note(Edit(path=asked.path, call_id=context.call.id, kind="edit", how=made.how))
    how = "" if made.how == "exact" else f" ({made.how})"
    text = context.prompts.render("answers/edited", path=asked.path, how=how, shown=made.shown)
    return Answer(text + context.syntax(asked.path, made.raw), progress=True)


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
