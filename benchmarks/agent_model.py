"""A model that asks for one command at each step, in a process of its own: `python -m benchmarks.agent_model`.

The name of the model says how it behaves: `steps-120` finishes after 120 steps, `hold-5` answers after 5 seconds.
"""

import asyncio
import re
import socket
import sys
from typing import Any

import orjson
import uvicorn

TEXT = "I look at the next part, and compare it with what the one before it said. " * 4
_MODEL = re.compile(rb'"model":\s*"([a-z]+)-([0-9]+)"')


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Chat Completions, as little of it as it takes."""
    if scope["type"] != "http":
        return
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    body = b"".join(parts)
    step = int(dict(scope["headers"]).get(b"x-headway-step", b"0"))
    found = _MODEL.search(body)
    kind, number = (found[1], int(found[2])) if found else (b"steps", 1)
    if kind == b"hold":
        await asyncio.sleep(number)
    answer = orjson.dumps(_answer(step, len(body), done=kind == b"steps" and step >= number))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def _answer(step: int, nbytes: int, *, done: bool) -> dict[str, Any]:
    name = "finish" if done else "shell"
    arguments = {"status": "done", "summary": "Read."} if done else {"command": f"sed -n {step}p notes.txt"}
    call = {"name": name, "arguments": orjson.dumps(arguments).decode()}
    message = {
        "role": "assistant",
        "content": TEXT,
        "tool_calls": [{"id": f"call_{step:08}", "type": "function", "function": call}],
    }
    # Reported small, so that no conversation is closed while it is measured.
    usage = {"prompt_tokens": nbytes // 12, "completion_tokens": 100}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    return {
        "id": f"r{step}",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def main() -> None:
    """Serve on any free port, which is told on standard output."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    # asyncio sets it only where the socket names its protocol; without it each answer waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    main()
