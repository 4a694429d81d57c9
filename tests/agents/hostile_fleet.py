"""A fleet of honest agents beside one that is hostile, in one process: `python -m tests.agents.hostile_fleet URL ARGS`.

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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import uvicorn

from tests.support.peak import own_peak_mb

EVIL = "-----BEGIN RSA PRIVATE KEY-----\n" + "Proc-Type: " * 34
MB = 1 << 20
FINISH = ("finish", {"status": "done", "summary": "Read."})
HOSTILE_TITLE = "Be hostile"
SECRET = "sk-live-0123456789abcdef"
SPELL_S = 1.0
"""Much longer than an honest step."""
LONGEST_REST_S = 20.0
HOSTILE_THINK_S = 0.1
"""A model that is faster than any: what one agent alone takes of a machine is no matter of its words."""


def shell(command: str) -> tuple[str, dict[str, Any]]:
    return "shell", {"command": command}


def write(path: str, content: str) -> tuple[str, dict[str, Any]]:
    return "write_file", {"path": path, "content": content}


def edit(path: str, old: str, new: str = "x") -> tuple[str, dict[str, Any]]:
    return "edit_file", {"path": path, "old": old, "new": new, "replace_all": True}


WAYS = 3
"""Calls by which the same text is printed: by a command, by a new file, and out of that file."""


def prints(number: int) -> tuple[str, dict[str, Any]]:
    """The 400 characters that stopped every agent of a machine; each time by another call, which no guard ends."""
    path = f"evil{number // WAYS}.txt"
    ways = (shell(f"printf '%s' '{EVIL}' {number}"), write(path, EVIL), ("read_file", {"path": path}))
    return ways[number % WAYS]


ATTACKS: list[tuple[str, dict[str, Any]]] = [
    *map(prints, range(WAYS)),
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

    A step of an honest agent is measured from its reply to its next request. The hostile agent works for `SPELL_S` and
    rests for as long. So honest steps that begin beside it and apart from it come in turn, in the same process and on a
    machine that does the same meanwhile. By their beginning, because a long step meets more of anything. Of the time in
    which it rests every other second counts for itself: by as much the machine alone makes two samples differ.

    Args:
        agents: Honest agents.
        steps: Steps of an honest agent.
        think_s: Time that a reply takes.
        everything: Whether it tries all attacks once; else it prints until the honest agents have finished.
    """

    def __init__(self, agents: int, steps: int, think_s: float, *, everything: bool) -> None:
        self.agents = agents
        self.steps = steps
        self.think_s = think_s
        self.everything = everything
        self.bodies = bodies() if everything else []
        self.replied: dict[bytes, tuple[float, str]] = {}
        self.delays: dict[str, list[float]] = {"beside": [], "apart": [], "again": []}
        self.asked = self.finished = self.hostile = 0
        self.works_since: float | None = None

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
            told = {name: sorted(delays) for name, delays in self.delays.items()}
            await _send(send, orjson.dumps(told | {"asked": self.asked, "hostile_calls": self.hostile}))
            return
        if re.search(rb"/1\.0-", agent):
            await self._rest(began)
            reply = self._hostile_reply()
            if reply == LAST:
                self.works_since = None
            await _send(send, reply)
            return
        self.asked += 1
        if agent in self.replied:
            replied, kind = self.replied[agent]
            self.delays[kind].append(began - replied)
        await asyncio.sleep(self.think_s * (0.5 + (hash(agent) % 100 + self.asked % 100) / 200))
        step = int(headers.get(b"x-headway-step", b"0"))
        self.finished += step >= self.steps
        # Another call each time: guards end an agent that goes in circles.
        look = ("read_file", {"path": "README.md", "limit": step + 1})
        call = FINISH if step >= self.steps else look
        body = orjson.dumps(chat(f"{step} " + "I look at the next part. " * 10, call))
        self.replied[agent] = time.monotonic(), self._spell
        await _send(send, body)

    async def _rest(self, now: float) -> None:
        """Return when the hostile agent may have its next reply."""
        if self.works_since is not None and (worked := now - self.works_since) > SPELL_S:
            self.works_since = None
            await asyncio.sleep(min(worked, LONGEST_REST_S))
        await asyncio.sleep(HOSTILE_THINK_S)
        self.works_since = self.works_since or time.monotonic()

    @property
    def _spell(self) -> str:
        """What an honest step that begins now counts for."""
        if self.works_since is not None:
            return "beside"
        return "apart" if int(time.monotonic() / SPELL_S) % 2 else "again"

    def _hostile_reply(self) -> bytes:
        number, self.hostile = self.hostile, self.hostile + 1
        if not self.everything:
            goes_on = self.finished < self.agents or number < WAYS
            return orjson.dumps(chat("", prints(number))) if goes_on else LAST
        if number < len(ATTACKS):
            return orjson.dumps(chat("", ATTACKS[number]))
        # Between two that cannot be used one that can: three in a row would end the attempt.
        at, usable = divmod(number - len(ATTACKS), 2)
        if at < len(self.bodies):
            return orjson.dumps(chat("", ("list_dir", {"depth": 1 + at % 3}))) if usable else self.bodies[at]
        return LAST


