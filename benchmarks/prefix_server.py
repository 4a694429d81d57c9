"""A model's server that keeps each request: its agents work through a script, and what they sent is looked at later.

The agent's header tells who asks, the number of its calls what comes next. A worker asks for one command at a step and
finishes after as many as the model's name says, such as `steps-60`. A planner reads, asks for ten tasks, notes what the
handoffs bring, and finishes when the tenth is in.
"""

import json
import re
import threading
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TEXT = "I look at the next part, and compare it with what the one before it said. " * 3
NOTE = "## State\nThe parts so far were read and compared; they agree but for the names of two fields. " * 20
SCRATCHPAD = "Goal: every part agrees with the one before it. Parts one to nine stand; two names are open. " * 10
INTENT = "The parts were written by different hands, and readers stumble where one calls a thing differently. " * 6
BYTES_PER_TOKEN = 4
PLANNER_TURNS = 13
TASKS = 10
_STEPS = re.compile(r"steps-(\d+)")


class RecordingServer:
    """Answers on any free port until it is closed.

    Attributes:
        sent: The bodies of the requests of each agent, in their order.
    """

    def __init__(self) -> None:
        self.sent: dict[str, list[bytes]] = defaultdict(list)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.sent[self.headers["x-headway-agent"]].append(body)
                answer = json.dumps(answer_to(json.loads(body), int(self.headers["x-headway-step"]), len(body)))
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
                """Quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def answer_to(body: dict[str, Any], step: int, nbytes: int) -> dict[str, Any]:
    """The reply to an agent's request number `step`, by its tools and its model."""
    names = {tool.get("name") or tool["function"]["name"] for tool in body.get("tools", ())}
    calls: list[tuple[str, dict[str, Any]]]
    if body.get("tool_choice") == "none":
        return _answer(body, step, nbytes, NOTE, [])
    if "spawn_tasks" in names:
        calls = _planned(step)
    else:
        found = _STEPS.search(body["model"])
        is_last = step + 1 >= (int(found[1]) if found else 1)
        told = {"status": "done", "summary": "Read."}
        calls = [("finish", told)] if is_last else [("shell", {"command": f"sed -n {step}p notes.txt"})]
    return _answer(body, step, nbytes, f"{step}: {TEXT}", calls)


def _planned(step: int) -> list[tuple[str, dict[str, Any]]]:
    if step == 0:
        return [("list_dir", {}), ("read_file", {"path": "notes.txt"}), ("grep", {"pattern": "field"})]
    if step == 1:
        tasks = [{"title": f"Compare part {index}", "intent": INTENT} for index in range(TASKS)]
        return [("rewrite_scratchpad", {"content": SCRATCHPAD}), ("spawn_tasks", {"tasks": tasks}), ("wait", {})]
    if step > 1 + TASKS:
        return [("finish", {"status": "done", "summary": "All parts agree."})]
    notes = [("rewrite_scratchpad", {"content": f"{step}: {SCRATCHPAD}"})] if step % 4 == 0 else []
    return [*notes, ("wait", {})]


def _answer(
    body: dict[str, Any], step: int, nbytes: int, text: str, calls: list[tuple[str, dict[str, Any]]]
) -> dict[str, Any]:
    given, made = nbytes // BYTES_PER_TOKEN, 150
    ids = [f"call_{step:04}_{index}" for index in range(len(calls))]
    if "input" in body:
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
        items = [
            {"type": "function_call", "call_id": id_, "name": name, "arguments": json.dumps(arguments)}
            for id_, (name, arguments) in zip(ids, calls, strict=True)
        ]
        usage = {"input_tokens": given, "output_tokens": made}
        return {"id": "r", "status": "completed", "model": "m", "output": [said, *items], "usage": usage}
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
            for id_, (name, arguments) in zip(ids, calls, strict=True)
        ]
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    usage = {"prompt_tokens": given, "completion_tokens": made}
    return {"id": "r", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage}
