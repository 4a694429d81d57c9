"""Replies in the two wire formats, shaped as the real servers shape them."""

from typing import Any

from headway.rehearsal.reply import BYTES_PER_TOKEN, Reply
from headway.rehearsal.request_reader import Api


def answer(api: Api, reply: Reply, model: str, request_bytes: int) -> dict[str, Any]:
    """The JSON of a reply to a request of so many bytes."""
    said = len(reply.text.encode()) + sum(len(call.arguments) + len(call.name) for call in reply.calls)
    given, made = reply.tokens.input, reply.tokens.output
    input_ = max(1, request_bytes // BYTES_PER_TOKEN) if given is None else given
    output = max(1, said // BYTES_PER_TOKEN) if made is None else made
    if api == "chat":
        return _chat(reply, model, input_, output)
    return _responses(reply, model, input_, output)


def failure(message: str) -> dict[str, Any]:
    """The JSON of an error, the same in both formats."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "rehearsal"}}


def models(name: str) -> dict[str, Any]:
    """The JSON of `/v1/models`."""
    return {"object": "list", "data": [{"id": name, "object": "model", "created": 0, "owned_by": "rehearsal"}]}


def _chat(reply: Reply, model: str, input_: int, output: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.stop == "refusal":
        message |= {"content": None, "refusal": reply.text or "I cannot help with that."}
    if reply.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.calls
        ]
    reason = "length" if reply.stop == "length" else "tool_calls" if reply.calls else "stop"
    return {
        "id": f"chatcmpl-{reply.mark}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": input_,
            "completion_tokens": output,
            "total_tokens": input_ + output,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def _responses(reply: Reply, model: str, input_: int, output: int) -> dict[str, Any]:
    cut = reply.stop == "length"
    return {
        "id": f"resp_{reply.mark}",
        "object": "response",
        "created_at": 0,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "model": model,
        "output": _output(reply, "incomplete" if cut else "completed"),
        "store": False,
        "usage": {
            "input_tokens": input_,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": input_ + output,
        },
    }


def _output(reply: Reply, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    # A silent reply still leaves an item, so that the conversation tells that it was given.
    if reply.text or not reply.calls:
        content: list[dict[str, Any]] = [{"type": "output_text", "text": reply.text, "annotations": []}]
        if reply.stop == "refusal":
            content = [{"type": "refusal", "refusal": reply.text or "I cannot help with that."}]
        elif not reply.text:
            content = []
        message = {"type": "message", "id": f"msg_{reply.mark}", "status": status, "role": "assistant"}
        items.append(message | {"content": content})
    items += [
        {
            "type": "function_call",
            "id": f"fc_{reply.mark}_{index}",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
            "status": status,
        }
        for index, call in enumerate(reply.calls)
    ]
    return items
