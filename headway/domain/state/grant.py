"""A task's grant: the part of its planner's account that it may use. It grows, and shrinks when a limit was lowered."""

from pydantic import BaseModel

from headway.domain.ids import ChildKey
from headway.domain.messages import Ask, Grant, GrantVersion
from headway.domain.state.budget import Amount


class TaskGrant(BaseModel):
    """A task's grant.

    Attributes:
        total: All that it may use up.
        final: No more will come.
        grant_version: See `Ask.grant_version`.
        last: The part that a task never gives back, for the one reply with which it hands off.
    """

    total: Amount
    final: bool = False
    grant_version: GrantVersion = (0, 0)
    last: Amount = Amount()

    @classmethod
    def first(cls, total: Amount, recall: int, last: Amount) -> "TaskGrant":
        """The first grant of a task. It has nothing to give back for an earlier recall."""
        return cls(total=total, grant_version=(recall, 0), last=last)

    def take(self, grant: Grant) -> None:
        """Book a grant."""
        if grant.grant_version > self.grant_version:  # a reset forgot that this much was given back
            self.total, self.grant_version = grant.total, grant.grant_version
        elif grant.grant_version == self.grant_version:
            self.total = self.total.most(grant.total)
        self.final = self.final or grant.final

    def owes(self, recall: int) -> bool:
        """True if it has yet to give back its unneeded budget, for this recall.

        A task that gets no more keeps the rest: it would wait in vain to get it again.
        """
        return not self.final and recall > self.grant_version[0]

    def give_back(self, spent: Amount | None, recall: int) -> bool:
        """Keep the used-up part and the last reply, if this recall asks for the rest. True when it was given back.

        `spent` is None where the used-up part is not known: then nothing is given back.
        """
        if spent is None or not self.owes(recall):
            return False
        kept = (spent + self.last).least(self.total).most(spent).most(Amount(tasks=1))
        self.total, self.grant_version = kept.model_copy(update={"unpriced": 0}), (recall, 0)
        return True

    def ask(self, key: ChildKey, need: Amount) -> Ask:
        """The message to the planner: this much is held, and so much more is needed."""
        return Ask(child=key, granted=self.total, need=need, grant_version=self.grant_version)
