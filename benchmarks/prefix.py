"""How much of what agents send begins as an earlier request did: `python -m benchmarks.prefix`.

Measured at the server: each request in the order in which a model reads it (tools, system, messages), in bytes, against
the request before. A prompt cache serves such beginnings at a tenth of the price or less. Beside it stand the same
requests as they were before: the task ahead of policy and guidance, and a last reply that is offered `finish` alone.

`usd_1000_tasks` is a run of 1,000 tasks at published prices: for each task a worker of 60 steps as above, for each ten
a planner of 13 turns. A token is taken for 4 bytes, a reply for 150 tokens. Each request comes within the lifetime of
what the one before it left in the cache, and nothing is lost by other causes. The baseline there has a cache for each
agent alone; `without_cache` pays all input in full.
"""

import asyncio
import json
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from benchmarks.prefix_bytes import alike, prompt_of, repeated, shared_but_for, task_first
from benchmarks.prefix_ground import TASK, PrefixGround
from benchmarks.prefix_server import BYTES_PER_TOKEN, TASKS
from benchmarks.table import Outcome, arguments, report
from headway.agents.loop.shared_prefix import AGENTS_PER_GROUP
from headway.domain.state.budget import Amount
from headway.models.prices import Price, PublishedPrices

STEPS = 60
WINDOW = 40_000
"""Tokens of a model whose conversations are closed on the way."""
LITTLE = Amount(tokens=150_000, tasks=1)
"""Enough for some steps, after which one reply is left."""
RUN_TASKS = 1_000
SHORT = 11
"""Steps of a short task, of which the beginning is a larger part."""
REPLY_TOKENS = 150
OPENAI, OPENROUTER, DEEPSEEK = "https://api.openai.com/v1", "https://openrouter.ai/api/v1", "https://api.deepseek.com"
MODELS = (
    ("gpt-6.1-sol", OPENAI),
    ("gpt-6-luna", OPENAI),
    ("gpt-5.5", OPENAI),
    ("anthropic/claude-sonnet-5.5", OPENROUTER),
    ("deepseek-v4-pro", DEEPSEEK),
)

Prompts = Sequence[bytes]


def main() -> None:
    """Measure and report."""
    args = arguments(__doc__)
    outcome = Outcome("prefix")
    asyncio.run(_measure(outcome))
    report(outcome, args.json)


async def _measure(outcome: Outcome) -> None:
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        async with PrefixGround(Path(folder), steps=STEPS) as ground:
            workers = [await ground.work(number) for number in range(TASKS)]
            planner = await ground.plan()
            last = await ground.work(TASKS, LITTLE)
    with tempfile.TemporaryDirectory(prefix="headway-bench-") as folder:
        async with PrefixGround(Path(folder), steps=STEPS, window=WINDOW) as ground:
            compacted = await ground.work(0)
    first = [worker[0] for worker in workers]
    tasks = [len(TASK.model_dump_json())] * len(first)
    for figures, render in ((outcome.figures, prompt_of), (outcome.baseline, task_first)):
        figures |= {
            "worker_60_steps": repeated([*map(render, workers[0])]),
            "worker_60_steps_compacted": repeated([*map(render, compacted)]),
            "planner_13_turns": repeated([*map(render, planner)]),
            "ten_workers_but_for_the_task": shared_but_for([*map(render, first)], tasks),
            "ten_workers": shared_but_for([*map(render, first)], [0] * len(first)),
        }
    outcome.figures["last_reply"] = _last(last[-2], last[-1])
    outcome.baseline["last_reply"] = _last(last[-2], _finish_alone(last[-1]))
    outcome.ratios |= {f"{name}_bytes_sent_anew": _ratio(outcome, name) for name in ("ten_workers", "last_reply")}
    _price(outcome, workers, planner, MODELS)
    _price(outcome, [worker[:SHORT] for worker in workers], planner, MODELS[:1], f"_of_{SHORT}_steps")


def _last(before: bytes, body: bytes) -> float:
    one, other = prompt_of(before), prompt_of(body)
    return alike(one, other) / len(other)


def _finish_alone(body: bytes) -> bytes:
    asked = json.loads(body)
    asked["tools"] = [tool for tool in asked["tools"] if tool["function"]["name"] == "finish"]
    return json.dumps(asked).encode()


def _ratio(outcome: Outcome, name: str) -> float:
    return (1 - outcome.baseline[name]) / (1 - outcome.figures[name])


def _price(
    outcome: Outcome, workers: Sequence[Prompts], planner: Prompts, models: Sequence[tuple[str, str]], which: str = ""
) -> None:
    """Dollars of a run: with its prompts in a cache, the same with the task first, and without a cache."""
    ours, theirs = [[*map(prompt_of, worker)] for worker in workers], [[*map(task_first, w)] for w in workers]
    plan = [*map(prompt_of, planner)]
    common = [0 if at % AGENTS_PER_GROUP == 0 else alike(ours[at - 1][0], ours[at][0]) for at in range(len(ours))]
    for model, url in models:
        price = PublishedPrices().price(model, url)
        if price is None:
            continue
        planned = _cost(plan, 0, price)
        cached = planned + sum(_cost(prompts, start, price) for prompts, start in zip(ours, common, strict=True))
        alone = planned + sum(_cost(prompts, 0, price) for prompts in theirs)
        whole = _uncached(plan, price) + sum(_uncached(prompts, price) for prompts in ours)
        name, runs = f"1000_tasks{which}_{model.rpartition('/')[2]}", RUN_TASKS // TASKS
        outcome.figures[f"usd_{name}"] = float(cached * runs)
        outcome.baseline[f"usd_{name}"] = float(alone * runs)
        outcome.figures[f"usd_{name}_without_cache"] = float(whole * runs)
        outcome.ratios[f"{name}_without_vs_with_cache"] = float(whole / cached)


def _cost(prompts: Prompts, start: int, price: Price) -> Decimal:
    """Dollars of an agent's requests, of which the first begins with so many bytes that another one wrote."""
    read = start + sum(alike(one, other) for one, other in pairwise(prompts))
    written = sum(map(len, prompts)) - read
    return (_mtok(read) * price.cached) + (_mtok(written) * price.written) + _replies(prompts, price)


def _uncached(prompts: Prompts, price: Price) -> Decimal:
    return _mtok(sum(map(len, prompts))) * price.input + _replies(prompts, price)


def _replies(prompts: Prompts, price: Price) -> Decimal:
    return Decimal(len(prompts) * REPLY_TOKENS) / 1_000_000 * price.output


def _mtok(nbytes: int) -> Decimal:
    return Decimal(nbytes) / BYTES_PER_TOKEN / 1_000_000


if __name__ == "__main__":
    main()
