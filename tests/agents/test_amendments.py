"""What the user adds to a run, as the model reads it: in the body of a request."""

from typing import Any

import pytest

from headway.domain.ids import AgentId
from headway.eventlog.events.work import Policy
from headway.models.http_client import HttpAnswer, HttpClient
from tests.agents.stage import RUN, Stage, finish, step, use

TITLE = "Write a file"
TEXT = "Leave the endpoint /v1/orders as it is."


def amended(stage: Stage) -> int:
    """Store an amendment in the run's log; its place there."""
    assert stage.context
    with stage.store.open(AgentId(RUN), role="run") as log:
        return log.append(Policy(amendment="1", text=TEXT), sync=True).seq


async def test_a_worker_and_a_planner_that_are_asked_with_an_amendment_send_its_text(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[bytes] = []
    sent = HttpClient.post

    async def post(self: HttpClient, path: str, content: bytes, *more: Any) -> HttpAnswer:
        bodies.append(content)
        return await sent(self, path, content, *more)

    monkeypatch.setattr(HttpClient, "post", post)
    seq = amended(stage)
    stage.serve(root=[step(use("wait"))], tasks={TITLE: [finish("Nothing to do.", "not_needed")]})
    await stage.turn("one", amendments=(seq,))
    await stage.done(stage.task().model_copy(update={"amendments": (seq,)}))
    assert len(bodies) == 2
    assert all(TEXT.encode() in body for body in bodies)
