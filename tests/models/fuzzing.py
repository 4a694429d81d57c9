"""A model server that answers at random: well, oddly, brokenly, or with what is meant to hurt. The seed repeats it."""

import contextlib
import gzip
import json
import random
import socket
import threading
from collections.abc import Callable
from typing import Any

ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 1e308, 2**63, 10**30, "", "x", "null", "{}", "[", "\u202e", "\x1b]52;c;x\x07", "9" * 400),
    *([], {}, [None], [[]], {"": None}, {"type": None}, {"text": {"text": []}}, [{"type": "function_call"}]),
    *({"message": "m", "code": 5}, {"code": "rate_limit_exceeded"}, {"error": {}}, "a\\ud800b", "x" * 5000),
]
STATUSES = (400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 429, 500, 502, 503, 529)
HEADERS = (
    *("retry-after: 99999999999999", "retry-after: -1", "retry-after: Mon, 99 Foo 9999999999 99:99:99 GMT"),
    *("x-ratelimit-reset: " + "1" * 3000, "set-cookie: a=b; Domain=.example.org", "content-encoding: gzip"),
    *("content-type: text/html; charset=punycode", "content-type: text/event-stream", "x-request-id: " + "y" * 9000),
    *("x-stainless-should-retry: true", "x-should-retry: true", "connection: close", "transfer-encoding: gzip"),
    *("content-length: 5", "content-length: 99999999999999999999", "x\x00y: z", "location: http://127.0.0.1:1/"),
)
CALLS = [
    ("list_dir", "{}"),
    ("read_file", '{"path":"README.md"}'),
    ("write_file", '{"path":"x","content":"a\\ud83d b"}'),
    ("shell", '{"command":"true"}'),
    ("rewrite_scratchpad", '{"content":"x"}'),
    ("no_such_tool", "[[[["),
    ("land", '{"message":"\\ud800"}'),
]
FINISH = ("finish", '{"status":"not_needed","summary":"Nothing to do."}')


