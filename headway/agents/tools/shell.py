"""`shell`: a command in the workspace."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.kept_reply import noted
from headway.agents.loop.tool import Tool
from headway.agents.worker.worker_tools import WorkerContext
from headway.domain.errors import TransientError
from headway.eventlog.events.work import ResourceKill
from headway.runs.workspace_lock import while_held
from headway.sandbox.outcome import INTERRUPTED, Ran, how_it_ended, measured, remarks
from headway.sandbox.runner import Command
from headway.system.excerpt import EXCERPT_CHARS, cut_middle
from headway.system.shortage import waited_for


class Shell(Arguments):
    command: Annotated[str, Field(min_length=1, max_length=64_000)]
    timeout_s: Annotated[float | None, Field(gt=0, description="Seconds; the default is the longest allowed.")] = None
    workdir: Annotated[PathText, Field(description="A folder of the workspace.")] = "."


async def _run(context: WorkerContext, asked: Shell) -> ToolAnswer:
    if context.begun() is not None:
        lost = Ran(command=asked.command, exit_code=None, note=INTERRUPTED)
        return ToolAnswer(context.prompts.render("answers/interrupted"), error=True, progress=True, result=lost)
    bench, files, conversation = context.bench, context.files, context.conversation
    cwd, home = files.folder(asked.workdir), files.home()
    begun = context.begin()
    limit = min(asked.timeout_s or bench.command_seconds, bench.command_seconds)
    command = Command(line=asked.command, cwd=cwd, timeout_s=limit, walls=bench.walls, home=home)
    try:
        with waited_for("no file can be made for the output of a command"):
            output = files.output_file(begun.seq)
        result = await while_held(conversation.log, bench.sandbox.run(command, full_output=output))
    except TransientError:
        # It has not begun, for example because the disk is full. It runs when the agent goes on.
        withdrawn = context.note().model_copy(update={"withdrawn": True})
        await noted(lambda: conversation.note(withdrawn))
        raise
    why = "oom" if result.out_of_memory else result.killed_for
    if why is not None:
        killed = ResourceKill(call_id=context.call.id, why=why, seconds=result.seconds)
        await noted(lambda: conversation.note(killed))
    ended = how_it_ended(result)
    text = f"[{ended}, {result.seconds:.1f} s]\n{cut_middle(result.output, EXCERPT_CHARS)}"
    text += "".join(f"\n[{remark}]" for remark in remarks(result, bench.walls))
    if result.output_cut:
        shown = output.relative_to(bench.workspace.path)
        text += f"\n[{result.output_bytes} bytes in all; the whole output: {shown}]"
    ran = measured(asked.command, "" if result.killed_for is None else ended, result)
    compared = f"{ended}\n{result.output}"
    return ToolAnswer(text, compared=compared, result=ran, dur_ms=result.seconds * 1000)


TOOL = Tool(
    name="shell",
    args=Shell,
    description="Runs a command in bash in your workspace, without a terminal and without input. Nothing that it "
    "starts outlives it: start a server and use it in one command. Long output is cut in the middle; the whole of it "
    "lies in a file that is named in the answer.",
    example={"command": "python -m pytest -q tests/test_app.py"},
    run=_run,
    agents=("worker",),
    doing="running `{}`",
    result=Ran,
    resumes=True,
)
