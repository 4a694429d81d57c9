"""A real HTTP server on loopback that answers as told and remembers what it was asked."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Asked:
    """One request as it came over the wire."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Answer:
    """What the server says; `hang` keeps it silent until the server is closed.

    With `events` it comes in pieces, each the data of one event, and the connection is closed after them, or kept open
    and silent with `hang`; with `length` more bytes are announced than come.
    """

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    events: list[Any] | None = None
    length: int | None = None

    @property
    def content(self) -> bytes:
        if self.events is not None:
            return b"".join(event_of(event) for event in self.events)
        if isinstance(self.body, bytes):
            return self.body
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


def event_of(data: Any) -> bytes:
    """One event of a stream; text as it is, anything else as JSON."""
    text = data if isinstance(data, str) else json.dumps(data)
    return text.encode() if text.startswith(":") else f"data: {text}\r\n\r\n".encode()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # a whole fleet comes at once


class Server:
    """Answers every request with `answer`, which a test may change at any time: an answer, or what makes one."""

    def __init__(self) -> None:
        self.answer: Answer | Callable[[Asked], Answer] = Answer({})
        self.asked: list[Asked] = []
        self.arrived = threading.Event()
        self._closed = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                outer.asked.append(asked)
                outer.arrived.set()
                answer = outer.answer if isinstance(outer.answer, Answer) else outer.answer(asked)
                if answer.hang and answer.events is None:
                    outer._closed.wait()
                    return
                self.send_response(answer.status)
                kind = "application/json" if answer.events is None else "text/event-stream; charset=utf-8"
                for name, value in ({"content-type": kind} | answer.headers).items():
                    self.send_header(name, value)
                if answer.events is None:
                    self.send_header("content-length", str(answer.length or len(answer.content)))
                else:
                    self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(answer.content)
                self.wfile.flush()
                if answer.hang:
                    outer._closed.wait()
                self.close_connection = answer.events is not None or answer.length is not None

            do_GET = _serve  # noqa: N815
            do_POST = _serve  # noqa: N815

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

        self._http = _Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
