"""A habit of a server: one row. A server is asked, may refuse, lets its model reply, and renders the reply."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.peers.talk import Ask, Reply

Form = Literal["chat", "chat, streamed", "responses", "responses, streamed"]
CHAT: tuple[Form, ...] = ("chat", "chat, streamed")
RESPONSES: tuple[Form, ...] = ("responses", "responses, streamed")
BOTH: tuple[Form, ...] = (*CHAT, *RESPONSES)
STREAMED: tuple[Form, ...] = ("chat, streamed", "responses, streamed")

Ends = Literal["lands", "partly", "refused", "parked"]


@dataclass(frozen=True)
class Refusal:
    """An answer in place of a reply.

    Attributes:
        body: Text goes as it is, anything else as JSON.
    """

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def error(
    status: int, message: str, code: Any = None, kind: str | None = "invalid_request_error", param: str | None = None
) -> Refusal:
    """A refusal as OpenAI words it."""
    return Refusal(status, {"error": {"message": message, "type": kind, "param": param, "code": code}})


When = Callable[[Ask], bool]


@dataclass(frozen=True)
class Habit:
    """One habit.

    Attributes:
        source: Servers that have it.
        forms: APIs and ways of sending in which it can be met.
        ends: How a run on such a server ends: all lands, a part does, it is refused at the start, or it waits for the
            user.
        refuses: What is refused, the first that fits.
        says: Changes the model's reply.
        renders: Changes the JSON of the reply.
        sends: The events of a stream; None in it breaks the connection.
        listed: The answer to a question for the models; None lists the one that there is.
        base: Path of the address; `query` follows it.
        env: Further variables of the endpoint.
        delay_s: Seconds before a request that `delayed` names is answered.
    """

    name: str
    source: str
    forms: tuple[Form, ...] = BOTH
    ends: Ends = "lands"
    refuses: tuple[tuple[When, Refusal], ...] = ()
    says: Callable[[Ask, Reply], Reply] | None = None
    renders: Callable[[Ask, dict[str, Any]], dict[str, Any] | Refusal] | None = None
    sends: Callable[[Ask, dict[str, Any]], Iterator[bytes | None]] | None = None
    listed: Refusal | None = None
    base: str = "/v1"
    query: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    model: str = "some-model"
    stream_kind: str = "text/event-stream"
    http10: bool = False
    delayed: When = lambda _: False
    delay_s: float = 2.0
    window: int = 0


def always(_: Ask) -> bool:
    """Each request."""
    return True
