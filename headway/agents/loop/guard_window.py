"""Events of the epoch as guards look back at them: their effects, without most of their text."""

from headway.eventlog.events.envelope import AnyEvent, Body
from headway.eventlog.events.talk import LlmResponse, Message, Reminder, Tokens, ToolResult

WINDOW_TEXT = 400
"""Characters that are kept of a model's words or command, for guards that quote them."""

_NO_TOKENS = Tokens()


def in_window(event: AnyEvent) -> AnyEvent:
    """An event of the conversation as guards look back at it."""
    return event._replace(body=_short(event.body))


def _short(body: Body) -> Body:
    match body:
        case LlmResponse(text=text, calls=calls):
            bare = tuple(call.model_copy(update={"arguments": ""}) for call in calls)
            less = {"text": text[:WINDOW_TEXT], "calls": bare, "items": (), "usage": _NO_TOKENS}
            return body.model_copy(update=less)
        case ToolResult(result=result):
            short = None if result is None else result.shortened(WINDOW_TEXT)
            return body.model_copy(update={"text": "", "result": short})
        case Message() | Reminder():
            return body.model_copy(update={"text": ""})
        case _:
            return body
