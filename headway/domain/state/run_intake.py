"""The input of a run: its start, the word of its root planners and of agents below closed ones, publications."""

from headway.domain.handoff import HandoffNotice
from headway.domain.ids import ChildKey, is_adopted, key_of, root_planner_id
from headway.domain.messages import FoundClosed
from headway.domain.planner_turn import ChildKind
from headway.domain.run import PreparedRun, Published
from headway.domain.state.budget import Amount
from headway.domain.state.child import Child
from headway.domain.state.children import new_children
from headway.domain.state.run_orders import RunOrders


class RunIntake(RunOrders):
    """A run's facts, and how what comes in changes them."""

    def open(self, prepared: PreparedRun, now: float) -> ChildKey:
        """Book the root planner, which is lent everything that the run may use. Returns its key."""
        context = prepared.context
        self.prepared = prepared
        self.branch, self.trunk = f"headway/{context.run}/main", context.base
        self.children = new_children(prepared.budget, context.sizes)
        self.last_heard = self.published_at = self.started_at = now
        return self._lend_to_root()

    def begin_again(self) -> ChildKey:
        """Book another root planner in place of the failed one, with the rest of the budget. Returns its key."""
        self.root_attempt += 1
        if self.root is not None and self.children is not None:
            # From now on the failed one is heard no more, or a reset of it could end the run of its successor.
            self.children.foreign = [*self.children.foreign, self.root.child]
        self.root, self.parked_at, self.adopted_spent = None, 0.0, Amount()
        return self._lend_to_root()

    def _lend_to_root(self) -> ChildKey:
        assert self.prepared is not None
        assert self.children is not None
        context = self.prepared.context
        key = key_of(root_planner_id(context.run, context.incarnation, self.root_attempt))
        self._lend(key)
        self.present.to_start = key
        return key

    def _lend(self, key: ChildKey) -> None:
        assert self.prepared is not None
        assert self.children is not None
        everything = self.children.account.free
        self.children.open[key] = Child(
            kind=ChildKind.PLANNER, title=self.prepared.title, seq=self.prepared.scope.seq, granted=everything
        )
        self.children.account.delegated += everything
        self.phase, self.told = "running", 0

    def park(self, now: float) -> None:
        """The root planner failed: wait for the user. A reset of it may still hand off under the same key."""
        self.phase, self.parked_at = "needs_attention", now
        if self.root is not None and self.children is not None:
            self.children.foreign = [key for key in self.children.foreign if key != self.root.child]

    def hear_of(self, key: ChildKey) -> bool:
        """A root planner speaks. If its failure parked the run, it was reset: outstanding again, with its totals. True
        then.
        """
        if self.phase != "needs_attention" or self.root is None or self.root.child != key or self.children is None:
            return False
        self._take_back(key)
        self.root, self.parked_at = None, 0.0
        self._lend(key)
        return True

    def _take_back(self, key: ChildKey) -> None:
        """A root planner that was closed speaks again: it gets back its totals and the agents adopted below it."""
        assert self.children is not None
        for other in [other for other in self.children.open if other.startswith(f"{key}/")]:
            self.children.account.delegated -= self.children.open.pop(other).granted or Amount()
        self.children.account.below -= (self.root.spent if self.root else Amount()) + self.adopted_spent
        self.adopted_spent = Amount()

    def take_handoff(self, notice: HandoffNotice) -> None:
        """The root planner handed up; the first word counts, unless the run was parked for its failure."""
        if self.children is None or not self.is_ours(notice.child):
            return
        if is_adopted(notice.child):
            self.adopted_spent += notice.spent if self.children.take(notice) else Amount()
            return
        if self.children.take(notice):
            if self.root is not None:
                self._take_back(notice.child)  # the same planner, after a reset: its totals hold these
            self.root = notice

    def take_closed(self, found: FoundClosed, known: tuple[ChildKey, ...]) -> tuple[ChildKey, ...] | None:
        """Book a child that an audit found closed, and adopt the agents below it; as `PlannerState.take_closed`."""
        assert self.children is not None
        ours = tuple(key for key in known if key.startswith(f"{found.child}/"))
        if self.children.known_below((found.child,)) != ours:
            return None
        adopted = tuple(orphan.key for orphan in found.orphans if self.children.adopt(orphan, found.child))
        if not found.more:
            self.take_handoff(found.notice)
        return adopted

    def take_publication(self, published: Published, now: float) -> None:
        """Book where the trunk stands and whether the user's repository has it."""
        self.trunk, self.branch, self.published_at = published.trunk, published.branch, now
        self.publish_problem, self.unpublished = published.problem, False
        self.publish_told = published.told
        self.quiet = self.quiet.seen(published.progress, published.progress_at, now, active=self._active)

    def miss_publication(self, why: str, now: float) -> None:
        """The trunk could not be published, for a reason that nothing names; it is tried again."""
        self.publish_problem = f"the trunk could not be published, which is tried again: {why}"
        self.unpublished, self.published_at = True, now

    def settle_proof(self) -> None:
        """Decide which result counts where proof and publication never agreed."""
        if self.verdict is None or not self.verdict.ran:
            return
        if self.unpublished:
            self.trunk = self.verdict.commit  # it is in the hub, whatever keeps it from the user's repository
        elif self.verdict.commit != self.trunk:
            self.verdict = None
