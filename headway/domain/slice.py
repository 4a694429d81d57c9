"""What a task holds of its planner's purse: it grows by grants, and shrinks when a limit was lowered."""

from pydantic import BaseModel

from headway.domain.budget import Amount
from headway.domain.ids import ChildKey
from headway.domain.work import Ask, Grant


class Slice(BaseModel):
    """A task's grant.

    Attributes:
        total: All that it may use up.
        final: No more will come.
        cut: See `Ask.cut`.
    """

    total: Amount
    final: bool = False
    cut: int = 0

    @classmethod
    def first(cls, total: Amount, recall: int) -> "Slice":
        """What a task begins with: of an earlier recall it has nothing to give back."""
        return cls(total=total, cut=recall)

    def take(self, grant: Grant) -> None:
        """Book what was granted."""
        if grant.cut > self.cut:  # a reset forgot that this much was given back
            self.total, self.cut = grant.total, grant.cut
        elif grant.cut == self.cut:
            self.total = self.total.most(grant.total)
        self.final = self.final or grant.final

    def owes(self, recall: int) -> bool:
        """Whether it has yet to give back what it does not need, for this recall.

        Who gets no more keeps what is left: he would wait for it in vain.
        """
        return not self.final and recall > self.cut

    def give_back(self, spent: Amount | None, recall: int) -> bool:
        """Keep what was used up, if this recall asks for the rest and it is known. True when it was given back."""
        if spent is None or not self.owes(recall):
            return False
        self.total, self.cut = spent.most(Amount(tasks=1)).model_copy(update={"unpriced": 0}), recall
        return True

    def ask(self, key: ChildKey, need: Amount) -> Ask:
        """What the planner is told: this much is held, and so much more is needed."""
        return Ask(child=key, granted=self.total, need=need, cut=self.cut)
