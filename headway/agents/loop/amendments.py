"""The user's additions to a run that goes on: every agent carries them in each epoch, in the order of adding."""

from collections.abc import Collection
from dataclasses import dataclass

from headway.domain.ids import AgentId, RunName
from headway.domain.refs import Ref
from headway.eventlog.events.work import Policy
from headway.eventlog.store import LogStore
from prompts.prompts import Prompts


@dataclass(frozen=True)
class Told:
    """Amendments in words for one agent.

    Attributes:
        seqs: Their places, with which the message is marked in the agent's log: they are told once an epoch.
    """

    text: str
    seqs: tuple[int, ...]


@dataclass(frozen=True)
class Amendments:
    """The amendments that are in force for an agent.

    Attributes:
        seqs: Places of their texts in the run's own log.
    """

    store: LogStore
    prompts: Prompts
    run: RunName
    seqs: tuple[int, ...]

    def untold(self, told: Collection[int]) -> Told | None:
        """Those whose places are not among `told`, the ones of the agent's epoch: all of them in a new epoch."""
        new = tuple(seq for seq in self.seqs if seq not in told)
        if not new:
            return None
        texts = (self.store.said(Ref(log=AgentId(self.run), seq=seq), Policy).text for seq in new)
        return Told(self.prompts.render("messages/amendments", texts="\n\n".join(texts)), new)
