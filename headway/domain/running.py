"""A run's own state: the same object lives through continue-as-new."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.budget import Amount, Bill, Ceiling
from headway.domain.check import CheckVerdict
from headway.domain.control import MAX_AMENDMENTS, Amend, ControlBook, Pause, Resume, SetLimits, check_target
from headway.domain.errors import UserError
from headway.domain.handoff import HandoffNotice
from headway.domain.ids import AgentId, ChildKey, Oid, key_of, root_planner_id
from headway.domain.limits import changed, in_words, micro, more_of
from headway.domain.outstanding import Child, Outstanding, nothing_lent
from headway.domain.parking import Parking, with_news
from headway.domain.planning import SIGNALS_PER_RUN
from headway.domain.quiet import Quiet
from headway.domain.run import PreparedRun, Published, RunContext
from headway.domain.tree import TreeNode
from headway.domain.turn import ChildKind
from headway.domain.work import Grant

Order = Pause | Resume | SetLimits | Amend
"""Each thing that a run's user can order, by update or by signal."""

Phase = Literal["preparing", "running", "hold", "needs_attention", "proving", "reporting", "closed"]

ATTENTION_SECONDS = 72 * 3600.0
"""How long a run waits for its user before it ends with what there is."""


class RunState(BaseModel):
    """Everything that the workflow of a run knows.

    Attributes:
        root: The root planner's handoff, once it is here.
        tree: The root planner's last digest.
        trunk: The trunk as last seen.
        root_attempt: Which root planner this is; a failed one is replaced when the user lets the run go on.
        told: The version of the control record that the root planner knows.
        parked_at: When the run began to wait for its user, because its root planner failed or its limit is reached.
        started_at: When the run began; its hours count from there.
        asked: What the user asked for and is not carried out yet.
        parkings: How the ways to its models stand, as the worker processes last told.
        quiet: How long nothing was achieved.
        unpublished: The last publication failed before it could say where the trunk stands.
        troubles: What failed for good and is tried again, in words, by what it is about; and the last refused signal.
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
    parkings: tuple[Parking, ...] = ()
    quiet: Quiet = Quiet()
    started_at: float = 0.0
    asked: list[SetLimits | Amend] = []
    unpublished: bool = False
    troubles: dict[str, str] = {}

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
        self.books = nothing_lent(prepared.budget, context.worst, context.task)
        self.last_heard = self.published_at = self.started_at = now
        return self._lend_to_root()

    def begin_again(self) -> ChildKey:
        """Book another root planner in the place of the one that failed, with what is left. Returns its key."""
        self.root_attempt += 1
        if self.root is not None and self.books is not None:
            # From now on the failed one is heard no more, or a reset of it could end the run of its successor.
            self.books.foreign = [*self.books.foreign, self.root.child]
        self.root, self.parked_at = None, 0.0
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
        self.books.purse.lent = everything
        self.phase, self.told = "running", 0

    def park(self, now: float) -> None:
        """The root planner failed: wait for the user. A reset of it may still hand off under the same key."""
        self.phase, self.parked_at = "needs_attention", now
        if self.root is not None and self.books is not None:
            self.books.foreign = [key for key in self.books.foreign if key != self.root.child]

    def hear_of(self, key: ChildKey) -> None:
        """A root planner speaks. If its failure parked the run, it was reset: outstanding again, with its totals."""
        if self.phase != "needs_attention" or self.root is None or self.root.child != key or self.books is None:
            return
        self.books.purse.below -= self.root.spent
        self.root, self.parked_at = None, 0.0
        self._lend(key)

    @property
    def overdue(self) -> float:
        """When a run that waits for its user stops waiting."""
        held = self.phase == "hold" and self.prepared is not None
        return self.parked_at + (self.prepared.context.hold_s if held and self.prepared else ATTENTION_SECONDS)

    # What the root planner may use, which is all that the run may: it is the user who is asked for more.

    def lend_more(self, now: float) -> Grant | None:
        """What the root planner is to be told of its grant. At the run's limit nothing is: the run holds, and waits."""
        if self.books is None or not self.books.children:
            return None
        child = next(iter(self.books.children.values()))
        # While more is out than a lowered limit allows, nothing is lent: it would end the giving back.
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
        return Grant(total=child.lent, final=final, cut=child.cut)

    def _end_hold(self) -> None:
        if self.phase == "hold":
            self.phase, self.parked_at = "running", 0.0

    def check(self, order: Order, run: str) -> None:
        """Refuse what cannot be done, before anything of it counts; the same for updates and signals.

        Raises:
            UserError: It is about another run, comes too late, changes nothing, or cannot be kept.
        """
        if isinstance(order, Pause | Resume):
            return check_target(order.target, run)
        if self.root is not None and self.phase != "needs_attention":
            raise UserError("The run is finishing; its limits and instructions can no longer be changed.")
        if isinstance(order, SetLimits):
            changed(order, self.granted or Amount(), self.prepared)
            return None
        waiting = sum(isinstance(other, Amend) and other.request != order.request for other in self.asked)
        if len(self.book.control.amendments) + waiting >= MAX_AMENDMENTS:
            raise UserError(f"A run carries at most {MAX_AMENDMENTS} amendments.")
        return None

    def accept(self, order: Order, run: str) -> bool:
        """Whether an order that came by signal may be carried out. A refusal is its answer, and a note of the run."""
        try:
            self.check(order, run)
        except UserError as error:
            self.book.refuse(order.request, str(error))
            self.troubles["order"] = f"order {order.request} was refused: {error}"
            return False
        self.troubles.pop("order", None)
        return True

    def trouble(self, about: str, why: str = "") -> None:
        """Note what failed for good and is tried again; without `why`, that it succeeded."""
        self.troubles.pop(about, None)
        if why:
            self.troubles[about] = f"{about} failed: {why}"

    def take_order(self, order: SetLimits | Amend) -> None:
        """Note what the user asks for; what came before under the same request is not done again."""
        if order.request not in self.book.answers and all(order.request != other.request for other in self.asked):
            self.asked.append(order)

    def set_limits(self, order: SetLimits) -> str:
        """Change what the run may use; the answer in words.

        Raises:
            UserError: It changes nothing, or cannot be kept.
        """
        assert self.books is not None
        assert self.prepared is not None
        purse = self.books.purse
        before, used = purse.granted, self.used
        wanted = changed(order, before, self.prepared)
        # Below what is used up already a limit says the same: nothing more.
        purse.granted = wanted.most(used.model_copy(update={"unpriced": 0}))
        hours = order.hours
        deadline = self.started_at + hours * 3600 if isinstance(hours, float) else hours
        self._end_hold()
        ends = self.book.control.deadline_of(self.prepared.context.deadline) if deadline is None else deadline
        per_hour = None if order.usd_per_hour is None else micro(order.usd_per_hour)
        said = in_words(purse.granted, used, ends, self.book.control.usd_per_hour if per_hour is None else per_hour)
        lowered = not wanted.covers(before)
        return self.book.set_limits(order, said, lowered=lowered, deadline=deadline, usd_per_hour=per_hour)

    @property
    def used(self) -> Amount:
        """All that the run is known to have used up."""
        spent = self.books.purse.spent if self.books else Amount()
        return spent.most(self.tree.spent.amount) if self.tree and self.root is None else spent

    @property
    def granted(self) -> Amount | None:
        """What the run may use in all."""
        return self.books.purse.granted if self.books else None

    def take_handoff(self, notice: HandoffNotice) -> None:
        """The root planner handed up; the first word counts, unless the run was parked for its failure."""
        if self.books is None:
            return
        before = self.root
        if self.books.take(notice):
            if before is not None:
                self.books.purse.below -= before.spent  # the same planner, after a reset: its totals hold these
            self.root = notice

    def take_publication(self, published: Published, now: float) -> None:
        """Book where the trunk stands and whether the user's repository has it."""
        self.trunk, self.branch, self.published_at = published.trunk, published.branch, now
        self.publish_problem, self.unpublished = published.problem, False
        self.publish_told = published.told
        self.quiet = self.quiet.seen(published.progress_at, now, active=self._active)

    def miss_publication(self, why: str, now: float) -> None:
        """The trunk could not be published, for a reason that nothing names; it is tried again."""
        self.publish_problem = f"the trunk could not be published, which is tried again: {why}"
        self.unpublished, self.published_at = True, now

    @property
    def proven_as_published(self) -> bool:
        """Whether the verdict, if there is one, speaks of the very commit that the user has."""
        if self.verdict is None:
            return not self.unpublished
        return self.verdict.ran and not self.unpublished and self.verdict.commit == self.trunk

    @property
    def proof_is_blocked(self) -> bool:
        """Whether another try helps only after a wait: the check could not be run, or nothing could be published."""
        return self.unpublished or (self.verdict is not None and not self.verdict.ran)

    def settle_proof(self) -> None:
        """Decide what counts where proof and publication never agreed."""
        if self.verdict is None or not self.verdict.ran:
            return
        if self.unpublished:
            self.trunk = self.verdict.commit  # it is in the hub, whatever keeps it from the user's repository
        elif self.verdict.commit != self.trunk:
            self.verdict = None

    @property
    def _active(self) -> bool:
        """Whether agents may work, as far as the run knows."""
        held = self.prepared is not None and self.book.control.hold_on(AgentId(self.prepared.context.run)) is not None
        return self.phase == "running" and not held and not any(parking.parked for parking in self.parkings)

    def take_parking(self, parking: Parking) -> None:
        """A worker process tells that a model refuses its agents, or that it answers again."""
        self.parkings = with_news(self.parkings, parking)

    def continue_due(self, *, suggested: bool) -> bool:
        """Whether the history is long enough to be closed at the next quiet moment."""
        return suggested or self.signals >= SIGNALS_PER_RUN

    @property
    def stalled(self) -> bool:
        """Whether nothing is achieved although agents could work."""
        return self._active and self.quiet.stalled

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the run should know."""
        own = tuple(filter(None, (self.publish_problem, self.publish_told, *self.troubles.values())))
        if self.phase == "needs_attention":
            own += ("the root planner failed: see its handoff, then `headway resume`, `reset` or `cancel`",)
        own += tuple(parking.words for parking in self.parkings if parking.parked)
        own += (self.quiet.words,) if self.stalled else ()
        if self.phase == "hold" and self.books is not None and self.prepared is not None:
            need = next(iter(self.books.children.values())).need or Amount()
            raises = more_of(self.prepared.context.run, need, self.books.purse.granted)
            own += (f"the run holds, because its limit is reached; `{raises}` lets it go on",)
        return (self.prepared.notes if self.prepared else ()) + own

    def status(self) -> dict[str, object]:
        """The answer of the query `status`."""
        prepared, tree = self.prepared, self.tree
        return {
            "run": prepared.context.run if prepared else None,
            "phase": self.phase,
            "outcome": self.outcome,
            "planner": {"state": tree.state, "title": tree.title} if tree else None,
            "counts": dict(tree.counts) if tree else {},
            "spent": Bill.of(self.used).model_dump(),
            "granted": Ceiling.of(self.granted).model_dump() if self.granted else None,
            "waits_until": self.overdue if self.phase in {"hold", "needs_attention"} else None,
            "amendments": len(self.book.control.amendments),
            "trunk": self.trunk,
            "branch": self.branch,
            "parked": [parking.model_dump() for parking in self.parkings if parking.parked],
            "went_on": max((parking.since for parking in self.parkings if not parking.parked), default=None),
            "stalled": self.stalled,
            "notes": list(self.notes),
            "rehearsal": prepared.rehearsal if prepared else False,
            "level": prepared.level if prepared else None,
            "check": self.verdict.model_dump() if self.verdict else None,
        }
