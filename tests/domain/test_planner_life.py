"""One planner through anything that can happen to it, resets included, against a plain model of what is true."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headway.domain.decisions.lending import to_drop
from headway.domain.decisions.planner_budget import shortfall
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey
from headway.domain.messages import Grant
from headway.domain.planner_turn import ChildKind, Decision, Final, Finish, Spawned
from headway.domain.state.budget import Amount
from headway.domain.state.planner import PlannerState
from headway.domain.state.planner_intake import IDLE_WAITS
from tests.domain.booked import Answer, answers, next_turn, tick, to_start
from tests.domain.builders import CALL, NOW, TASK_TOKENS, an_ask, notice, outcome, planner, spawned

NOTHING = Amount()


@dataclass
class Real:
    """A child as it really stands, which no reset takes back."""

    spawned: Spawned
    total: Amount | None = None
    asked: Amount | None = None
    final: bool = False
    said: HandoffNotice | None = None

    @property
    def at_work(self) -> bool:
        return self.total is not None and self.said is None


@dataclass
class History:
    """What the workflow's history holds at some moment; a reset goes back to one of these."""

    state: str
    asked: tuple[ChildKey, ...]
    counted: dict[ChildKey, HandoffNotice]
    later: list[HandoffNotice | tuple[ChildKey, Amount, Amount] | tuple[Amount, bool]] = field(default_factory=list)


