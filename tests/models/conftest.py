from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from headway.domain.ids import AgentId
from headway.models.adapter import Request, ToolSchema
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.turn import Turn
from tests.models.servers import Answer, Server

SECRET = "sk-live-abcdefghijklmnop"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest_asyncio.fixture
async def model_of(server: Server) -> AsyncIterator[Callable[..., Model]]:
    opened: list[Model] = []

    def make(**env: str) -> Model:
        model = Model(endpoint_from({"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": SECRET} | env))
        opened.append(model)
        return model

    yield make
    for model in opened:
        await model.close()


@pytest.fixture
def request_() -> Request:
    tool = ToolSchema("shell", "Runs a command.", {"type": "object", "properties": {"command": {"type": "string"}}})
    return Request(
        model="some-model",
        system="You work.",
        items=[],
        agent=AgentId("r/root-1/2.0-aa"),
        tools=(tool,),
        max_output=1000,
        step=3,
    )


Ask = Callable[[Answer], Awaitable[Turn]]


@pytest.fixture
def ask(server: Server, model_of: Callable[..., Model], request_: Request) -> Ask:
    """Asks a server that gives this answer."""

    async def asked(answer: Answer) -> Turn:
        server.answer = answer
        return await model_of().answer(request_)

    return asked
