"""One server with every habit, each below a path of its own: `/HABIT/FORM/v1`. It listens on loopback only."""

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from tests.peers import wire
from tests.peers.habit import Form, Habit, Refusal
from tests.peers.script import reply_to
from tests.peers.talk import Ask

PROBE = "probe"


class HabitServer:
    """Serves habits while it is open: `with HabitServer(habits) as server: ...`."""

    def __init__(self, habits: Iterable[Habit]) -> None:
        self.habits: Mapping[str, Habit] = {habit.name: habit for habit in habits}
        self.asked: Counter[str] = Counter()
        self.loaded: set[str] = set()
        self._of_agents: Counter[str] = Counter()
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._http = _Listener(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def address(self, habit: Habit, form: Form) -> str:
        """Where a habit is met in a form."""
        return f"{self.root}/{place_of(habit, form)}{habit.base}{habit.query}"

    def environment(self, habit: Habit, form: Form) -> dict[str, str]:
        """The variables of the endpoint."""
        name = f"HEADWAY_ENDPOINT_{place_of(habit, form)}_".upper()
        more = {"URL": self.address(habit, form), "KEY": "sk-habit-1234567890", "MODEL": habit.model} | dict(habit.env)
        more["API"] = "chat" if form.startswith("chat") else "responses"
        more["STREAM"] = "on" if form.endswith("streamed") else "off"
        return {name + key: value for key, value in more.items()}

    def count(self, place: str, agent: str) -> int:
        """The number of a request; 0 for a probe."""
        with self._lock:
            self.asked[place] += 1
            self._of_agents[place] += agent != PROBE
            return self._of_agents[place] if agent != PROBE else 0


def place_of(habit: Habit, form: Form) -> str:
    """The part of the path, and the endpoint's name."""
    return f"{habit.name}_{form.replace(', ', '_')}"


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # a whole fleet comes at once

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left, as each killed process does, is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: HabitServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/api/ps":  # Ollama's own, at the server's root
            windows = {habit.model: habit.window for habit in self.owner.habits.values() if habit.window}
            loaded = [{"name": m, "model": m, "context_length": windows[m]} for m in windows if m in self.owner.loaded]
            self._give(Refusal(200, {"models": loaded}))
            return
        habit, rest = self._found(parts.path)
        if habit is None or not rest.endswith("/models"):
            self._give(Refusal(404, {"error": {"message": "not found", "type": "not_found"}}))
        elif habit.listed is not None:
            self._give(habit.listed)
        else:
            self._give(Refusal(200, {"object": "list", "data": [{"id": habit.model, "object": "model"}]}))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = urlsplit(self.path)
        habit, rest = self._found(parts.path)
        if habit is None:
            self._give(Refusal(404, {"detail": "Not Found"}))
            return
        body = json.loads(raw)
        self.owner.loaded.add(body.get("model"))
        number = self.owner.count(parts.path.split("/")[1], self.headers.get("x-headway-agent", ""))
        headers = {name.lower(): value for name, value in self.headers.items()}
        api = "responses" if rest.endswith("/responses") else "chat"
        ask = Ask(api, body, headers, rest, parts.query, number, len(raw), raw.decode())  # type: ignore[arg-type]
        self._answer(habit, ask)

    def _answer(self, habit: Habit, ask: Ask) -> None:
        if habit.delayed(ask):
            time.sleep(habit.delay_s)
        refused = next((refusal for when, refusal in habit.refuses if when(ask)), None)
        if refused is not None or not ask.path.endswith(("/chat/completions", "/responses")):
            self._give(refused or Refusal(404, {"detail": "Not Found"}))
            return
        reply = reply_to(ask)
        if habit.says is not None:
            reply = habit.says(ask, reply)
        answer: dict[str, Any] | Refusal = wire.whole(ask, reply)
        if habit.renders is not None and isinstance(answer, dict):
            answer = habit.renders(ask, answer)
        if isinstance(answer, Refusal):
            self._give(answer)
        elif ask.body.get("stream"):
            self._stream(habit, habit.sends(ask, answer) if habit.sends is not None else wire.events(ask, answer))
        else:
            self._give(Refusal(200, answer), http10=habit.http10)

    def _found(self, path: str) -> tuple[Habit | None, str]:
        place, _, rest = path.lstrip("/").partition("/")
        found = [habit for habit in self.owner.habits.values() if place.startswith(habit.name + "_")]
        return max(found, key=lambda habit: len(habit.name), default=None), f"/{rest}"

    def _give(self, given: Refusal, *, http10: bool = False) -> None:
        data = given.body.encode() if isinstance(given.body, str) else json.dumps(given.body).encode()
        if http10:  # its end is the connection's
            self.close_connection = True
            self.wfile.write(b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n" + data)
            return
        kind = "text/html" if isinstance(given.body, str) else "application/json"
        self.send_response(given.status)
        for name, value in {"content-type": kind, "content-length": str(len(data)), **given.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, habit: Habit, events: Iterator[bytes | None]) -> None:
        self.send_response(200)
        self.send_header("content-type", habit.stream_kind)
        self.send_header("connection" if habit.http10 else "transfer-encoding", "close" if habit.http10 else "chunked")
        self.end_headers()
        for each in events:
            if each is None:  # it breaks off
                self.close_connection = True
                return
            self.wfile.write(each if habit.http10 else b"%x\r\n%s\r\n" % (len(each), each))
        if habit.http10:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")
