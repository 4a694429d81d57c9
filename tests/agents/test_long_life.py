"""An agent of ten thousand calls keeps its goal, and neither its memory nor its requests grow with its age."""

import gc
import sys
import tracemalloc
from contextlib import closing
from typing import Any

import pytest

from headway.domain.headings import own_part
from headway.domain.state.budget import Amount
from tests.agents.scripted_model import ScriptedModel, replies, reply, said_to
from tests.agents.stage import Stage
from tests.models.servers import Answer

GOAL = "Read everything there is"
NOTES = "Goal: read everything. So far: all well."


@pytest.mark.parametrize("calls", [150, pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(7_200)])])
async def test_an_old_agent_is_as_light_as_a_young_one(stage: Stage, calls: int) -> None:
    """The window is small in the short form and 200k tokens in the long one, so that both have several epochs."""
    size = 4_000 if calls < 1_000 else 8_000
    stage.endpoint = {"window": 30_000 if calls < 1_000 else 266_000, "max_output": 512}
    stage.limits = {"task_minutes": "none", "task_tokens": "none"}
    asked: list[dict[str, Any]] = []
    held: list[int] = []

    def script(body: dict[str, Any]) -> Answer:
        number = len(asked)
        asked.append(
            {
                "bytes": len(str(body)),
                "first": sys.intern(said_to(body)[0]),
                "question": body.get("tool_choice") == "none",
            }
        )
        if number % 10 == 0:
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
        if asked[-1]["question"]:
            return reply("## Goal\nRead everything.")
        if number >= calls:
            return reply("", ("finish", {"status": "done", "summary": "Read."}))
        if replies(body) == 1:
            return reply("", ("rewrite_scratchpad", {"content": f"{NOTES} {number} calls."}))
        return reply(f"{number} " + "w" * size, ("grep", {"pattern": f"nothing {number}"}))

    with closing(ScriptedModel(script, keeps=False)) as server:
        stage.listen_to(server.url)
        order = stage.task(GOAL, kind="investigate").model_copy(update={"granted": Amount(tokens=10**12, tasks=1)})
        tracemalloc.start()
        outcome, handoff = await stage.done(order)
        tracemalloc.stop()
    assert outcome.status == "done"
    assert handoff.facts.model_calls == len(asked)
    epochs = list(dict.fromkeys(entry["first"] for entry in asked))
    assert len(epochs) >= 4
    assert all(own_part(text).startswith(f"Task: {GOAL}\n") for text in epochs)
    assert all(NOTES in text for text in epochs[1:])
    window = stage.endpoint["window"]
    assert max(entry["bytes"] for entry in asked) < 5 * window
    # What is held swings with the epoch, and does not rise with its number.
    half = len(held) // 2
    assert max(held[half:]) < 1.2 * max(held[:half]) + 1_000_000
