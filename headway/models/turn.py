"""Requests to a model and its replies, in words of our own that no provider's format leaks into.

A conversation is append-only. A model's reply is kept twice: as neutral items that the agent acts on, and as the
provider's own JSON (`raw`), which goes back unchanged, because reasoning models drop edited items.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Stop = Literal["tool", "text", "length", "refusal", "empty"]
"""Reason of a reply's end. `length`: cut by the output limit; its tool calls may be cut too and must not be run."""


Form = Literal["function", "patch"]
"""The kind of item that a call came as. Its answer has the same kind."""

PATCH_FORM: Form = "patch"


class _Neutral(BaseModel):
    model_config = ConfigDict(frozen=True)


class Text(_Neutral):
    """Words for people who read along."""

    kind: Literal["text"] = "text"
    text: str


class ToolCall(_Neutral):
    """A tool that the model wants to be run.

    Attributes:
        id: Never empty, and unique within its reply.
        arguments: The model's text; meant to be a JSON object, but nothing is promised.
        form: The kind of item that its answer must be.
    """

    kind: Literal["tool_call"] = "tool_call"
    id: str
    name: str
    arguments: str
    form: Form = "function"


class Reasoning(_Neutral):
    """Thoughts of the model; `text` is empty where they are encrypted."""

    kind: Literal["reasoning"] = "reasoning"
    text: str = ""


class Raw(_Neutral):
    """An item that this version does not know. It goes back to the provider as it came."""

    kind: Literal["raw"] = "raw"
    raw: dict[str, Any]


Item = Annotated[Text | ToolCall | Reasoning | Raw, Field(discriminator="kind")]


class Usage(_Neutral):
    """Tokens as the server reported them; None where it said nothing.

    Attributes:
        input: All input tokens, cached ones included.
        cached: Of these, read from the prompt cache.
        written: Of these, written to the prompt cache.
        output: All output tokens, reasoning included.
        reasoning: Of these, reasoning.
    """

    input: int | None = None
    cached: int | None = None
    written: int | None = None
    output: int | None = None
    reasoning: int | None = None


class Turn(_Neutral):
    """One reply of a model.

    Attributes:
        raw: The provider's JSON items, in order; send them back as `AssistantTurn(raw)`.
        usage: As reported.
        counted: The same, with an estimate from the bytes where a count of input or output is missing.
        tokens: All tokens of the call, as counted. Never less than 1.
        cost: Micro-dollars that a gateway says the call cost; None where it says nothing.
        model: The model that answered, by its own word.
        request_id: The server's name of the exchange, for its support.
        seconds: Duration of the call; `waited_s`: its wait before, because others were refused.
        write_factor: Price of tokens that it wrote to a prompt cache, as a multiple of the published one.
        conceded: Parameters that were left out because the server had refused them, if this call found that out.
    """

    items: tuple[Item, ...]
    raw: tuple[dict[str, Any], ...]
    usage: Usage = Usage()
    counted: Usage = Usage()
    tokens: int = 1
    cost: int | None = None
    stop: Stop
    model: str = ""
    response_id: str = ""
    request_id: str = ""
    seconds: float = 0.0
    waited_s: float = 0.0
    write_factor: float = 1.0
    conceded: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All text of the reply."""
        return "\n".join(item.text for item in self.items if isinstance(item, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All tool calls of the reply, in order; every one of them needs exactly one `ToolOutput`."""
        return tuple(item for item in self.items if isinstance(item, ToolCall))


@dataclass(frozen=True, slots=True)
class UserMessage:
    """The harness's words to the model: its task, handoffs, reminders."""

    text: str


@dataclass(frozen=True, slots=True)
class AssistantTurn:
    """A reply that goes back as part of the conversation: `Turn.raw`, unchanged."""

    raw: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """The answer to one tool call.

    Attributes:
        failed: The call was not carried out; said apart from the text where the API has a place for it.
        form: As the call's.
    """

    call_id: str
    text: str
    failed: bool = False
    form: Form = "function"


Message = UserMessage | AssistantTurn | ToolOutput
