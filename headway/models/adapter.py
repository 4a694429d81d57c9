"""The seam between neutral turns and a provider's wire format."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

from headway.domain.ids import AgentId
from headway.models.turn import Message, Turn


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as the model is told of it; `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reuse:
    """Facts that let a server's prompt cache serve a request better.

    Attributes:
        group: Name of the agents whose requests begin alike; empty for an agent by itself.
        shared: Characters of the first message that all of them begin with.
        pause_s: Longest time from a reply to the next one in this conversation, or until now.
    """

    group: str = ""
    shared: int = 0
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One call of a model.

    Attributes:
        items: The conversation, each message as `Model.encode` gave it.
        max_output: Most tokens of the reply.
        effort: Reasoning effort in the provider's words; None leaves it to the model.
        agent: The asking agent; travels as a header.
        step: The agent's own count of its calls; travels as a header.
        tool_choice: `none` keeps the tools in the cached prefix but asks for words.
        reuse: For the server's prompt cache.
    """

    model: str
    system: str
    items: Sequence[bytes]
    agent: AgentId
    tools: tuple[ToolSchema, ...] = ()
    max_output: int = 8192
    effort: str | None = None
    step: int = 0
    tool_choice: Literal["auto", "none"] = "auto"
    reuse: Reuse = Reuse()


@dataclass(frozen=True, slots=True)
class Profile:
    """The differences of a server from its API's documentation. Parts that it turns out to refuse come on top.

    Attributes:
        max_tokens: Name of the output limit on Chat Completions.
        echo_reasoning: Send a reply's reasoning back with it on Chat Completions. Models that think between tool
            calls lose their thread without it.
        stream: Have answers come in pieces, so that a stall shows. Streamed tool calls are the weakest part of many
            servers.
    """

    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    echo_reasoning: bool = True
    stream: bool = False


NOTHING: frozenset[str] = frozenset()


MAX_CACHE_KEY = 64


def cache_key(request: Request) -> str:
    """The name under which a server looks for the beginning of a request, in the length that APIs take."""
    group = request.reuse.group or request.agent
    return group if len(group) <= MAX_CACHE_KEY else hashlib.sha256(group.encode()).hexdigest()


def ending(settings: dict[str, Any]) -> bytes:
    """The end of a request, from its list of messages on.

    Settings come last. So two requests of a conversation begin alike, whatever they ask for.
    """
    return b"]," + orjson.dumps(settings)[1:] if settings else b"]}"


class Pieces(Protocol):
    """An answer that is being put together."""

    def take(self, data: bytes) -> bool:
        """One event's data; True when nothing more is needed."""
        ...

    @property
    def whole(self) -> dict[str, Any]:
        """The answer, as if it had come at once; one without content when its end is missing."""
        ...


class WireAdapter(Protocol):
    """Renders messages and requests as one API's JSON, and reads its replies."""

    path: str
    """Path of requests, below the endpoint's address."""

    def encode(self, message: Message) -> bytes:
        """A message as JSON, ready to be joined with commas; empty for a message that is not sent."""
        ...

    def body(self, request: Request, without: frozenset[str] = NOTHING) -> bytes:
        """The whole request, without the parts that the server refuses.

        The items are joined as they are, and parsed only for a server that refuses parts of them.
        """
        ...

    def sent(self, request: Request, without: frozenset[str] = NOTHING) -> frozenset[str]:
        """Names of the parts that this request holds and can do without."""
        ...

    def write_factor(self, request: Request, without: frozenset[str] = NOTHING) -> float:
        """Price of what this request writes to a prompt cache, as a multiple of the published one."""
        ...

    def pieces(self) -> Pieces:
        """For an answer that comes in pieces."""
        ...

    def decode(self, response: dict[str, Any], tools: Collection[str] = ()) -> Turn:
        """The reply in neutral words. Names close to one of `tools` are taken for it.

        Raises:
            TransientError, ContextOverflow, FatalModelError: The reply tells of a failure or makes no sense.
        """
        ...
