"""A fleet of honest agents beside one that is hostile, in one process: `python -m tests.agent.hostile_fleet URL ARGS`.

It prints what the process took and how long its threads and its event loop were kept waiting. The model is the server
below, in a process of its own, which measures how long each honest agent takes from a reply to its next request.
"""

import asyncio
import gc
import json
import re
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from tests.peak import own_peak_mb

EVIL = "-----BEGIN RSA PRIVATE KEY-----\n" + "Proc-Type: " * 34
MB = 1 << 20
FINISH = ("finish", {"status": "done", "summary": "Read."})
HOSTILE_TITLE = "Be hostile"


def shell(command: str) -> tuple[str, dict[str, Any]]:
    return "shell", {"command": command}


def write(path: str, content: str) -> tuple[str, dict[str, Any]]:
    return "write_file", {"path": path, "content": content}


def edit(path: str, old: str, new: str = "x") -> tuple[str, dict[str, Any]]:
    return "edit_file", {"path": path, "old": old, "new": new, "replace_all": True}


PRINTS = [shell(f"printf '%s' '{EVIL}'"), write("evil.txt", EVIL), ("read_file", {"path": "evil.txt"})]
"""The 400 characters that stopped every agent of a machine."""

ATTACKS: list[tuple[str, dict[str, Any]]] = [
    *PRINTS,
    write("equal", "a\n" * 400_000),
    edit("equal", "a\n" * 100_000 + "b\n"),
    edit("equal", " a\n" * 50_000 + "b\n"),
    edit("equal", "a", "b" * 300_000),
    write("a.py", "a;" * 120_000),
    write("a.toml", "a." * 100_000 + "a = 1\n"),
    write("a.json", "[" * 200_000),
    write("long", "x" * 3_000_000),
    edit("long", "x" * 200_000 + "y"),
    ("apply_patch", {"patch": "*** Begin Patch\n*** Add File: p\n+x\n" + "\n" * 190_000 + "*** End Patch"}),
    ("apply_patch", {"patch": "*** Begin Patch\n*** Update File: equal\n" + "@@\n-a\n" * 30_000 + "*** End Patch"}),
    shell("head -c 300000000 /dev/zero | tr '\\0' 'x'; echo 'sk-.'"),
    shell("yes 'sk-.sk-.://a:b://earer PRIVATE KEY-----' | head -c 200000000"),
    shell("mkdir -p many && cd many && seq 30000 | xargs touch"),
    ("list_dir", {"path": "many"}),
    shell("d=" + "d" * 250 + "; for i in 1 2 3 4 5 6 7 8; do mkdir -p $d; cd $d; done; yes deep | head -n 100000 > f"),
    ("grep", {"pattern": "deep"}),
    ("grep", {"pattern": "(a{1,1000}){1,1000}"}),
    shell("head -c 200000000 /dev/zero > zeros; yes 1234567 | head -c 7900000 > rows"),
    ("read_file", {"path": "zeros"}),
    ("read_file", {"path": "rows", "start": 900_000, "limit": 2_000}),
    ("grep", {"pattern": "1"}),
    edit("rows", "1234567\n7654321"),
    ("rewrite_scratchpad", {"content": "x" * 900_000}),
    ("finish", {"status": "done", "summary": "- a\n" * 4_000}),
    ("no_such_tool", {f"k{n}": n for n in range(50_000)}),
]


def bodies() -> list[bytes]:
    """Replies that no agent should get."""
    return [
        b'{"a":"' + b"x" * (31 * MB) + b'"}',
        orjson.dumps(chat("", ("write_file", "\n" * (2 * MB - 5_000)))),
        b'{"choices":[{"message":{"content":"' + b"\xff" * (3 * MB) + b'"}}]}',
        b'{"a":"' + b"\\ud800" * (600_000) + b'"}',
        b"[" + b"[]," * 70_000 + b"[]]",
        orjson.dumps(chat("```\n" * 25_000)),
        orjson.dumps(chat("<" * 99_000)),
        orjson.dumps(chat("sk-." * (MB - 2_000))),
        orjson.dumps(chat("", *[("list_dir", {})] * 200)),
        orjson.dumps(chat("", ("spawn_tasks", {"tasks": [{}] * 40_000}))),
    ]


def chat(text: str, *calls: tuple[str, Any]) -> dict[str, Any]:
    """A reply of Chat Completions."""
    listed = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": _written(given)}}
        for n, (name, given) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text} | ({"tool_calls": listed} if listed else {})
    usage = {"prompt_tokens": 500, "completion_tokens": 20}
    return {"id": "r", "model": "m", "choices": [{"message": message, "finish_reason": "tool_calls"}], "usage": usage}


def _written(given: Any) -> str:
    return given if isinstance(given, str) else orjson.dumps(given).decode()


