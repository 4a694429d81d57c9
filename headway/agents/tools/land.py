"""`land`: a worker's change becomes a commit of the trunk."""

from typing import Annotated

from pydantic import Field

from headway.agents.loop.arguments import Arguments, PathText
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.tool import Tool
from headway.agents.worker.worker_tools import WorkerContext
from headway.domain.results import LandAnswer
from headway.domain.task import TaskKind


class Land(Arguments):
    message: Annotated[str, Field(min_length=1, max_length=10_000, description="The commit message: what and why.")]
    paths: Annotated[
        Annotated[tuple[PathText, ...], Field(max_length=1_000)] | None,
        Field(description="Only these files or folders."),
    ] = None


async def _run(context: WorkerContext, asked: Land) -> ToolAnswer:
    bench = context.bench
    if bench.task.kind is TaskKind.INVESTIGATE:
        return ToolAnswer(context.prompts.render("answers/land_investigate"), error=True)
    return await bench.lander.land(context.conversation, context.begin(), asked.message, asked.paths)


TOOL = Tool(
    name="land",
    args=Land,
    description="Puts your change on the trunk as one commit. What lands is every difference between your workspace "
    "and the trunk commit it stands on, whatever git says there. Your workspace then stands on the new trunk. A "
    "conflict comes back to you, in the files.",
    example={"message": "Raise the limit to 20"},
    run=_run,
    agents=("worker",),
    doing="landing",
    rule="early and more than once where parts stand on their own; each commit leaves the repository no worse than it "
    "was.",
    result=LandAnswer,
    resumes=True,
)