def chat(*calls: tuple[str, str]) -> dict[str, Any]:
    """A good answer of Chat Completions."""
    listed = [
        {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for number, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": "Next.", "tool_calls": listed}
    usage = {"prompt_tokens": 90, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1}}
    return {"id": "r", "model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}


def responses(*calls: tuple[str, str]) -> dict[str, Any]:
    """A good answer of the Responses API."""
    made = [
        {"type": "function_call", "id": f"f{number}", "call_id": f"c{number}", "name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate(calls)
    ]
    thought = {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "e"}
    usage = {"input_tokens": 9, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 1}}
    return {"id": "x", "model": "m", "status": "completed", "output": [thought, *made], "usage": usage}


class FuzzingServer:
    """Speaks HTTP/1.1 byte by byte, a thread for each connection.

    Attributes:
        kind: What it answered last, for a failure's message.
        answered: How many requests it answered.
        patience: Answers after which only good ones come, that end the task.
    """

    def __init__(self, seed: int, *, api: str, streams: bool) -> None:
        self.random = random.Random(seed)
        self.kind = ""
        self.answered = 0
        self.patience = 0
        self._good: Callable[..., dict[str, Any]] = chat if api == "chat" else responses
        self._streams = streams
        self._kinds = [getattr(self, name) for name in sorted(dir(type(self))) if name.startswith("say_")]
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def begin(self) -> None:
        """A new task: so many odd answers at most, then good ones."""
        self.patience = self.answered + self.random.choice((0, 5, 20, 60))

    def answer(self) -> bytes:
        """The next answer, all of it."""
        self.answered += 1
        if self.answered > self.patience:
            self.kind = "finish"
            return self.framed(self._good(FINISH))
        if self.random.random() < 0.5:
            self.kind = "good"
            return self.framed(self._good(*self.random.choices(CALLS, k=self.random.choice((1, 1, 2, 5)))))
        say = self.random.choice(self._kinds)
        self.kind = say.__name__
        made: bytes = say()
        return made

    def framed(self, answer: dict[str, Any]) -> bytes:
        """An answer in one, or in pieces."""
        if self._streams:
            return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + self.events(
                answer
            )
        return self.http(json.dumps(answer).encode())

    def http(self, body: bytes, *headers: str, status: int = 200) -> bytes:
        """A whole answer."""
        head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status} So", *headers, f"content-length: {len(body)}"))
        return f"{head}\r\n".encode() + body

    def events(self, answer: dict[str, Any]) -> bytes:
        """An answer as the data of events."""
        if self._good is responses:
            pieces: list[Any] = [{"type": "response.created"}, {"type": "response.completed", "response": answer}]
        else:
            choices = answer.get("choices")
            choice = choices[0] if isinstance(choices, list) and choices else {}
            choice = choice if isinstance(choice, dict) else {"message": choice}
            last: dict[str, Any] = {"delta": {}, "finish_reason": choice.get("finish_reason")}
            first = {"id": "r", "choices": [{"delta": choice.get("message")}]}
            pieces = [first, {"choices": [last]}, {"choices": [], "usage": answer.get("usage")}]
        return b"".join(b"data: " + json.dumps(piece).encode() + b"\n\n" for piece in pieces) + b"data: [DONE]\n\n"

    def mutated(self, value: Any, share: float = 0.12) -> Any:
        """A value of which parts are odd, missing or doubled."""
        pick = self.random
        if pick.random() < share:
            return pick.choice(ODD)
        if isinstance(value, dict):
            return {name: self.mutated(inner, share) for name, inner in value.items() if pick.random() > share / 2}
        if isinstance(value, list):
            return [self.mutated(inner, share) for inner in value for _ in range(pick.choice((1, 1, 1, 2)))]
        return value

    # Kinds of answers, drawn by name

    def say_mutated(self) -> bytes:
        answer = self.mutated(self._good(*self.random.choices(CALLS, k=2)))
        return self.framed(answer) if isinstance(answer, dict) else self.http(json.dumps(answer).encode())

    def say_cut(self) -> bytes:
        whole = self.framed(self._good(self.random.choice(CALLS)))
        return whole[: self.random.randrange(len(whole))]

    def say_flipped(self) -> bytes:
        whole = bytearray(self.framed(self._good(self.random.choice(CALLS))))
        for _ in range(self.random.choice((1, 3, 20))):
            whole[self.random.randrange(len(whole))] = self.random.randrange(256)
        return bytes(whole)

    def say_status(self) -> bytes:
        error = self.mutated({"error": {"message": "no", "type": "t", "code": "c", "param": "p"}}, 0.4)
        body = self.random.choice((json.dumps(error).encode(), b"<html>", b"", b"[" * 990, self.random.randbytes(300)))
        return self.http(body, self.random.choice(HEADERS), status=self.random.choice(STATUSES))

    def say_headers(self) -> bytes:
        return self.http(json.dumps(self._good(self.random.choice(CALLS))).encode(), *self.random.choices(HEADERS, k=2))

    def say_redirect(self) -> bytes:
        return self.http(b"", "location: /v1/elsewhere", status=self.random.choice((301, 302, 303, 307, 308)))

    def say_noise(self) -> bytes:
        return self.random.randbytes(self.random.choice((1, 100, 200_000)))

    def say_bomb(self) -> bytes:
        return self.http(gzip.compress(gzip.compress(bytes(10_000_000))), "content-encoding: gzip, gzip")

    def say_deep(self) -> bytes:
        depth = self.random.choice((50, 99, 101, 254, 330, 900, 100_000))
        return self.http(b'{"choices":[{"message":{"content":' + b"[" * depth + b"]" * depth + b"}}]}")

    def say_many(self) -> bytes:
        return self.framed(self._good(*self.random.choices(CALLS, k=self.random.choice((199, 201, 2000)))))

    def say_large(self) -> bytes:
        return self.http(b'{"a":"' + b"x" * self.random.choice((1 << 20, 34 << 20)))

    def say_chunks(self) -> bytes:
        head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        return head + b"".join(b"%x;%s\r\n \r\n" % (1, b"y" * 20) for _ in range(2000)) + b"0\r\n\r\n"

    def say_announcements(self) -> bytes:
        return b"HTTP/1.1 102 Processing\r\n\r\n" * 500 + self.framed(self._good(FINISH))

    def say_line(self) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: " + b"x" * 3_000_000

    def say_nothing(self) -> bytes:
        return b""

    # The wire

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as requests, contextlib.suppress(OSError, ValueError):
            while head := requests.readline():
                length = 0
                while (line := requests.readline()) not in {b"\r\n", b""}:
                    length = int(line[15:]) if line.lower().startswith(b"content-length:") else length
                requests.read(length)
                whole = self.http(b'{"data":[]}') if head.startswith(b"GET") else self.answer()
                connection.sendall(whole)
                if self.kind not in {"good", "finish"} or b"connection: close" in whole[:500]:
                    return
