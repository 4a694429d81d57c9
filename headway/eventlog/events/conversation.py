"""Events of an agent's conversation: messages, model calls, tool calls and their answers."""

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, ChildKey
from headway.domain.results import Result
from headway.domain.retention import Keep, Record
from headway.domain.state.budget import Amount
from headway.eventlog.events.envelope import Body


class Text(Body):
    """Words of the user: the instructions of the run, or a message to a planner."""

    type: ClassVar[str] = "text"
    keep: ClassVar[Keep] = Keep.FULL

    instructions: str = ""
    text: str = ""


class Message(Body):
    """The harness to the model.

    Attributes:
        concerns: Concerns of each handoff of `inbox`, point by point.
        few: It tells of a round that was far too small.
        inbox: The handoffs that it tells of; None where it is no message of a turn.
        steers: Places of the user's messages that it tells of.
        amendments: Places of amendments that it tells of.
        opens: The epoch that it opens.
        shared: Characters that the first messages of all agents of the role begin with; 0 in a later message.
    """

    type: ClassVar[str] = "message"
    keep: ClassVar[Keep] = Keep.DROP

    text: str
    concerns: dict[ChildKey, tuple[str, ...]] = Field(default_factory=dict)
    few: bool = False
    inbox: tuple[HandoffNotice, ...] | None = None
    steers: tuple[tuple[AgentId, int], ...] = ()
    amendments: tuple[int, ...] = ()
    opens: int | None = None
    shared: int = 0


class Reminder(Body):
    """The harness to the model, for a reason.

    Attributes:
        boot: The boot of the machine after which the workspace was rebuilt.
        cause: Reason for a handover note: `full`, `overflow` or `refused`.
    """

    type: ClassVar[str] = "reminder"
    keep: ClassVar[Keep] = Keep.DROP

    text: str
    why: str
    boot: str | None = None
    cause: str | None = None


class Cost(BaseModel):
    """Cost of a model call; `micro_usd` is None where its price is not known."""

    model_config = ConfigDict(frozen=True)

    tokens: int
    micro_usd: int | None = None

    @property
    def amount(self) -> Amount:
        """The same as budgets count it."""
        if self.micro_usd is None:
            return Amount(tokens=self.tokens, unpriced=self.tokens)
        return Amount(tokens=self.tokens, micro_usd=self.micro_usd)


class LlmRequest(Body):
    """A model call is about to be made.

    Attributes:
        prompt, prompts: Hashes of the system prompt and of the whole set.
        items, tools, bytes: Messages, tools and bytes that it sends.
        reserved: Its worst case.
    """

    type: ClassVar[str] = "llm.request"
    keep: ClassVar[Keep] = Keep.DROP
    always: ClassVar[tuple[str, ...]] = ("prompt", "prompts", "items", "tools", "bytes")

    step: int
    model: str
    prompt: str = ""
    prompts: str = ""
    items: int = 0
    tools: int = 0
    bytes: int = 0
    reserved: Cost | None = None


class Call(Record):
    """A tool call of a reply. `redacted`: the log does not hold its arguments as the model wrote them."""

    keep: ClassVar[Keep] = Keep.DROP

    id: str
    name: str
    arguments: str
    form: Literal["function", "patch"] = "function"
    redacted: bool = False


class Tokens(BaseModel):
    """Tokens as the server reported them; see `headway.models.turn.Usage`."""

    model_config = ConfigDict(frozen=True)

    input: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    reasoning: int | None = None


class LlmResponse(Body):
    """The model's reply.

    Attributes:
        items: The provider's own JSON, which goes back unchanged.
        tokens, micro_usd: Cost of the call, see `Cost`.
        waited_s: Seconds before it was sent.
        conceded: Parameters that were left out because the server refuses them.
        handover: It is the note that closes an epoch.
    """

    type: ClassVar[str] = "llm.response"
    keep: ClassVar[Keep] = Keep.DROP
    always: ClassVar[tuple[str, ...]] = (
        *("items", "tokens", "micro_usd", "usage", "model"),
        *("response_id", "request_id", "waited_s", "conceded"),
    )

    step: int
    stop: str
    text: str
    calls: tuple[Call, ...]
    items: tuple[dict[str, Any], ...] = Field(default=(), exclude=True)
    tokens: int = 0
    micro_usd: int | None = None
    usage: Tokens = Tokens()
    model: str = ""
    response_id: str = ""
    request_id: str = ""
    waited_s: float = 0.0
    conceded: tuple[str, ...] = ()
    handover: bool = False

    @field_serializer("calls")
    def _calls(self, calls: tuple[Call, ...]) -> list[dict[str, Any]]:
        return [call.wire() for call in calls]

    def wire(self) -> dict[str, Any]:
        """The reply as JSON. The provider's own is not walked: it may be large, and other threads wait meanwhile."""
        return super().wire() | {"items": list(self.items)}

    @property
    def cost(self) -> Cost:
        """Cost of the call."""
        return Cost(tokens=self.tokens, micro_usd=self.micro_usd)


class LlmRetry(Body):
    """A model call failed.

    Attributes:
        kind: The name of the error's class.
        final: The same, where the same call would meet it again.
        cut_off: The server may have been at work to the end, so that the call counts as paid.
        tokens, micro_usd: Cost of the call, where the server told it all the same.
    """

    type: ClassVar[str] = "llm.retry"
    keep: ClassVar[Keep] = Keep.DROP
    always: ClassVar[tuple[str, ...]] = ("final", "cut_off")

    step: int
    kind: str
    why: str
    final: str = ""
    cut_off: bool = False
    tokens: int | None = None
    micro_usd: int | None = None

    @property
    def cost(self) -> Cost:
        """Cost of a call that was not cut off."""
        return Cost(tokens=self.tokens or 0, micro_usd=self.micro_usd if self.tokens else 0)


class ToolCallBegun(Body):
    """A call is being run.

    Attributes:
        before, after: Hashes of the file that an edit makes, or of the files that a patch changes; None for no file.
        withdrawn: It has not begun after all.
    """

    type: ClassVar[str] = "tool.call"
    keep: ClassVar[Keep] = Keep.DROP

    call_id: str
    name: str
    arguments: str
    before: tuple[str | None, ...] | None = None
    after: str | tuple[str | None, ...] | None = None
    withdrawn: bool = False


class ToolResult(Body):
    """The answer to a call.

    Attributes:
        progress: It did something that may make an earlier call give another result.
        refused: It was repeated too often and not run.
        key, digest: Name the call and its result; None where repeats are no circle.
        broke: A fault of the harness.
        result: Facts that the tool notes in addition to the text. Its fields stand among the others on the wire.
    """

    type: ClassVar[str] = "tool.result"
    keep: ClassVar[Keep] = Keep.DROP

    call_id: str
    name: str
    text: str
    form: Literal["function", "patch"] = "function"
    error: bool = False
    progress: bool = False
    refused: bool = False
    key: str | None = None
    digest: str | None = None
    broke: str | None = None
    result: Result | None = Field(default=None, exclude=True)

    @property
    def shown(self) -> Keep:
        """Its tool states it."""
        return Keep.DROP if self.result is None else self.result.keep

    def wire(self) -> dict[str, Any]:
        """The answer as JSON, with the fields of its result."""
        data = super().wire()
        return data if self.result is None else data | self.result.wire()
