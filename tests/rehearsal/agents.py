"""The smallest agent that speaks to a rehearsal as Headway's agents do."""

from dataclasses import replace

from headway.domain.ids import AgentId
from headway.models.adapter import Request, ToolSchema
from headway.models.client import Model
from headway.models.endpoint_variables import endpoint_from
from headway.models.turn import AssistantTurn, ToolOutput, Turn, UserMessage

TOOL = ToolSchema("any", "Stands for every tool.", {"type": "object"})


def model_at(url: str, api: str = "chat") -> Model:
    return Model(endpoint_from({"OPENAI_BASE_URL": url, "HEADWAY_API": api}))


class Agent:
    """A conversation that grows."""

    def __init__(self, model: Model, first: str, name: str = "r/a") -> None:
        self.model = model
        self.items: list[bytes] = []
        self.request = Request(model="rehearsal", system="s", items=self.items, agent=AgentId(name), tools=(TOOL,))
        self.hear(first)

    def hear(self, text: str) -> None:
        self.items.append(self.model.encode(UserMessage(text)))

    async def ask(self, *, words_only: bool = False) -> Turn:
        """Asks without taking the answer in."""
        return await self.model.answer(replace(self.request, tool_choice="none") if words_only else self.request)

    async def go(self, output: str = "ok") -> Turn:
        """Asks, and answers every call with `output`."""
        turn = await self.ask()
        self.items.append(self.model.encode(AssistantTurn(turn.raw)))
        self.items += [self.model.encode(ToolOutput(call.id, output)) for call in turn.calls]
        return turn