LAST = orjson.dumps(chat("", FINISH))


async def _send(send: Any, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def serve(agents: int, steps: int, think_s: float, *, everything: bool) -> None:
    """Serve on any free port, which is told on standard output."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    server = Server(agents, steps, think_s, everything=everything)
    config = uvicorn.Config(server.app, interface="asgi3", log_level="error", access_log=False, timeout_keep_alive=60)
    uvicorn.Server(config).run(sockets=[listener])


class Waits:
    """How long threads and the event loop of this process had to wait, in its own processor time.

    Full collections of garbage are told apart: they grow with a fleet (70 ms for 200 agents), and come with no text.
    """

    def __init__(self) -> None:
        self.thread_ms = self.loop_ms = self.collection_ms = 0.0
        self._collected_s = self._collects_since = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _collects(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collects_since = time.process_time()
            return
        took = time.process_time() - self._collects_since
        self._collected_s += took
        self.collection_ms = max(self.collection_ms, took * 1000)

    def _now(self) -> float:
        return time.process_time() - self._collected_s

    def _look(self) -> None:
        before = self._now()
        while not self._done.is_set():
            time.sleep(0.002)
            now = self._now()
            self.thread_ms, before = max(self.thread_ms, (now - before) * 1000), now

    async def watch(self) -> None:
        gc.callbacks.append(self._collects)
        self._thread.start()
        before = self._now()
        try:
            while True:
                await asyncio.sleep(0.002)
                now = self._now()
                self.loop_ms, before = max(self.loop_ms, (now - before) * 1000), now
        finally:
            self._done.set()
            gc.callbacks.remove(self._collects)


async def fleet(url: str, agents: int) -> dict[str, Any]:
    """Run the agents to their ends; what the process took, and how it ended.

    The hostile agent begins, and waits are measured, once every honest one has made its first call: to begin hundreds
    of agents at once takes more of a machine than all that comes later.
    """
    from headway.domain.errors import TransientError
    from headway.domain.messages import WorkerDone, WorkOrder
    from headway.eventlog.redaction import redactor
    from headway.models.circuit_breaker import ASKS
    from tests.agents.stage import Stage

    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=max(32, 2 * agents)))
    with tempfile.TemporaryDirectory(prefix="headway-fleet-") as folder:
        limits = {"task_tokens": "none", "tokens": "none", "command_seconds": 20}
        stage = Stage(Path(folder), limits=limits, redact=redactor([SECRET]))
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
        honest = [asyncio.create_task(done(order)) for order in orders]
        while stage.beats.count(ASKS) < agents:  # noqa: ASYNC110 - the beats of all agents
            await asyncio.sleep(0.1)
        watching = asyncio.create_task(waits.watch())
        against = asyncio.create_task(done(enemy))
        ends = await asyncio.gather(*honest)
        watching.cancel()
        end = await against
        await stage.close()
        return {
            "ends": {end: ends.count(end) for end in set(ends)},
            "hostile": end,
            "mb_before": before,
            "mb_peak": own_peak_mb(),
            "thread_ms": round(waits.thread_ms, 1),
            "loop_ms": round(waits.loop_ms, 1),
            "collection_ms": round(waits.collection_ms, 1),
        }


def main(arguments: list[str]) -> None:
    """`serve AGENTS STEPS THINK_S prints|everything` or `fleet URL AGENTS`."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    match arguments:
        case ["serve", agents, steps, think_s, attacks]:
            serve(int(agents), int(steps), float(think_s), everything=attacks == "everything")
        case ["fleet", url, agents]:
            print(json.dumps(asyncio.run(fleet(url, int(agents)))))


if __name__ == "__main__":
    main(sys.argv[1:])
