"""The tools of a planner. It has no shell, no edit and no sleep: it cannot do the work itself, nor pass the time."""

from typing import Annotated

from pydantic import Field

from headway.agent.excerpt import LINES_READ
from headway.agent.tools.report import Report
from headway.agent.tools.schema import Arguments, tool_schema
from headway.domain.ids import ChildKey
from headway.domain.task import Scope, TaskSpec
from headway.domain.turn import CANCELS_PER_TURN, SPAWNS_PER_TURN

PathText = Annotated[str, Field(min_length=1, max_length=4_096)]
Some = Annotated[str, Field(min_length=1, max_length=1_000)]
Notes = Annotated[str, Field(max_length=1_000_000, description="All of them; at most about 6,000 tokens.")]


class ListDir(Arguments):
    """Lists a folder of the repository."""

    path: PathText = "."
    depth: Annotated[int, Field(ge=1, le=3, description="Levels, 1 to 3.")] = 1


class ReadFile(Arguments):
    """Reads numbered lines of a file of the repository."""

    path: PathText
    start: Annotated[int, Field(ge=1, description="First line.")] = 1
    limit: Annotated[int, Field(ge=1, le=2_000, description="Lines.")] = LINES_READ


class Grep(Arguments):
    """Searches the repository for an extended regular expression; answers at most 100 lines as path:line:text."""

    pattern: Some
    path: PathText = "."
    glob: Annotated[Some | None, Field(description="Only files whose name matches, such as *.py.")] = None


class GitLog(Arguments):
    """Lists commits of the trunk, newest first."""

    path: Annotated[PathText | None, Field(description="Only commits that touched it.")] = None
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class GitShow(Arguments):
    """Shows a commit, or how a file stood at one."""

    rev: Some
    path: PathText | None = None


class ReadHandoff(Arguments):
    """Reads a handoff whole: every field the agent wrote, and the facts the harness knows of its work."""

    id: Annotated[ChildKey, Field(description="As in the heading of the handoff, such as 3.0-1f2e3d4c.")]


class SpawnTasks(Arguments):
    """Asks for tasks. Each goes to a worker who sees nothing but the task and the repository.

    Each ends in one handoff to you. All tasks of the call count, or none.
    """

    tasks: Annotated[
        tuple[TaskSpec, ...], Field(min_length=1, max_length=SPAWNS_PER_TURN, description="1 to 100 tasks.")
    ]


class SpawnSubplanner(Scope, Arguments):
    """Gives a part of your scope to a planner of its own, who plans it, spawns its tasks and hands off to you once."""


class Cancel(Arguments):
    """Stops tasks or sub-planners that you asked for; what they did not land is kept, and each still hands off."""

    ids: Annotated[tuple[ChildKey, ...], Field(min_length=1, max_length=CANCELS_PER_TURN, description="1 to 100 ids.")]
    reason: Annotated[str, Field(max_length=2_000)] = ""


class RewriteScratchpad(Arguments):
    """Replaces your notes as a whole. They outlive the conversation; nothing else that you know does."""

    content: Notes


class Wait(Arguments):
    """Ends the turn. You are woken by handoffs and by messages; waiting costs nothing."""


class Finish(Report):
    """Says your last word on the scope.

    Until everything you asked for has handed off you are still woken, and may take it back by spawning.
    """


PLANNER_TOOLS: dict[str, type[Arguments]] = {
    "cancel": Cancel,
    "finish": Finish,
    "git_log": GitLog,
    "git_show": GitShow,
    "grep": Grep,
    "list_dir": ListDir,
    "read_file": ReadFile,
    "read_handoff": ReadHandoff,
    "rewrite_scratchpad": RewriteScratchpad,
    "spawn_subplanner": SpawnSubplanner,
    "spawn_tasks": SpawnTasks,
    "wait": Wait,
}
"""By name, in the order in which every request carries them: a prompt cache wants it the same each time."""

PLANNER_SCHEMAS = tuple(tool_schema(name, arguments) for name, arguments in PLANNER_TOOLS.items())
