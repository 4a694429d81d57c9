"""What an agent in mid-work holds in memory: `python -m benchmarks.agent_memory ours|bare URL AGENTS`.

A process of its own, so that nothing else is counted. Each agent has a conversation of 200 messages and 200 KB, and all
of them wait for the model at the same time, which is what most agents do most of the time. Memory is resident memory
over what the process held with one agent.
"""

import asyncio
import gc
import json
import os
import resource
import sys
import tempfile
from pathlib import Path

from openai import AsyncOpenAI

from benchmarks.agent_ground import INCARNATION, ROOT, RUN, SAID, bare_messages, bare_tools, endpoint_at
from benchmarks.agent_model import TEXT
from headway.agents.loop.conversation import Conversation
from headway.agents.tools.catalogue import RESULTS, WORKER_TOOLS
from headway.domain.ids import AgentId, ChildKey, child_id
from headway.eventlog.events.conversation import (
    Call,
    LlmRequest,
    LlmResponse,
    Message,
    Tokens,
    ToolCallBegun,
    ToolResult,
)
from headway.eventlog.local_store import LocalStore
from headway.eventlog.store import AgentLog, LogStore
from headway.eventlog.views.working import Working
from headway.models.client import Model
from headway.models.roles import Chosen
from headway.sandbox.outcome import Ran
from prompts.prompts import Prompts

STEPS = 100
STEP_BYTES = 2_000
HOLD_S = 8
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1 << 20


async def ours(url: str, agents: int) -> dict[str, float]:
    """MB of each of our agents: at rest between two steps, and while it waits for the model."""
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        store = LocalStore(Path(folder), results=RESULTS)
        store.claim(RUN, INCARNATION)
        model = Model(endpoint_at(url))
        chosen, ids = Chosen(model, f"hold-{HOLD_S}"), [_id(number) for number in range(agents + 1)]
        with store.open(ids[0], role="worker", task=ids[0]) as log:
            _fill(log)
        talks = [_talk(store, ids[0], chosen)]
        await talks[0].ask()
        first = store.run_folder(RUN) / "logs" / f"{ids[0].partition('/')[2]}.jsonl"
        text = first.read_text()
        for agent in ids[1:]:
            path = first.with_name(f"{agent.rpartition('/')[2]}.jsonl")
            path.write_text(text.replace(ids[0], agent))
        before = _resident()
        talks += [_talk(store, agent, chosen) for agent in ids[1:]]
        rest = _resident()
        asking = [asyncio.create_task(conversation.ask()) for conversation in talks[1:]]
        waiting = await _while_they_wait()
        await asyncio.gather(*asking)
        for conversation in talks:
            conversation.log.close()
        await model.close()
    return {"mb_per_agent_at_rest": (rest - before) / agents / MB, "mb_per_agent": (waiting - before) / agents / MB}


async def bare(url: str, agents: int) -> dict[str, float]:
    """The same for lists of messages and the client alone."""
    client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    tools = bare_tools()

    async def ask(messages: list[object]) -> None:
        await client.chat.completions.create(model=f"hold-{HOLD_S}", messages=messages, tools=tools)  # type: ignore[arg-type]

    await ask(bare_messages(STEPS, STEP_BYTES))
    before = _resident()
    lists = [bare_messages(STEPS, STEP_BYTES) for _ in range(agents)]
    rest = _resident()
    asking = [asyncio.create_task(ask(messages)) for messages in lists]
    waiting = await _while_they_wait()
    await asyncio.gather(*asking, return_exceptions=True)
    await client.close()
    return {"mb_per_agent_at_rest": (rest - before) / agents / MB, "mb_per_agent": (waiting - before) / agents / MB}


async def _while_they_wait() -> int:
    """The most that is resident until the first answers come."""
    most = 0
    for _ in range(HOLD_S * 2):
        await asyncio.sleep(0.4)
        most = max(most, _resident(collect=False))
    return most


def _id(number: int) -> AgentId:
    return child_id(ROOT, ChildKey(f"1.{number}-{number:08x}"))


def _talk(store: LogStore, agent: AgentId, chosen: Chosen) -> Conversation:
    log = store.open(agent, role="worker", task=agent)
    views, tools = Working(log, 1), WORKER_TOOLS["replace"].schemas
    return Conversation(
        log, chosen, system=_SYSTEM, tools=tools, paid=views.paid, epoch=0, interrupted=views.interrupted
    )


_SYSTEM = Prompts.load().render("worker")


def _fill(log: AgentLog) -> None:
    """A log as a worker of 100 steps leaves it."""
    log.append(Message(text="Task: Read\n" + "Intent. " * 200))
    for step in range(STEPS):
        name, arguments = f"call_{step:08}", json.dumps({"command": f"sed -n {step}p x"})
        sent = {"id": name, "type": "function", "function": {"name": "shell", "arguments": arguments}}
        item = {"role": "assistant", "content": TEXT, "tool_calls": [sent]}
        log.append(LlmRequest(step=step, model="m", prompt="0" * 64, items=step, bytes=1))
        call, usage = Call(id=name, name="shell", arguments=arguments), Tokens(input=40_000, output=100)
        log.append(LlmResponse(step=step, stop="tool", text=TEXT, calls=(call,), items=(item,), tokens=1, usage=usage))
        log.append(ToolCallBegun(call_id=name, name="shell", arguments=arguments))
        text, ran = f"{step:06}" + "x" * (STEP_BYTES - SAID - 6), Ran(command=f"sed -n {step}p x", exit_code=0, note="")
        key = f"{step:016x}"
        log.append(ToolResult(call_id=name, name="shell", text=text, key=key, digest=key, result=ran))


def _resident(*, collect: bool = True) -> int:
    if collect:
        gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    who, where, count = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run({"ours": ours, "bare": bare}[who](where, int(count)))))
