"""`write_file`: a whole file."""

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.guards import digest
from headway.agents.loop.tool import Tool
from headway.agents.worker.worker_tools import WorkerContext
from headway.eventlog.events.work import Edit
from headway.system.excerpt import line_count


class WriteFile(Arguments):
    path: PathText
    content: str


def _run(context: WorkerContext, asked: WriteFile) -> ToolAnswer:
    path, content = asked.path, asked.content
    context.begin()
    done = "replaced" if context.files.write(path, content.encode("utf-8", "surrogateescape")) else "written"
    text = context.prompts.render("answers/written", path=path, done=done, lines=line_count(content))
    context.conversation.note(Edit(path=path, call_id=context.call.id, kind="write"))
    return ToolAnswer(text + context.syntax(path, content), progress=True, compared=digest(content))


TOOL = Tool(
    name="write_file",
    args=WriteFile,
    description="Writes a whole file, with the folders above it. For new files and small ones.",
    example={"path": "docs/limits.md", "content": "# Limits\n"},
    run=_run,
    agents=("worker",),
    doing="writing `{}`",
)
