"""`finish`: an agent hands off. Its arguments are the fields of a handoff's report."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from headway.agents.loop.arguments import Arguments
from headway.agents.loop.conversation import ToolAnswer
from headway.agents.loop.harness_faults import passes, why
from headway.agents.loop.tool import Tool
from headway.agents.planner.planner_tools import PlannerTools
from headway.agents.worker.finish_checks import WorkState, after_last, objections
from headway.agents.worker.unfinished_lines import unfinished
from headway.agents.worker.worker_tools import WorkerContext
from headway.domain.handoff import HandoffReport, HandoffStatus
from headway.domain.results import Finished
from headway.domain.task import TaskKind
from headway.eventlog.events.life import AgentState
from headway.git.changes import shown
from headway.git.landing.merging import marked


class Finish(HandoffReport, Arguments):
    """The report of an agent. The statuses `failed` and `cancelled` are the harness's."""

    status: Annotated[
        Literal[HandoffStatus.DONE, HandoffStatus.PARTIAL, HandoffStatus.BLOCKED, HandoffStatus.NOT_NEEDED],
        Field(
            description="done: what was asked holds now. partial: some of it does. blocked: it cannot be done, "
            "and why. not_needed: it held already, or no longer makes sense."
        ),
    ]

    @field_validator("summary")
    @classmethod
    def _is_filled(cls, summary: str) -> str:
        if not summary:
            raise ValueError("is empty: tell what is different now")
        return summary

    @property
    def report(self) -> HandoffReport:
        """As it stands in the handoff."""
        return HandoffReport(**dict(self))


def _finish_scope(context: PlannerTools, asked: Finish) -> ToolAnswer:
    result = Finished(decision="finish", report=asked.report)
    return ToolAnswer(context.prompts.render("answers/finish"), compared=None, result=result)


def _finish_task(context: WorkerContext, asked: Finish) -> ToolAnswer:
    told = context.bench.views.attempt.bounced
    # A last word counts as it stands: there is no call left to set anything right.
    found = [] if told or context.conversation.seen.is_last_word else _open_objections(context, asked.status)
    if found:
        listed = "\n".join(f"- {doubt}" for doubt in found)
        text = context.prompts.render("answers/doubtful_finish", facts=listed)
        return ToolAnswer(text, error=True, compared=None, result=Finished(bounced=True))
    return ToolAnswer(context.prompts.render("answers/handed_off"), compared=None, result=Finished(report=asked.report))


def _open_objections(context: WorkerContext, status: HandoffStatus) -> list[str]:
    """The doubts; none where they cannot be found out, because nothing may keep an agent from handing off."""
    try:
        return _objections(context, status)
    except Exception as error:
        if passes(error):
            raise
        context.conversation.note(AgentState(broke=why(error)))
        return []


def _objections(context: WorkerContext, status: HandoffStatus) -> list[str]:
    bench, views = context.bench, context.bench.views
    idle = bench.tools.named(lambda tool: not tool.is_work)
    if bench.task.kind is TaskKind.INVESTIGATE:
        looked = not views.attempt.called <= idle
        return objections(status, bench.task.kind, WorkState(), bench.commands, looked=looked)
    hub, workspace = bench.lander.hub, bench.workspace
    landed = tuple(hub.landed_by(bench.lander.task))
    left = workspace.changes().paths
    with workspace.held():
        conflicted = workspace.notes().conflicted
        marks = marked(hub.repo, workspace.scan().files, conflicted) if conflicted else []
    now = WorkState(
        unlanded=left,
        in_submodules=workspace.in_submodules(),
        marked=tuple(map(shown, marks)),
        landed=landed,
        gone=tuple(after_last(list(views.attempt.claimed), landed)),
        unfinished=unfinished(hub, landed),
    )
    return objections(status, bench.task.kind, now, bench.commands)


OPTIONAL = ", ".join(f"`{name}`" for name, field in HandoffReport.model_fields.items() if not field.is_required())
FIELDS = (
    "`summary`: what is different now, and how you know. Then each of these that applies: "
    f"{OPTIONAL}. A reader has nothing else of your work; claim only what you saw."
)
EXAMPLE = {"status": "done", "summary": "The limit is 20; tests/test_app.py shows it."}

TOOLS = (
    Tool(
        name="finish",
        args=Finish,
        description="Says your last word on the scope. Until everything you asked for has handed off you are still "
        "woken, and may take it back by spawning.",
        example=EXAMPLE,
        run=_finish_scope,
        agents=("planner",),
        doing="finishing `{}`",
        rule=f"takes your report. {FIELDS}",
        result=Finished,
    ),
    Tool(
        name="finish",
        args=Finish,
        description="Hands off, once, and ends your work. What did not land is kept aside and is not on the trunk.",
        example=EXAMPLE,
        run=_finish_task,
        agents=("worker",),
        doing="finishing `{}`",
        rule=f"exactly once, when your work has landed or cannot. {FIELDS}",
        result=Finished,
        is_work=False,
        hands_off=True,
    ),
)
