"""A run's own state: the same object lives through continue-as-new."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.check import CheckVerdict
from headway.domain.errors import UserError
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid, is_adopted, key_of, root_planner_id
from headway.domain.limits import any_short, changed, in_words, short_words
from headway.domain.messages import FoundClosed, Grant
from headway.domain.model_outage import ModelOutage, with_news
from headway.domain.planner_turn import ChildKind
from headway.domain.run import PreparedRun, Published, RunContext
from headway.domain.stall import Stall
from headway.domain.state.budget import Amount, Compact
from headway.domain.state.child import Child, ChildAnswer
from headway.domain.state.children import Outstanding, least_part, nothing_lent
from headway.domain.state.control import MAX_AMENDMENTS, Amend, ControlBook, Pause, Resume, SetLimits, check_target
from headway.domain.state.planner import SIGNALS_PER_RUN
from headway.domain.tree import TreeNode

Order = Pause | Resume | SetLimits | Amend
"""Each thing that a run's user can order, by update or by signal."""

Phase = Literal["preparing", "running", "hold", "needs_attention", "proving", "reporting", "closed"]

ATTENTION_SECONDS = 72 * 3600.0
"""Time in seconds that a run waits for its user before it ends with its results so far."""


class RunState(BaseModel):
    """Everything that the workflow of a run knows.

    Attributes:
        root: The root planner's handoff, once it is here.
        tree: The root planner's last digest.
        trunk: The trunk as last seen.
        root_attempt: Number of the root planner, from 1; a failed one is replaced when the user lets the run go on.
        told: The version of the control record that the root planner knows.
        parked_at: Time at which the run began to wait for its user, because its root planner failed or its limit is
            reached.
        started_at: Start of the run; its hours count from there.
        asked: The user's orders that are not carried out yet.
        parkings: State of the ways to its models, as the worker processes last told.
        quiet: The clock of the time without progress.
        unpublished: The last publication failed before it could read the trunk.
        adopted_spent: The amount used up by agents that handed off to the run because the root planner is closed.
        audited_at: Time of the last audit of the adopted agents.
        measured: The sum of the agents' logs when its user last changed the limits.
        listed_as: Its state in lists, see `stands`.
        troubles: Failed effects that are tried again, in words, by their subject; and the last refused signal.
    """

    model_config = ConfigDict(populate_by_name=True)

    schema_: int = Field(default=1, alias="schema")
    phase: Phase = "preparing"
    prepared: PreparedRun | None = None
    books: Outstanding | None = None
    root: HandoffNotice | None = None
    tree: TreeNode | None = None
    trunk: Oid | None = None
    branch: str = ""
    publish_problem: str = ""
    publish_told: str = ""
    verdict: CheckVerdict | None = None
    outcome: str | None = None
    last_heard: float = 0.0
    published_at: float = 0.0
    signals: int = 0
    root_attempt: int = 1
    book: ControlBook = ControlBook()
    told: int = 0
    parked_at: float = 0.0
    parkings: tuple[ModelOutage, ...] = ()
    quiet: Stall = Stall()
    started_at: float = 0.0
    asked: list[SetLimits | Amend] = []
    unpublished: bool = False
    troubles: dict[str, str] = {}
    adopted_spent: Compact = Amount()
    audited_at: float = 0.0
    measured: Compact = Amount()
    listed_as: str = "running"

    @property
    def context(self) -> RunContext:
        """The run's frozen facts; it has been prepared."""
        assert self.prepared is not None
        return self.prepared.context

    def begin(self, prepared: PreparedRun, now: float) -> ChildKey:
        """Book the root planner, which is lent everything that the run may use. Returns its key."""
        context = prepared.context
        self.prepared = prepared
        self.branch, self.trunk = f"headway/{context.run}/main", context.base
        self.books = nothing_lent(prepared.budget, context.sizes)
        self.last_heard = self.published_at = self.started_at = now
        return self._lend_to_root()

    def begin_again(self) -> ChildKey:
        """Book another root planner in place of the failed one, with the rest of the budget. Returns its key."""
        self.root_attempt += 1
        if self.root is not None and self.books is not None:
            # From now on the failed one is heard no more, or a reset of it could end the run of its successor.
            self.books.foreign = [*self.books.foreign, self.root.child]
        self.root, self.parked_at, self.adopted_spent = None, 0.0, Amount()
        return self._lend_to_root()

    def _lend_to_root(self) -> ChildKey:
        assert self.prepared is not None
        assert self.books is not None
        context = self.prepared.context
        key = key_of(root_planner_id(context.run, context.incarnation, self.root_attempt))
        self._lend(key)
        return key

    def _lend(self, key: ChildKey) -> None:
        assert self.prepared is not None
        assert self.books is not None
        everything = self.books.purse.free
        self.books.children[key] = Child(
            kind=ChildKind.PLANNER, title=self.prepared.title, seq=self.prepared.scope.seq, lent=everything
        )
        self.books.purse.lent += everything
        self.phase, self.told = "running", 0

    def park(self, now: float) -> None:
        """The root planner failed: wait for the user. A reset of it may still hand off under the same key."""
        self.phase, self.parked_at = "needs_attention", now
        if self.root is not None and self.books is not None:
            self.books.foreign = [key for key in self.books.foreign if key != self.root.child]

    @property
    def audit_at(self) -> float:
        """Time of the next audit, which finds children that closed without a handoff."""
        quiet_since = min(self.last_heard, self.audited_at) if self.adopted else self.last_heard
        return quiet_since + self.context.audit_s

    def hear_of(self, key: ChildKey) -> None:
        """A root planner speaks. If its failure parked the run, it was reset: outstanding again, with its totals."""
        if self.phase != "needs_attention" or self.root is None or self.root.child != key or self.books is None:
            return
        self._take_back(key)
        self.root, self.parked_at = None, 0.0
        self._lend(key)

    def _take_back(self, key: ChildKey) -> None:
        """A root planner that was closed speaks again: it gets back its totals and the agents adopted below it."""
        assert self.books is not None
        for other in [other for other in self.books.children if other.startswith(f"{key}/")]:
            self.books.purse.lent -= self.books.children.pop(other).lent or Amount()
        self.books.purse.below -= (self.root.spent if self.root else Amount()) + self.adopted_spent
        self.adopted_spent = Amount()

    def is_ours(self, key: ChildKey) -> bool:
        """True if a key is that of a root planner of this run, or of an agent below one: names are used again."""
        if self.prepared is None:
            return False
        context, top = self.prepared.context, key.partition("/")[0]
        attempts = range(1, self.root_attempt + 1)
        return any(top == key_of(root_planner_id(context.run, context.incarnation, each)) for each in attempts)

    @property
    def root_key(self) -> ChildKey | None:
        """The key of the root planner, while one is open."""
        return next((key for key in self.books.children if not is_adopted(key)), None) if self.books else None

    @property
    def adopted(self) -> tuple[ChildKey, ...]:
        """Agents that work on although their own planners, a root planner among them, are closed."""
        return tuple(key for key in self.books.children if is_adopted(key)) if self.books else ()

    @property
    def overdue(self) -> float:
        """End of the wait of a run that waits for its user."""
        held = self.phase == "hold" and self.prepared is not None
        return self.parked_at + (self.prepared.context.hold_s if held and self.prepared else ATTENTION_SECONDS)

    # The root planner may use all that the run may use: when it asks for more, the run asks the user.

    def lend_more(self, now: float) -> Grant | None:
        """The grant to tell the root planner; None without news for it. At the run's limit the run holds, and waits."""
        key = self.root_key
        if self.books is None or key is None:
            return None
        child = self.books.children[key]
        # While more is lent than a lowered limit allows, nothing is lent: that would end the giving back.
        settled = self.books.purse.balance.covers(Amount())
        free, final = self.books.purse.free if settled else Amount(), False
        if not free and child.need != Amount():
            if child.need and self.phase == "running":
                self.phase, self.parked_at = "hold", now
            final = self.phase == "hold" and now >= self.overdue
            if not final:
                return None
        self._end_hold()
        child.lent, child.need = (child.lent or Amount()) + free, None
        self.books.purse.lent += free
        return Grant(total=child.lent, final=final, grant_version=child.grant_version)

    def lend_to_adopted(self, now: float) -> tuple[ChildAnswer, ...]:
        """Answers to agents that asked the run because their planners are closed.

        An open root planner holds all that the run may use, so they wait for its handoff. Afterwards, or when the user
        let the time to act pass, they get the rest, and hear that no more will come.
        """
        if self.books is None or not self.adopted:
            return ()
        self.books.no_more = self.books.no_more or self.gives_out_at(now)
        return self.books.answers(but=self.root_key)

    def _end_hold(self) -> None:
        if self.phase == "hold":
            self.phase, self.parked_at = "running", 0.0

    def gives_out_at(self, now: float) -> bool:
        """True if the run ends as soon as no agent works for it."""
        if self.root is None:
            return False
        return self.root.status is not HandoffStatus.FAILED or (self.phase == "needs_attention" and now >= self.overdue)

    def ended(self, now: float) -> HandoffNotice | None:
        """The root planner's handoff, once it counts and no adopted agent is at work."""
        return self.root if self.gives_out_at(now) and self.books is not None and not self.books.children else None

    def check(self, order: Order, run: str) -> None:
        """Refuse an impossible order, before any part of it counts; the same for updates and signals.

        Raises:
            UserError: It is about another run, comes too late, changes nothing, or cannot be kept.
        """
        if isinstance(order, Pause | Resume):
            return check_target(order.target, run)
        if self.root is not None and self.phase != "needs_attention" and not self.adopted:
            raise UserError("The run is finishing; its limits and instructions can no longer be changed.")
        if isinstance(order, SetLimits):
            changed(order, self.granted or Amount(), self.prepared)
            return None
        waiting = sum(isinstance(other, Amend) and other.request != order.request for other in self.asked)
        if len(self.book.control.amendments) + waiting >= MAX_AMENDMENTS:
            raise UserError(f"A run carries at most {MAX_AMENDMENTS} amendments.")
        return None

    def accept(self, order: Order, run: str) -> bool:
        """True if an order that came by signal may be carried out. A refusal is its answer, and a note of the run."""
        try:
            self.check(order, run)
        except UserError as error:
            self.book.refuse(order.request, str(error))
            self.troubles["order"] = f"order {order.request} was refused: {error}"
            return False
        self.troubles.pop("order", None)
        return True

    def trouble(self, about: str, why: str = "") -> None:
        """Note an effect that failed for good and is tried again; without `why`, that it succeeded."""
        self.troubles.pop(about, None)
        if why:
            self.troubles[about] = f"{about} failed: {why}"

    def take_order(self, order: SetLimits | Amend) -> None:
        """Note the user's order; one that came before under the same request is not carried out again."""
        if order.request not in self.book.answers and all(order.request != other.request for other in self.asked):
            self.asked.append(order)

    def set_limits(self, order: SetLimits) -> str:
        """Change the run's limits; the answer in words.

        Raises:
            UserError: It changes nothing, or cannot be kept.
        """
        assert self.books is not None
        assert self.prepared is not None
        purse = self.books.purse
        before, used = purse.granted, self.used
        wanted = changed(order, before, self.prepared)
        # A limit below the used-up amount means the same as that amount: nothing more.
        purse.granted = wanted.most(used.model_copy(update={"unpriced": 0}))
        hours = order.changes.get("hours")
        deadline = self.started_at + hours * 3600 if isinstance(hours, float) else hours
        self._end_hold()
        ends = self.book.control.deadline_of(self.prepared.context.deadline) if deadline is None else deadline
        said = in_words(purse.granted, used, ends, self.book.control.limits | order.changes)
        said += self._still_short()
        lowered = not wanted.covers(before)
        return self.book.set_limits(order, said, lowered=lowered, deadline=deadline)

    def _still_short(self) -> str:
        """A warning when agents wait for more than the new limits leave."""
        root = self.root_key
        if self.books is None or root is None:
            return ""
        child, free = self.books.children[root], self.books.purse.free
        least = least_part(child, self.context.sizes) - free
        return f"; that does not help yet: {short_words(least)} more is needed" if any_short(least) else ""

    @property
    def used(self) -> Amount:
        """All that the run is known to have used up."""
        spent = (self.books.purse.spent if self.books else Amount()).most(self.measured)
        return spent.most(self.tree.spent.amount) if self.tree and self.root is None else spent

    @property
    def stands(self) -> str:
        """State of the run, in a word or two. A phase alone would hide that it waits for its user."""
        if self.outcome is not None:
            return self.outcome
        if self.phase != "running" or self.prepared is None:
            return self.phase.replace("_", " ")
        if self.book.control.hold_on(AgentId(self.prepared.context.run)) is not None:
            return "paused"
        if any(parking.parked for parking in self.parkings):
            return "parked"
        return "stalled" if self.stalled else "running"

    @property
    def granted(self) -> Amount | None:
        """The limit of the whole run."""
        return self.books.purse.granted if self.books else None

    def take_handoff(self, notice: HandoffNotice) -> None:
        """The root planner handed up; the first word counts, unless the run was parked for its failure."""
        if self.books is None or not self.is_ours(notice.child):
            return
        if is_adopted(notice.child):
            self.adopted_spent += notice.spent if self.books.take(notice) else Amount()
            return
        if self.books.take(notice):
            if self.root is not None:
                self._take_back(notice.child)  # the same planner, after a reset: its totals hold these
            self.root = notice

    def take_closed(self, found: FoundClosed, known: tuple[ChildKey, ...]) -> tuple[ChildKey, ...] | None:
        """Book a child that an audit found closed, and adopt the agents below it; as `PlannerState.take_closed`."""
        assert self.books is not None
        ours = tuple(key for key in known if key.startswith(f"{found.child}/"))
        if self.books.known_below((found.child,)) != ours:
            return None
        adopted = tuple(orphan.key for orphan in found.orphans if self.books.adopt(orphan, found.child))
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

    @property
    def proven_as_published(self) -> bool:
        """True if the verdict, if there is one, is about the very commit that the user has."""
        if self.verdict is None:
            return not self.unpublished
        return self.verdict.ran and not self.unpublished and self.verdict.commit == self.trunk

    @property
    def proof_is_blocked(self) -> bool:
        """True if only a wait can help: the check could not be run, or nothing could be published."""
        return self.unpublished or (self.verdict is not None and not self.verdict.ran)

    def settle_proof(self) -> None:
        """Decide which result counts where proof and publication never agreed."""
        if self.verdict is None or not self.verdict.ran:
            return
        if self.unpublished:
            self.trunk = self.verdict.commit  # it is in the hub, whatever keeps it from the user's repository
        elif self.verdict.commit != self.trunk:
            self.verdict = None

    @property
    def _active(self) -> bool:
        """True if agents may work, as far as the run knows."""
        held = self.prepared is not None and self.book.control.hold_on(AgentId(self.prepared.context.run)) is not None
        return self.phase == "running" and not held and not any(parking.parked for parking in self.parkings)

    def take_parking(self, parking: ModelOutage) -> None:
        """A worker process tells that a model refuses its agents, or that it answers again."""
        self.parkings = with_news(self.parkings, parking)

    def continue_due(self, *, suggested: bool) -> bool:
        """True if the history is long enough to be closed at the next quiet moment."""
        return suggested or self.signals >= SIGNALS_PER_RUN

    @property
    def stalled(self) -> bool:
        """True if nothing is achieved although agents could work."""
        return self._active and self.quiet.stalled
