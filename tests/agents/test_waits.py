"""An agent whose model call waits is shown as waiting, with the reason and the time, and never as at work."""

import asyncio
from collections.abc import Iterator

import pytest

from headway.cli.display.board import Row, board_of
from headway.cli.display.watch import Look
from headway.domain.errors import Parked
from headway.domain.ids import AgentId
from headway.eventlog.views.figures import figures_of
from headway.models.circuit_breaker import CircuitBreakers
from headway.models.client import Model
from headway.models.endpoint import Endpoint
from tests.agents.stage import RUN, Stage
from tests.models.servers import Answer, Server

ASKED_AGAIN_S = 0.3
PATIENCE_S = 5.0


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def refusal(seconds: float) -> Answer:
    error = {"message": "no calls left", "type": "rate_limit_exceeded", "code": "rate_limit_exceeded"}
    return Answer({"error": error}, 429, {"retry-after": f"{seconds}"})


def row_of(stage: Stage, agent: AgentId) -> Row | None:
    """The agent as `headway status` shows it, by its log alone."""
    figures = figures_of(stage.store, RUN)
    return next((row for row in board_of(Look(RUN, figures=figures)).rows if row.agent == agent), None)


async def until_shown(stage: Stage, agent: AgentId, words: str) -> Row:
    async with asyncio.timeout(20):
        while True:
            row = row_of(stage, agent)
            if row is not None and row.words.startswith(words):
                return row
            await asyncio.sleep(0.02)


async def test_an_agent_that_waits_for_its_model_is_shown_so_with_the_time(stage: Stage, server: Server) -> None:
    stage.models.append(
        Model(Endpoint(base_url=server.url), CircuitBreakers(stage.folder / "gates", patience_s=PATIENCE_S))
    )
    answers = iter([refusal(ASKED_AGAIN_S), Answer(hang=True)])
    server.answer = lambda _: next(answers)
    order = stage.task()
    work = asyncio.create_task(stage.work(order))
    row = await until_shown(stage, order.me, "waits for the model server: parked until")
    assert row.group == "waiting"
    assert "no calls left" in row.words
    assert row.since_s is not None
    assert row.since_s < PATIENCE_S
    assert (await until_shown(stage, order.me, "thinking")).group == "busy", "the wait is over, the call is under way"
    work.cancel()
    await asyncio.wait({work})

    server.answer = refusal(3_600)
    with pytest.raises(Parked):
        await stage.work(order)
    row = await until_shown(stage, order.me, "waits for the model server: parked until")
    assert row.group == "waiting"
