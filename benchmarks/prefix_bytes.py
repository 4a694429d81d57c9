"""Requests as a prompt cache sees them: how many bytes of each begin as another one did. Pure."""

import json
from collections.abc import Sequence
from itertools import pairwise

TEXT = "text"


def prompt_of(body: bytes) -> bytes:
    """The parts of a request that the model reads, in the order in which servers render them."""
    asked = json.loads(body)
    parts = [asked.get("tools", []), asked.get("instructions", ""), *asked.get("messages", asked.get("input", []))]
    return b"\n".join(json.dumps(part, ensure_ascii=False).encode() for part in parts)


def task_first(body: bytes) -> bytes:
    """The prompt of the same request if its first message began with the task, as before policy and guidance."""
    asked = json.loads(body)
    listed = asked.get("messages") or asked["input"]
    first = next(message for message in listed if message.get("role") == "user")
    text = first["content"] if isinstance(first["content"], str) else "".join(p[TEXT] for p in first["content"])
    mark = text.partition("`")[2].partition("`")[0]
    shared, found, own = text.partition(f"\n{mark}\n")
    first["content"] = f"{own}\n{shared}" if mark and found else text
    return prompt_of(json.dumps(asked).encode())


def alike(one: bytes, other: bytes) -> int:
    """Bytes with which both begin."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def repeated(prompts: Sequence[bytes]) -> float:
    """The part of all bytes that the request before began with as well; the first one repeats nothing."""
    return sum(alike(one, other) for one, other in pairwise(prompts)) / sum(map(len, prompts))


def shared_but_for(prompts: Sequence[bytes], tasks: Sequence[int]) -> float:
    """The part of first requests, from the second on, that the one before began with; their tasks' bytes left out."""
    same = sum(alike(one, other) for one, other in pairwise(prompts))
    return same / (sum(map(len, prompts[1:])) - sum(tasks[1:]))
