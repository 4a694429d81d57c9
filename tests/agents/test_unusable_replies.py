"""Replies that cannot be used: asked for a few times, then the attempt ends. Waiting does not change what comes."""

from contextlib import closing
from typing import Any

import pytest

from headway.domain.errors import TransientError
from headway.domain.messages import WorkerDone
from headway.domain.planner_turn import Decision
from headway.models.failures import UNUSABLE_AT_MOST, Unusable
from tests.agents.scripted_model import ScriptedModel, reply
from tests.agents.stage import Stage
from tests.models.servers import Answer

GARBAGE = Answer('{"choices": [{"mess')


async def test_a_worker_hands_off_after_so_many_in_a_row(stage: Stage) -> None:
    with closing(ScriptedModel(lambda _: GARBAGE)) as server:
        stage.listen_to(server.url)
        order = stage.task()
        for _ in range(UNUSABLE_AT_MOST - 1):
            with pytest.raises(Unusable) as raised:  # as each process that is asked to go on
                await stage.work(order)
            assert raised.value.cut_off, "it may have been paid for"
        outcome = await stage.work(order)
        assert len(server.bodies) == UNUSABLE_AT_MOST
    assert isinstance(outcome, WorkerDone)
    assert (outcome.status, outcome.retry) == ("failed", True), "another attempt may do better"
    assert "3 times in a row" in stage.handoff(outcome.ref).facts.harness_made


async def test_a_reply_that_can_be_used_begins_the_count_anew(stage: Stage) -> None:
    def script(body: dict[str, Any]) -> Answer:
        asked = len(server.bodies)
        if asked % UNUSABLE_AT_MOST:
            return GARBAGE
        status = {"status": "not_needed", "summary": "Nothing to do."}
        return reply("", ("finish", status)) if asked > 3 * UNUSABLE_AT_MOST else reply("", ("list_dir", {}))

    with closing(ScriptedModel(script)) as server:
        stage.listen_to(server.url)
        order, refused = stage.task(), 0
        while True:
            try:
                outcome = await stage.work(order)
            except TransientError:
                refused += 1
            else:
                break
    assert outcome.outcome == "handoff"
    assert refused == 4 * (UNUSABLE_AT_MOST - 1)


async def test_a_planner_gives_up_after_so_many_in_a_row(stage: Stage) -> None:
    with closing(ScriptedModel(lambda _: GARBAGE)) as server:
        stage.listen_to(server.url)
        for _ in range(UNUSABLE_AT_MOST - 1):
            with pytest.raises(Unusable):
                await stage.turn("a turn")
        outcome = await stage.turn("a turn")
        assert len(server.bodies) == UNUSABLE_AT_MOST
    assert outcome.decision is Decision.GAVE_UP
