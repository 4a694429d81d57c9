"""The declaration of a tool: everything that Headway says and knows of it, in one place.

Each tool has a module of its own in this package, which exports it as `TOOL`, or as `TOOLS` where planners and workers
have different ones of the same name. `catalogue` finds them. Schemas, prompts, examples in error messages, the reading
of logs, the texts of `headway status` and the table of docs/operations.md follow from the declaration.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, TypeVar

from headway.agents.loop.arguments import Arguments, schema_of
from headway.agents.loop.conversation import Conversation, ToolAnswer
from headway.domain.errors import ToolError
from headway.domain.results import Result
from headway.models.adapter import ToolSchema
from headway.models.editing import Edit
from prompts.prompts import Prompts

AgentKind = Literal["planner", "worker"]
BOTH: tuple[AgentKind, ...] = ("planner", "worker")


class Tree(Protocol):
    """The files that an agent reads: a worker's workspace, or the trunk commit of a planner's turn."""

    def list_dir(self, path: str, depth: int) -> str:
        """Names below a folder, folders with a slash."""
        ...

    def read(self, path: str, start: int, limit: int) -> str:
        """Numbered lines of a file."""
        ...

    def grep(self, pattern: str, path: str, glob: str | None) -> str:
        """The lines that match a regular expression, as `path:line:text`."""
        ...


class AnyContext(Protocol):
    """The part of a context that planners and workers share."""

    @property
    def files(self) -> Tree: ...

    @property
    def conversation(self) -> Conversation: ...

    @property
    def prompts(self) -> Prompts: ...


Context_contra = TypeVar("Context_contra", contravariant=True)
Args_contra = TypeVar("Args_contra", bound=Arguments, contravariant=True)
ContextT = TypeVar("ContextT")
ArgsT = TypeVar("ArgsT", bound=Arguments)


class Run(Protocol[Context_contra, Args_contra]):
    """Carries a call out. A planner's, and a worker's that waits for nothing, runs in a thread of its own.

    Raises:
        ToolError: The text is the answer.
    """

    def __call__(self, context: Context_contra, arguments: Args_contra, /) -> ToolAnswer | Awaitable[ToolAnswer]: ...


@dataclass(frozen=True)
class Tool(Generic[ContextT, ArgsT]):
    """A tool of an agent.

    Attributes:
        name: The name that models call it by.
        args: The model of its arguments.
        description: The text for models.
        example: Arguments of one valid call, for a model whose arguments did not fit: small models need to see one.
        run: Carries a call out. Its context is a `PlannerContext` or a `WorkerContext`; for both, an `AnyContext`.
        agents: The agents that have it.
        doing: The words for people while a call runs; `{}` stands for the argument that tells most.
        rule: A sentence for the system prompt; empty where the description says everything.
        result: The model of the facts that it notes beside its text. The model states if its long strings can stay in
            memory.
        edit: The way of editing of the models that have it; None for every model.
        resumes: It finds out by itself what a call that was cut off has done.
        is_work: A call of it can answer a task's question.
        hands_off: A call of it is carried out also in an agent's last reply.
    """

    name: str
    args: type[Any]
    description: str
    example: Mapping[str, Any]
    run: Run[ContextT, ArgsT]
    agents: tuple[AgentKind, ...]
    doing: str
    rule: str = ""
    result: type[Result] | None = None
    edit: Edit | None = None
    resumes: bool = False
    is_work: bool = True
    hands_off: bool = False

    @cached_property
    def schema(self) -> ToolSchema:
        """The tool as model servers are sent it."""
        return ToolSchema(name=self.name, description=self.description, parameters=schema_of(self.args))


AnyTool = Tool[Any, Any]


@dataclass(frozen=True)
class Toolset:
    """The tools of one kind of agents.

    Attributes:
        tools: By name, in the order in which every request carries them: a prompt cache wants it the same each time.
    """

    tools: Mapping[str, AnyTool]
    schemas: tuple[ToolSchema, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schemas", tuple(tool.schema for tool in self.tools.values()))

    def named(self, wanted: Callable[[AnyTool], bool]) -> frozenset[str]:
        """The names of some of the tools."""
        return frozenset(name for name, tool in self.tools.items() if wanted(tool))

    def system(self, prompts: Prompts, name: str) -> str:
        """The system prompt of this name, with the rules of the tools."""
        rules = "\n".join(f"- `{tool.name}` {tool.rule}" for tool in self.tools.values() if tool.rule)
        own = prompts.render("messages/tools", rules=rules)
        return f"{prompts.render(name)}\n\n{own}"


def tool_called(offered: Toolset, name: str) -> AnyTool:
    """The tool of this name.

    Raises:
        ToolError: The agent has no such tool.
    """
    tool = offered.tools.get(name)
    if tool is None:
        raise ToolError(f"there is no tool '{name}'; there are {', '.join(offered.tools)}")
    return tool
