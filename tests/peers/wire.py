"""A reply in the formats of both APIs, whole and as the events of a stream, as the documents of OpenAI have it."""

import json
from collections.abc import Iterator
from typing import Any

from tests.peers.talk import Ask, Reply

Json = dict[str, Any]
PIECE = 40


def whole(ask: Ask, reply: Reply) -> Json:
    """The JSON of a reply."""
    return chat(ask, reply) if ask.api == "chat" else responses(ask, reply)


def events(ask: Ask, answer: Json) -> Iterator[bytes]:
    """The same as a stream."""
    return chat_events(answer) if ask.api == "chat" else responses_events(answer)


def event(data: Any, name: str = "") -> bytes:
    """One event."""
    text = data if isinstance(data, str) else json.dumps(data)
    return f"event: {name}\ndata: {text}\n\n".encode() if name else f"data: {text}\n\n".encode()


def chat(ask: Ask, reply: Reply) -> Json:
    calls = [
        {
            "id": f"call_{reply.mark}{number}",
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.args, ensure_ascii=False)},
        }
        for number, call in enumerate(reply.calls)
    ]
    message: Json = {"role": "assistant", "content": reply.text or None}
    given, made = ask.size // 4, 20
    return {
        "id": f"chatcmpl-{reply.mark}",
        "object": "chat.completion",
        "created": 0,
        "model": ask.body.get("model"),
        "choices": [
            {
                "index": 0,
                "message": message | ({"tool_calls": calls} if calls else {}),
                "finish_reason": "tool_calls" if calls else "stop",
            }
        ],
        "usage": {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made},
    }


def responses(ask: Ask, reply: Reply) -> Json:
    output: list[Json] = []
    if reply.text or not reply.calls:
        said = [{"type": "output_text", "text": reply.text, "annotations": []}]
        item = {"type": "message", "id": f"msg_{reply.mark}", "status": "completed", "role": "assistant"}
        output.append(item | {"content": said})
    output += [
        {
            "type": "function_call",
            "id": f"fc_{reply.mark}{number}",
            "call_id": f"call_{reply.mark}{number}",
            "name": call.name,
            "arguments": json.dumps(call.args, ensure_ascii=False),
            "status": "completed",
        }
        for number, call in enumerate(reply.calls)
    ]
    given, made = ask.size // 4, 20
    return {
        "id": f"resp_{reply.mark}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": ask.body.get("model"),
        "output": output,
        "usage": {"input_tokens": given, "output_tokens": made, "total_tokens": given + made},
    }


def chunk(answer: Json, delta: Json, reason: str | None = None, **more: Any) -> bytes:
    """A chunk of Chat Completions."""
    head = {"id": answer["id"], "object": "chat.completion.chunk", "created": 0, "model": answer["model"]}
    return event(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | more)


def chat_events(answer: Json) -> Iterator[bytes]:
    """The events of a chat answer, of all its choices."""
    yield chunk(answer, {"role": "assistant", "content": ""})
    for choice in answer["choices"]:
        message = choice["message"]
        for name in ("reasoning_content", "content"):
            text = message.get(name)
            for part in text if isinstance(text, list) else pieces(text or ""):
                yield chunk(answer, {name: [part] if isinstance(text, list) else part})
        if message.get("reasoning_content") == "":
            yield chunk(answer, {"reasoning_content": ""})
        for number, call in enumerate(message.get("tool_calls") or ()):
            yield from call_chunks(answer, call, number)
        more = {"error": choice["error"]} if "error" in choice else {}
        yield chunk(answer, {}, choice["finish_reason"], **more)
    if answer.get("usage"):
        yield event({"id": answer["id"], "object": "chat.completion.chunk", "choices": [], "usage": answer["usage"]})
    yield event("[DONE]")


def call_chunks(answer: Json, call: Json, number: int) -> Iterator[bytes]:
    """A call, its arguments torn; whole where they are no text."""
    function, index = call["function"], call.get("index", number)
    if not isinstance(function["arguments"], str):
        yield chunk(answer, {"tool_calls": [call | {"index": index}]})
        return
    head = {name: value for name, value in call.items() if name != "index"}
    yield chunk(answer, {"tool_calls": [head | {"index": index, "function": function | {"arguments": ""}}]})
    for part in pieces(function["arguments"]):
        yield chunk(answer, {"tool_calls": [{"index": index, "function": {"arguments": part}}]})


def responses_events(answer: Json, *, ends_empty: bool = False) -> Iterator[bytes]:
    """The events of a Responses answer; the last one may lack the items, as at some servers."""
    number = 0

    def named(kind: str, **data: Any) -> bytes:
        nonlocal number
        number += 1
        return event({"type": kind, "sequence_number": number, **data}, kind)

    yield named("response.created", response=answer | {"status": "in_progress", "output": [], "usage": None})
    for index, item in enumerate(answer["output"]):
        yield named("response.output_item.added", output_index=index, item=item)
        arguments = item.get("arguments")
        for part in pieces(arguments) if isinstance(arguments, str) else ():
            yield named("response.function_call_arguments.delta", item_id=item["id"], output_index=index, delta=part)
        yield named("response.output_item.done", output_index=index, item=item)
    yield named("response.completed", response=answer | ({"output": []} if ends_empty else {}))


def pieces(text: str) -> Iterator[str]:
    """A text in pieces."""
    for at in range(0, len(text), PIECE):
        yield text[at : at + PIECE]


def halves(text: str) -> Iterator[str]:
    """A text in pieces that end within each letter of two UTF-16 units."""
    held = ""
    for letter in text:
        units = letter.encode("utf-16-le", "surrogatepass")
        if len(units) > 2:  # bytes of one
            yield held + units[:2].decode("utf-16-le", "surrogatepass")
            held = units[2:].decode("utf-16-le", "surrogatepass")
        else:
            held += letter
    yield held