class Server:
    """Says to honest agents what a patient model would say, and to the hostile one what hurts.

    Args:
        steps: Steps of an honest agent.
        think_s: Time that a reply takes.
        attacks: How many attacks there are; 3 are those that print.
    """

    def __init__(self, steps: int, think_s: float, attacks: int) -> None:
        self.steps = steps
        self.think_s = think_s
        self.attacks = ATTACKS[:attacks]
        self.bodies = bodies() if attacks > len(PRINTS) else []
        self.replied: dict[bytes, float] = {}
        self.delays: list[float] = []
        self.asked = 0
        self.hostile = 0

    async def app(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        began = time.monotonic()
        headers = dict(scope["headers"])
        parts, more = [], True
        while more:
            message = await receive()
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        agent = headers.get(b"x-headway-agent", b"")
        if not agent:
            delays = sorted(self.delays)
            told = {"delays": delays, "asked": self.asked, "hostile_calls": self.hostile}
            await _send(send, orjson.dumps(told))
            return
        if re.search(rb"/1\.0-", agent):
            await _send(send, self._hostile_reply())
            return
        self.asked += 1
        if agent in self.replied:
            self.delays.append(began - self.replied[agent])
        await asyncio.sleep(self.think_s * (0.5 + (hash(agent) % 100 + self.asked % 100) / 200))
        step = int(headers.get(b"x-headway-step", b"0"))
        # Another call each time: guards end an agent that goes in circles.
        look = ("read_file", {"path": "README.md", "limit": step + 1})
        call = FINISH if step >= self.steps else look
        body = orjson.dumps(chat(f"{step} " + "I look at the next part. " * 10, call))
        await _send(send, body)
        self.replied[agent] = time.monotonic()

    def _hostile_reply(self) -> bytes:
        number, self.hostile = self.hostile, self.hostile + 1
        if number < len(self.attacks):
            return orjson.dumps(chat("", self.attacks[number]))
        # Between two that cannot be used one that can: three in a row would end the attempt.
        at, usable = divmod(number - len(self.attacks), 2)
        if at < len(self.bodies):
            return orjson.dumps(chat("", ("list_dir", {"depth": 1 + at % 3}))) if usable else self.bodies[at]
        return orjson.dumps(chat("", FINISH))


async def _send(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(steps: int, think_s: float, attacks: int) -> None:
    """Serve on any free port, which is told on standard output."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server = Server(steps, think_s, attacks)
    config = uvicorn.Config(server.app, interface="asgi3", log_level="error", access_log=False, timeout_keep_alive=60)
    uvicorn.Server(config).run(sockets=[listener])


class Waits:
    """How long threads and the event loop of this process had to wait, in its own processor time."""

    def __init__(self) -> None:
        self.thread_ms = self.loop_ms = 0.0
        self.over_ms: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        before = time.process_time()
        while not self._done.is_set():
            time.sleep(0.002)
            now = time.process_time()
            self.thread_ms, before = max(self.thread_ms, (now - before) * 1000), now

    async def watch(self) -> None:
        self._thread.start()
        before = time.process_time()
        try:
            while True:
                await asyncio.sleep(0.002)
                now = time.process_time()
                gap = (now - before) * 1000
                self.loop_ms, before = max(self.loop_ms, gap), now
        finally:
            self._done.set()


async def fleet(url: str, agents: int, *, hostile: bool) -> dict[str, Any]:
    """Run the agents to their ends; what the process took, and how it ended."""
    from headway.domain.errors import TransientError
    from headway.domain.work import WorkerDone, WorkOrder
    from tests.agent.stage import Stage

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=max(32, 2 * agents)))
    with tempfile.TemporaryDirectory(prefix="headway-fleet-") as folder:
        stage = Stage(Path(folder), limits={"task_tokens": "none", "tokens": "none", "command_seconds": 20})
        stage.listen_to(url)
        orders = [stage.task(f"Read part {n}", n, kind="investigate") for n in range(1, agents + 1)]
        enemy = stage.task(HOSTILE_TITLE, 0, kind="change")

        async def done(order: WorkOrder) -> str:
            while True:
                try:
                    outcome = await stage.work(order)
                except TransientError:
                    await asyncio.sleep(0.1)  # as Temporal does
                    continue
                assert isinstance(outcome, WorkerDone), outcome
                return str(outcome.status)

        gc.freeze()  # as worker.py does
        before, waits = own_peak_mb(), Waits()
        watching = asyncio.create_task(waits.watch())
        honest = [asyncio.create_task(done(order)) for order in orders]
        against = asyncio.create_task(done(enemy)) if hostile else None
        ends = await asyncio.gather(*honest)
        watching.cancel()
        end = await against if against else ""
        await stage.close()
        return {
            "ends": {end: ends.count(end) for end in set(ends)},
            "hostile": end,
            "mb_before": before,
            "mb_peak": own_peak_mb(),
            "thread_ms": round(waits.thread_ms, 1),
            "loop_ms": round(waits.loop_ms, 1),
        }


def main(arguments: list[str]) -> None:
    """`serve STEPS THINK_S ATTACKS` or `fleet URL AGENTS HOSTILE`."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    acts: dict[str, Callable[..., None]] = {
        "serve": lambda steps, think_s, attacks: serve(int(steps), float(think_s), int(attacks)),
        "fleet": lambda url, agents, hostile: print(
            json.dumps(asyncio.run(fleet(url, int(agents), hostile=hostile == "hostile")))
        ),
    }
    acts[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
