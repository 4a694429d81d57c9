"""The model behind every habit: it does the same few things whatever its server is like, by the conversation alone.

It counts the calls that were answered without an error, and makes the next one. So a call that a server lost, spoilt or
refused is made again, as a model would make it.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

from headway.domain.handoff import HandoffStatus
from headway.domain.headings import handoffs_in, scope_of, task_of
from tests.peers.talk import Ask, Call, Message, Reply

TASKS = ("Write part one", "Write part two")
READ = "src/part000/mod00000.py"
POISON = "part two"
"""In the words of one task alone."""

LINES = 'name = "Zoë 🚀"\nnote = "e\u0301, \\"quoted\\", back\\\\slash, tab\\t"\n'
"""Text with an emoji, a combining mark and escapes: a stream may tear any of them."""

_NOTE = re.compile(r"Calls so far: (\d+)\.")


def files_of(task: str) -> dict[str, str]:
    """What a task writes."""
    name = task.rpartition(" ")[2]
    return {f"made/{name}.txt": LINES * 4, f"made/{name}.md": f"# {task}\n\nWritten.\n"}


def everything() -> dict[str, str]:
    """What all tasks write."""
    return {path: text for task in TASKS for path, text in files_of(task).items()}


def _worker(task: str) -> tuple[tuple[Call, ...], ...]:
    (first, one), (second, two) = files_of(task).items()
    return (
        (Call("list_dir", {"path": "."}), Call("read_file", {"path": READ})),
        (Call("write_file", {"path": first, "content": one}),),
        (Call("shell", {"command": f"cat {first}"}),),
        (Call("write_file", {"path": second, "content": two}),),
        (Call("land", {"message": f"{task}\n\nWrites {first} and {second}."}),),
        (Call("finish", {"status": "done", "summary": f"{task}: it is written."}),),
    )


_PLANNER = (
    (Call("list_dir", {"path": "."}),),
    (
        Call(
            "spawn_tasks", {"tasks": [{"title": task, "intent": f"Do: {task}.", "paths": ["made"]} for task in TASKS]}
        ),
        Call("wait", {}),
    ),
)
_WAIT = Call("wait", {})


def reply_to(ask: Ask) -> Reply:
    """What the model says to a request."""
    messages = ask.messages
    first = next((message.text for message in messages if message.role == "user"), "")
    mark = hashlib.sha256(f"{first.partition(chr(10))[0]}{len(messages)}{ask.number}".encode()).hexdigest()[:16]
    if ask.tools == {"ready"}:
        return Reply(calls=(Call("ready", {}),), mark=mark)
    done = _answered(messages)
    if not ask.tools:
        return Reply(f"A note for later. Calls so far: {done}.", mark=mark)
    said = "I go on."
    if task := task_of(first):
        steps: Sequence[tuple[Call, ...]] = _worker(task[0])
    elif scope_of(first) is not None:
        steps = _PLANNER
        if done >= sum(map(len, steps)):
            text = "\n".join(message.text for message in messages if message.role in {"user", "tool"})
            told = {title: status for _, status, title in handoffs_in(text)}
            return Reply(said, (_ending(told) if told.keys() >= set(TASKS) else _WAIT,), mark=mark)
    else:
        return Reply("I was asked nothing.", mark=mark)
    return Reply(said, _next(steps, done), mark=mark)


def _ending(told: Mapping[str, HandoffStatus]) -> Call:
    open_ = [task for task in TASKS if told[task] != HandoffStatus.DONE]
    summary = f"Not written: {', '.join(open_)}." if open_ else "All parts are written."
    return Call("finish", {"status": "partial" if open_ else "done", "summary": summary})


def _next(steps: Sequence[tuple[Call, ...]], done: int) -> tuple[Call, ...]:
    for step in steps:
        if done < len(step):
            return step[done:]
        done -= len(step)
    return steps[-1]


def _answered(messages: Sequence[Message]) -> int:
    """How many calls were answered without an error, in earlier epochs too."""
    before = max((int(n) for message in messages for n in _NOTE.findall(message.text)), default=0)
    return before + sum(message.role == "tool" and not message.text.startswith("error") for message in messages)
