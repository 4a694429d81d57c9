"""The facts of a run's workflow, and their consequences. The same object lives through continue-as-new."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from headway.domain.check import CheckVerdict
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Oid, is_adopted, key_of, root_planner_id
from headway.domain.model_outage import ModelOutage
from headway.domain.order import AnyOrder
from headway.domain.refs import Ref
from headway.domain.run import PreparedRun, RunContext, RunReport
from headway.domain.stall import Stall
from headway.domain.state.budget import Amount, Compact
from headway.domain.state.children import Children
from headway.domain.state.control import ControlBook
from headway.domain.state.waits import Retry
from headway.domain.tree import TreeNode

Phase = Literal["preparing", "running", "hold", "needs_attention", "proving", "reporting", "closed"]

ATTENTION_SECONDS = 72 * 3600.0
"""Time in seconds that a run waits for its user before it ends with its results so far."""


class RunPresent(BaseModel):
    """The part of a run's state that a continued history begins anew.

    Attributes:
        long: The service suggests to continue as new; `settled`: no message is being handled.
        to_start: The root planner that is to be started, and the messages that it gets.
        to_inform: Adopted agents that may not know the control record.
        again: The user lets a run go on whose root planner failed.
        publishing: The trunk is being published; `checking`: it is being checked.
        cancelling: Everything below is being cancelled, until `cancel_until`, next at `cancel_at`, `cancel_tries` times
            so far.
        last_push: The trunk is published for the last time, after the cancellation; `published`: that is over.
        checked: The check ran in this round of the proof; `proofs`: the rounds so far; `proven`: one agreed.
        retry: The wait before the next try of the proof or of the report; `reports`: tries of the report so far.
        report: The report; the run is over.
    """

    long: bool = False
    settled: bool = True
    to_start: ChildKey | None = None
    first_words: tuple[Ref, ...] = ()
    to_inform: list[ChildKey] = []
    again: bool = False
    publishing: bool = False
    checking: bool = False
    cancelling: bool = False
    cancel_at: float = 0.0
    cancel_until: float = 0.0
    cancel_tries: int = 0
    last_push: bool = False
    published: bool = False
    checked: bool = False
    proofs: int = 0
    proven: bool = False
    retry: Retry = Retry(again_s=0.0)
    reports: int = 0
    report: RunReport | None = None

    @property
    def busy(self) -> bool:
        """True while a long activity of the run is under way."""
        return self.publishing or self.checking


class RunFacts(BaseModel):
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
    children: Children | None = None
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
    asked: list[AnyOrder] = []
    unpublished: bool = False
    troubles: dict[str, str] = {}
    adopted_spent: Compact = Amount()
    audited_at: float = 0.0
    measured: Compact = Amount()
    listed_as: str = "running"
    present: RunPresent = Field(default_factory=RunPresent, exclude=True)

    @property
    def context(self) -> RunContext:
        """The run's frozen facts; it has been prepared."""
        assert self.prepared is not None
        return self.prepared.context

    @property
    def audit_at(self) -> float:
        """Time of the next audit, which finds children that closed without a handoff."""
        quiet_since = min(self.last_heard, self.audited_at) if self.adopted else self.last_heard
        return quiet_since + self.context.audit_s

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
        return next((key for key in self.children.open if not is_adopted(key)), None) if self.children else None

    @property
    def adopted(self) -> tuple[ChildKey, ...]:
        """Agents that work on although their own planners, a root planner among them, are closed."""
        return tuple(key for key in self.children.open if is_adopted(key)) if self.children else ()

    @property
    def overdue(self) -> float:
        """End of the wait of a run that waits for its user."""
        held = self.phase == "hold" and self.prepared is not None
        return self.parked_at + (self.prepared.context.hold_s if held and self.prepared else ATTENTION_SECONDS)

    def gives_out_at(self, now: float) -> bool:
        """True if the run ends as soon as no agent works for it."""
        if self.root is None:
            return False
        return self.root.status is not HandoffStatus.FAILED or (self.phase == "needs_attention" and now >= self.overdue)

    def ended(self, now: float) -> HandoffNotice | None:
        """The root planner's handoff, once it counts and no adopted agent is at work."""
        return self.root if self.gives_out_at(now) and self.children is not None and not self.children.open else None

    @property
    def used(self) -> Amount:
        """All that the run is known to have used up."""
        spent = (self.children.account.spent if self.children else Amount()).most(self.measured)
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
        return self.children.account.granted if self.children else None

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

    @property
    def _active(self) -> bool:
        """True if agents may work, as far as the run knows."""
        held = self.prepared is not None and self.book.control.hold_on(AgentId(self.prepared.context.run)) is not None
        return self.phase == "running" and not held and not any(parking.parked for parking in self.parkings)

    @property
    def stalled(self) -> bool:
        """True if nothing is achieved although agents could work."""
        return self._active and self.quiet.stalled
