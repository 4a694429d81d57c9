"""A playbook: the words of each agent of a rehearsed run, written down in YAML."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator

from headway.rehearsal.blackout import Blackout
from headway.rehearsal.fault import Fault
from headway.rehearsal.latency import Latency
from headway.rehearsal.part import OWN_WORDS, Count, Part, Positive

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}$")]
Values = dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], str]
"""Meanings of `{{name}}` in a script's calls, so that many scripts can share their calls."""


ELSE = "else"


class Tokens(Part):
    """The usage that a reply claims; a part that is left out is made from the bytes."""

    input: Count | None = None
    output: Count | None = None


class ToolUse(Part):
    """One tool call of a step."""

    name: str
    args: dict[str, Any]


class Step(Part):
    """One reply of an agent.

    Attributes:
        tools: A list of `tool_name: {arguments}`.
        after_handoffs: A planner only: until its conversation tells of so many handoffs, it is made to wait.
        stop: Scripts misbehaviour: `length` cuts the reply, `refusal` refuses in `text`'s words, `empty` is silent.
        repeat: The step stands for so many equal ones.
        if_last_answer_contains: Text that one of the answers to the reply before must hold; if none does, `otherwise`
            (in YAML `else`) is said instead.
        optional: The report does not count the step as missing if it is never asked for.
    """

    text: str | None = None
    tools: tuple[ToolUse, ...] = ()
    tokens: Tokens = Tokens()
    latency_ms: Latency | None = None
    after_handoffs: Count = 0
    stop: Literal["length", "refusal", "empty"] | None = None
    repeat: Positive = 1
    if_last_answer_contains: Annotated[str, Field(min_length=1)] | None = None
    otherwise: "Step | None" = None
    optional: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        if ELSE in raw:
            raw = {"otherwise" if name == ELSE else name: value for name, value in raw.items()}
        if isinstance(raw.get("tools"), list):
            raw = raw | {"tools": [_tool_use(entry) for entry in raw["tools"]]}
        return raw

    @model_validator(mode="after")
    def _has_both_ways(self) -> "Step":
        if (self.if_last_answer_contains is None) != (self.otherwise is None):
            raise ValueError("'if_last_answer_contains' and 'else' come together: a step is always one reply")
        if self.otherwise is not None and (self.otherwise.repeat > 1 or self.otherwise.after_handoffs):
            raise ValueError("'repeat' and 'after_handoffs' are of the step, not of its 'else'")
        return self

    @model_validator(mode="after")
    def _says_something(self) -> "Step":
        if not self.text and not self.tools and self.stop is None:
            raise ValueError("says nothing: give it 'text' or 'tools', or 'stop: empty' if that is meant")
        if self.text and self.text.startswith(OWN_WORDS):
            raise ValueError(f"'text' must not start with '{OWN_WORDS}', which is how the rehearsal itself speaks")
        return self


class PlannerScript(Part):
    """The script of a planner. `scope` is `root`, or text that the title of its scope contains."""

    scope: Annotated[str, Field(min_length=1)]
    calls: tuple[Step, ...]
    values: Values = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"planner '{self.scope}'"


class TaskScript(Part):
    """The script of a worker. `title` is a whole title, or a pattern with `*`, `?` or `[...]`."""

    title: Annotated[str, Field(min_length=1)]
    attempt: Positive | None = None
    calls: tuple[Step, ...]
    values: Values = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"task '{self.title}'" + (f" (attempt {self.attempt})" if self.attempt else "")

    @model_validator(mode="after")
    def _never_waits(self) -> "TaskScript":
        if any(step.after_handoffs for step in self.calls):
            raise ValueError("'after_handoffs' is for planners: a task gets no handoffs")
        return self


class Playbook(Part):
    """A whole rehearsal.

    Attributes:
        model: The model's name in `/v1/models` and in every answer.
        latency_ms: Duration of a reply: a number, two for a range, or a distribution, drawn by `seed` and the request's
            content.
        tokens_out: Output tokens of a reply that names none; without it, a quarter of its bytes.
        faults: Faults on purpose; of those that hit a request the first one counts.
        blackout: A time in which all requests are refused.
    """

    name: Name
    model: str = "rehearsal"
    latency_ms: Latency = 0
    seed: int = 0
    tokens_out: Positive | None = None
    faults: tuple[Fault, ...] = ()
    blackout: Blackout | None = None
    planners: tuple[PlannerScript, ...] = ()
    tasks: tuple[TaskScript, ...] = ()


Script = PlannerScript | TaskScript


def _tool_use(entry: Any) -> Any:
    if isinstance(entry, dict) and len(entry) == 1:
        name, args = next(iter(entry.items()))
        return {"name": name, "args": {} if args is None else args}
    raise ValueError("'tools' must be a list of 'tool_name: {arguments}', one tool an entry")
