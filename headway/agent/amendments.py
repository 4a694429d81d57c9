"""What the user added to a run that goes on: every agent carries it in each epoch, in the order of adding."""

from collections.abc import Sequence
from dataclasses import dataclass

from headway.agent.prompts import Prompts
from headway.domain.events import Event
from headway.domain.ids import AgentId, RunName
from headway.domain.refs import Ref
from headway.trace.log_store import LogStore


@dataclass(frozen=True)
class Told:
    """Amendments in words for one agent, and how the message that tells them is marked in its log."""

    text: str
    seqs: tuple[int, ...]

    @property
    def marks(self) -> dict[str, list[int]]:
        """What the event of the message holds, so that they are told once an epoch."""
        return {"amendments": list(self.seqs)}


@dataclass(frozen=True)
class Amendments:
    """The amendments that are in force for an agent.

    Attributes:
        seqs: Where their texts lie in the run's own log.
    """

    store: LogStore
    prompts: Prompts
    run: RunName
    seqs: tuple[int, ...]

    def untold(self, epoch: Sequence[Event]) -> Told | None:
        """Those that these events, the agent's epoch so far, do not tell yet; of a new epoch that is all of them."""
        told = {seq for event in epoch if event.type == "message" for seq in event.data.get("amendments", ())}
        new = tuple(seq for seq in self.seqs if seq not in told)
        if not new:
            return None
        texts = (str(self.store.event(Ref(log=AgentId(self.run), seq=seq)).data["text"]) for seq in new)
        return Told(self.prompts.render("messages/amendments", texts="\n\n".join(texts)), new)