class PlannerLife(RuleBasedStateMachine):
    """Rules are what the world may do; invariants what the children must say all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.real: dict[ChildKey, Real] = {}
        self.asked: list[ChildKey] = []
        self.counted: dict[ChildKey, HandoffNotice] = {}
        self.pasts: list[History] = []
        self.told_by_parent = NOTHING
        self.resets = 0

    @initialize(
        tokens=st.sampled_from((8_000, 20_000, 40_000, 300_000)),
        tasks=st.integers(1, 30),
        kinds=st.lists(st.sampled_from(ChildKind), max_size=5),
    )
    def starts(self, tokens: int, tasks: int, kinds: list[ChildKind]) -> None:
        self.state = planner(tokens, tasks)
        self.told_by_parent = self.state.children.account.granted
        self.turn(Decision.WAIT, kinds, "one way", [], HandoffStatus.DONE)
        self._errands()

    # The planner's own doings

    @property
    def thinks(self) -> bool:
        """Whether a turn may be due."""
        return self.state.closing is None and self.state.end_due() is None and not self.state.need

    @precondition(lambda self: self.thinks)
    @rule(
        decision=st.sampled_from((Decision.GO_ON, Decision.WAIT, Decision.FINISH, Decision.GAVE_UP)),
        kinds=st.lists(st.sampled_from(ChildKind), max_size=5),
        what=st.sampled_from(("one way", "another way")),
        cancels=st.lists(st.integers(0, 20), max_size=2),
        status=st.sampled_from((HandoffStatus.DONE, HandoffStatus.PARTIAL)),
    )
    def turn(
        self, decision: Decision, kinds: list[ChildKind], what: str, cancels: list[int], status: HandoffStatus
    ) -> None:
        state = self.state
        order = next_turn(state, "run", Final() if state.wants_final() else None)
        self._remember()
        new = [spawned(state.turn, i, what, kind=kind) for i, kind in enumerate(kinds)]
        tasks = [child for child in new if child.kind is ChildKind.TASK][: order.spawnable]
        new = [child for child in new if child in tasks or child.kind is ChildKind.PLANNER]
        lost = [real.spawned for key, real in self.real.items() if key not in self.asked]
        keys = {child.key for child in new}
        told = outcome(
            state,
            decision,
            *new,
            recovered=tuple(child for child in lost if child.key not in keys),
            cancelled=tuple(key for i, key in enumerate(state.children.open) if i in cancels),
            finish=Finish(status=status, seq=1, summary="") if decision is Decision.FINISH else None,
            own=order.allowance.least(state.children.account.own + Amount(tokens=CALL // 2)),
        )
        for child in [*told.recovered, *new]:
            self.asked += [] if child.key in self.asked else [child.key]
            self.real.setdefault(child.key, Real(child))
        for key in state.take_turn(order, told, self.now):
            if self.real[key].at_work:
                self._hand_off(key, HandoffStatus.CANCELLED, 0)

    @precondition(lambda self: self.thinks)
    @rule(need=st.integers(1, CALL))
    def runs_out_of_budget(self, need: int) -> None:
        order = next_turn(self.state, "run")
        self.state.take_turn(
            order,
            outcome(self.state, Decision.OUT_OF_BUDGET, need=Amount(tokens=order.balance.tokens + need)),
            self.now,
        )

    @rule()
    def runs_errands(self) -> None:
        self._errands()

    @rule()
    def continues_as_new(self) -> None:
        carried = self.state.carried()
        self.state = PlannerState.model_validate_json(carried.model_dump_json(by_alias=True))
        assert self.state == carried
        assert self.state.carried() == carried

    @rule(seconds=st.sampled_from((1, 19, 600)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        tick(self.state, self.now)

    # The world around it

    @precondition(lambda self: self.at_work)
    @rule(data=st.data(), status=st.sampled_from(HandoffStatus), used=st.integers(0, 100))
    def a_child_hands_off(self, data: st.DataObject, status: HandoffStatus, used: int) -> None:
        self._hand_off(data.draw(st.sampled_from(self.at_work)), status, used)

    @precondition(lambda self: self.counted)
    @rule(data=st.data())
    def a_handoff_comes_once_more(self, data: st.DataObject) -> None:
        again = self.counted[data.draw(st.sampled_from(sorted(self.counted)))]
        before = self.state.model_copy(deep=True)
        assert not self.state.take_handoff(again, self.now)
        assert self.state == before

    @precondition(lambda self: self.may_ask)
    @rule(data=st.data(), need=st.integers(1, CALL))
    def a_child_asks(self, data: st.DataObject, need: int) -> None:
        self._ask(data.draw(st.sampled_from(self.may_ask)), Amount(tokens=need))

    @precondition(lambda self: self.has_asked)
    @rule(data=st.data())
    def a_child_asks_the_same_again(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.has_asked))
        self._ask(key, self.real[key].asked or NOTHING)

    @precondition(lambda self: self.may_ask)
    @rule()
    def all_children_ask(self) -> None:
        for key in self.may_ask:
            self._ask(key, Amount(tokens=CALL))

    @rule(
        more=st.sampled_from((0, 1_000, 20_000)), tasks=st.integers(0, 5), final=st.sampled_from((False, False, True))
    )
    def the_parent_grants(self, more: int, tasks: int, *, final: bool) -> None:
        self.told_by_parent += Amount(tokens=more, tasks=tasks)
        self._grant(self.told_by_parent, final=final)

    @rule(final=st.booleans())
    def an_old_grant_comes_late(self, *, final: bool) -> None:
        before = self.state.children.account.granted
        self.state.take_grant(Grant(total=Amount(tokens=1, tasks=1), final=self.state.children.no_more and final))
        assert self.state.children.account.granted == before

    @precondition(lambda self: self.pasts and self.resets < 3)
    @rule(data=st.data())
    def is_reset(self, data: st.DataObject) -> None:
        """The server takes the history back and tells again, before anything else, the signals that came since."""
        at = data.draw(st.integers(0, len(self.pasts) - 1))
        past = self.pasts[at]
        signals = [signal for other in self.pasts[at:] for signal in other.later]
        self.pasts = self.pasts[:at]
        self.state = PlannerState.model_validate_json(past.state)
        self.asked, self.counted = list(past.asked), dict(past.counted)
        self.resets += 1
        self._remember()
        for signal in signals:
            match signal:
                case HandoffNotice():
                    self._deliver(signal)
                case (str() as key, Amount() as granted, Amount() as need):
                    self.state.children.take_ask(an_ask(ChildKey(key), granted, need))
                    self.pasts[-1].later.append(signal)
                case (Amount() as total, bool() as final):
                    self._grant(total, final=final)

    @property
    def at_work(self) -> list[ChildKey]:
        return [key for key, real in self.real.items() if real.at_work]

    @property
    def may_ask(self) -> list[ChildKey]:
        return [key for key in self.at_work if self.real[key].asked is None and not self.real[key].final]

    @property
    def has_asked(self) -> list[ChildKey]:
        return [key for key in self.at_work if self.real[key].asked is not None]

    # What holds at any moment

    @invariant()
    def what_is_lent_is_what_the_children_hold(self) -> None:
        account, children = self.state.children.account, self.state.children.open.values()
        assert account.delegated == sum((child.granted or NOTHING for child in children), NOTHING)

    @invariant()
    def every_handoff_counts_once(self) -> None:
        children = self.state.children
        assert children.account.below == sum((n.spent for n in self.counted.values()), NOTHING)
        assert children.tally == Counter(n.status for n in self.counted.values())

    @invariant()
    def every_child_is_out_or_in(self) -> None:
        out = {key for key in self.asked if key not in self.counted}
        assert self.state.children.open.keys() == out

    @invariant()
    def nothing_is_overdrawn(self) -> None:
        # After a reset the children take in what was really lent and used, whatever they hold themselves.
        assert self.resets or self.state.children.account.balance.covers(NOTHING)

    @invariant()
    def nobody_sleeps_for_ever(self) -> None:
        state = self.state
        if state.wake_at(self.now) is None:
            assert state.children.open or state.need
        if state.need and not state.children.open:
            goes_on = state.children.account.free.covers(state.need)
            assert goes_on or shortfall(state) != NOTHING or state.children.no_more
        assert state.idle_waits <= IDLE_WAITS

    @invariant()
    def who_waits_in_vain_is_asked_for_above(self) -> None:
        """Where nothing more happens by itself, the parent has been asked, or somebody is refused or dropped."""
        state = self.state.model_copy(deep=True)
        if state.closing is not None or any(r.at_work and r.asked is None for r in self.real.values()):
            return
        if not state.children.open or any(child.cancelled for child in state.children.open.values()):
            return
        happens = (to_start(state.children), to_drop(state.children, closing=False), answers(state.children))
        assert any(happens) or shortfall(state) != NOTHING

    def teardown(self) -> None:
        """Whatever has happened: when every child does its part, the planner comes to its end and forgot nobody."""
        if not hasattr(self, "state"):
            return
        for _ in range(400):
            self.now += 600
            self._errands()
            tick(self.state, self.now)
            if self.state.end_due() is not None:
                break
            if self.thinks and (self.state.wake_at(self.now) or self.now + 1) <= self.now:
                self.turn(Decision.FINISH, [], "", [], HandoffStatus.DONE)
            elif shortfall(self.state) != NOTHING:
                self._grant(self.told_by_parent, final=True)
            for key, real in self.real.items():
                if real.at_work and (real.asked is None or real.final):
                    self._hand_off(key, HandoffStatus.DONE, 50)
                    break
        assert self.state.end_due() is not None, f"{self.state!r} {self.real!r}"
        self.every_child_is_out_or_in()
        assert {*self.asked} <= self.counted.keys()

    # How the world answers

    def _remember(self) -> None:
        written = self.state.model_dump_json(by_alias=True)
        self.pasts.append(History(written, tuple(self.asked), dict(self.counted)))

    def _deliver(self, said: HandoffNotice) -> None:
        if self.pasts:
            self.pasts[-1].later.append(said)
        new = said.child not in self.counted
        assert self.state.take_handoff(said, self.now) is new
        self.counted.setdefault(said.child, said)

    def _hand_off(self, key: ChildKey, status: HandoffStatus, percent: int) -> None:
        real = self.real[key]
        assert real.total is not None
        tasks = 1 if real.spawned.kind is ChildKind.TASK else 0
        real.said = notice(key, status, real.total.tokens * percent // 100, tasks)
        self._deliver(real.said)

    def _ask(self, key: ChildKey, need: Amount) -> None:
        real = self.real[key]
        assert real.total is not None
        real.asked = need
        if self.pasts:
            self.pasts[-1].later.append((key, real.total, need))
        self.state.children.take_ask(an_ask(key, real.total, need))

    def _grant(self, total: Amount, *, final: bool) -> None:
        if self.pasts:
            self.pasts[-1].later.append((total, final))
        self.state.take_grant(Grant(total=total, final=final))

    def _errands(self) -> None:
        state = self.state
        for key in to_start(state.children) if state.closing is None else ():
            lent = state.children.open[key].granted
            real = self.real[key]
            assert lent is not None
            real.total = real.total or lent
            if real.said is not None:  # adopted, and closed: the audit tells
                self._deliver(real.said)
        for key in to_drop(state.children, closing=state.closing is not None):
            real = self.real[key]
            real.said = real.said or HandoffNotice(child=key, status=HandoffStatus.CANCELLED, seq=0)
            self._deliver(real.said)
        started = [child for child in state.children.open.values() if child.granted is not None]
        waiting = [child for child in started if child.need is not None]
        told = answers(state.children)
        self._check_refusals(told, everybody_waits=len(waiting) == len(started))
        for answer in told:
            real = self.real[answer.child]
            before = real.total or NOTHING
            real.total, real.final = before.most(answer.total), real.final or answer.final
            real.asked = real.asked if real.total == before and not real.final else None

    def _check_refusals(self, answers: tuple[Answer, ...], *, everybody_waits: bool) -> None:
        """A child at its own limit is told so; for want of budget one at a time is, when nothing else helps."""
        children = self.state.children
        poor = [
            answer
            for answer in answers
            if answer.final
            and (self.real[answer.child].spawned.kind is ChildKind.PLANNER or answer.total.tokens + CALL <= TASK_TOKENS)
        ]
        if poor:
            assert len(answers) == 1
            assert everybody_waits
            assert children.no_more


TestPlannerLife = PlannerLife.TestCase
TestPlannerLife.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
