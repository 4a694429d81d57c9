"""A whole run in memory: the workflows' loops around the real state objects, with a made-up world below and beside.

Messages between two agents keep their order; everything else happens in any order. What a workflow does with its state
is repeated here in its shortest form; the rules are the domain's own.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from headway.agents.loop.usage import missing
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id, is_adopted, key_below, key_of, parent_of
from headway.domain.messages import Ask, CallBack, FoundClosed, Grant, Orphan
from headway.domain.planner_turn import ChildKind, Decision, Final, Finish, PlanTurn, Spawned, TurnOutcome
from headway.domain.state.budget import Amount, Sizes
from headway.domain.state.children import nothing_lent
from headway.domain.state.control import Control, Pause, Resume, SetLimits
from headway.domain.state.grant import TaskGrant
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState
from tests.domain.builders import CALL, NOW, RUN, outcome, prepared, spawned

CALL_USD = 300
GROWTH = (1, 1, 1, 2, 5)
"""How much larger than its first call an agent's next one may be."""

CANCEL: Literal["cancel"] = "cancel"
"""Temporal's own message: end."""

Message = HandoffNotice | Ask | Grant | CallBack | Control | Literal["cancel"]
ENDS = [HandoffStatus.DONE] * 4 + [HandoffStatus.PARTIAL, HandoffStatus.FAILED, HandoffStatus.BLOCKED]


@dataclass
class WorkerSim:
    """A task at work: it uses tokens, asks when its slice is used up, and hands off once."""

    me: AgentId
    slice: TaskGrant
    appetite: int
    used: Amount = field(default_factory=lambda: Amount(tasks=1))
    control: Control = field(default_factory=Control)
    need: Amount = field(default_factory=Amount)
    waits: bool = False
    handed: bool = False
    killed: bool = False


@dataclass
class PlannerSim:
    """A planner's workflow around its state."""

    state: PlannerState
    asked_with: Ask | None = None
    control_told: int = 0
    stirred: bool = True
    thinking: PlanTurn | None = None
    handed: bool = False
    killed: bool = False
    told: list[ChildKey] = field(default_factory=list)
    asked: list[ChildKey] = field(default_factory=list)


class Fleet:
    """One run, from its start to the root planner's handoff.

    Attributes:
        fuel: Children that may still be asked for; without it planners only finish.
        changes: How often the user may still change the limits, or wait for what comes of it.
        pauses: How often the user may still pause an agent with all below it. What is paused is resumed some time.
        kills: How often the user may still terminate a task or a sub-planner, which tells nobody.
        highest: The highest limits that the run ever had.
        total: All that was used up so far.
        allowed: The limits of the last change, or what was used up by then, if that was more; and what was used up
            since by who had not heard of a lowered limit, or by calls that were under way.
        hopeful: How often a planner's agent does not give up.
    """

    def __init__(
        self,
        random: Random,
        *,
        tokens: int,
        tasks: int,
        usd: int,
        fuel: int,
        hopeful: float = 1.0,
        changes: int = 0,
        pauses: int = 0,
        kills: int = 0,
        task_tokens: int = 50_000,
        task_usd: int = 1_000_000,
        **facts: object,
    ) -> None:
        self.random = random
        self.now = NOW
        self.fuel = fuel
        self.hopeful = hopeful
        self.changes = changes
        self.pauses = pauses
        self.kills, self.asks_again = kills, 20 * kills
        self.steps = 0
        self.mail: dict[tuple[AgentId, AgentId], deque[Message]] = {}
        self.workers: dict[AgentId, WorkerSim] = {}
        self.planners: dict[AgentId, PlannerSim] = {}
        self.run = RunState()
        start = prepared(tokens, tasks)
        self.highest = start.budget.model_copy(update={"micro_usd": usd})
        call = Amount(tokens=CALL, micro_usd=CALL_USD)
        task = Amount(tokens=task_tokens, tasks=1, micro_usd=task_usd)
        sizes = Sizes(task_call=call, planner_call=call, root_call=call, task=task)
        context = start.context.model_copy(update={"bounds_dollars": True, "sizes": sizes, **facts})
        start = start.model_copy(update={"context": context, "budget": self.highest})
        self.context = context
        self.allowed, self.total = self.highest, Amount()
        key = self.run.begin(start, NOW)
        self._new_planner(child_id(AgentId(RUN), key), "The whole run", 1, start.budget, Control())

    # The world's choice: what happens next

    def play(self, most: int) -> None:
        """Let things happen until the root planner handed up.

        Raises:
            AssertionError: Everybody sleeps for ever, or it never ends.
        """
        while self.run.root is None:
            self.steps += 1
            assert self.highest.covers(self.total), f"beyond the limit:\n{self.picture()}"
            assert self.allowed.covers(self.total), (
                f"beyond what was lowered: {self.allowed} {self.total}\n{self.picture()}"
            )
            assert self.steps < most, f"no end after {most} steps:\n{self.picture()}"
            choices = self._choices()
            if not choices:
                self._pass_time()
                continue
            self.now += self.random.random()
            kind, who = self.random.choice(choices)
            getattr(self, f"_{kind}")(who)

    def _choices(self) -> list[tuple[str, object]]:
        found: list[tuple[str, object]] = [("deliver", pair) for pair, letters in self.mail.items() if letters]
        found += [("work", w) for w in self.workers.values() if not w.handed and not w.waits and self._goes_on(w)]
        found += [("change", None)] if self.changes and self.random.random() < 0.05 else []
        found += [("pause", None)] if self.pauses and self.random.random() < 0.05 else []
        found += [("kill", None)] if self.kills and self.random.random() < 0.05 else []
        if self.random.random() < 0.05:
            found += [("audit", planner) for planner in self.planners.values() if self._to_audit(planner)]
        found += [("resume", None)] if self.paused and self.random.random() < 0.05 else []
        for planner in self.planners.values():
            if planner.handed:
                continue
            if planner.thinking is not None:
                found.append(("conclude", planner))
            if planner.stirred or (planner.thinking is None and self._due(planner)):
                found.append(("act", planner))
        return found

    @property
    def paused(self) -> list[AgentId]:
        """What the user paused."""
        return list(self.run.book.control.paused)

    def _goes_on(self, worker: WorkerSim) -> bool:
        """Whether a worker does something: one that is held only gives back what a lowered limit asks for."""
        return worker.control.hold_on(worker.me) is None or worker.slice.owes(worker.control.recall)

    def _due(self, planner: PlannerSim) -> bool:
        due = None if planner.state.held else planner.state.wake_at(self.now)
        deadline = planner.state.deadline
        late = planner.state.closing is None and deadline is not None and self.now >= deadline
        return late or (due is not None and due <= self.now)

    def _pass_time(self) -> None:
        unheard = next((planner for planner in self.planners.values() if self._to_audit(planner)), None)
        if unheard is not None:
            return self._audit(unheard)
        open_planners = [planner.state for planner in self.planners.values() if not planner.handed]
        alarms = [state.wake_at(self.now) for state in open_planners if not state.held]
        alarms += [state.deadline for state in open_planners if state.closing is None]
        alarms += [self.run.overdue] if self.run.phase == "hold" else []
        later = [at for at in alarms if at is not None and at > self.now]
        if self.paused and (not later or self.random.random() < 0.5):
            return self._resume(None)
        if not later and self.asks_again:
            return self._ask_again()
        assert later, f"everybody sleeps for ever:\n{self.picture()}"
        if self.changes and self.run.phase == "hold":
            self._change(None)
        else:
            self.now = min(later)
            self._tell_root()
        return None

    def _pause(self, _: object) -> None:
        self.pauses -= 1
        at_work = [*self.planners, *(worker.me for worker in self.workers.values() if not worker.handed)]
        target = self.random.choice([AgentId(RUN), *at_work])
        self.run.book.pause(Pause(request=f"pause {self.pauses}", target=target), self.now)
        self._tell_root()

    def _ask_again(self) -> None:
        """After a long silence each asks again: the planner that it asked may have been terminated since."""
        self.asks_again -= 1
        for worker in self.workers.values():
            if worker.waits and not worker.handed:
                self._ask(worker)
        for planner in self.planners.values():
            if not planner.handed:
                planner.asked_with, planner.stirred = None, True

    # Terminated agents, as `Handoffs.describe_children` and `tell_above` deal with them

    def _kill(self, _: object) -> None:
        """Terminate an agent. What it told before still arrives; what is below it works on."""
        tasks = [worker for worker in self.workers.values() if not worker.handed]
        planners = [planner for planner in self.planners.values() if not planner.handed and planner.state.depth > 1]
        if tasks + planners:
            self.kills -= 1
            choices: list[WorkerSim | PlannerSim] = [*tasks, *planners, *planners]
            victim = self.random.choice(choices)
            victim.handed = victim.killed = True
            if isinstance(victim, PlannerSim):
                victim.thinking, victim.stirred = None, False

    def _sim(self, agent: AgentId) -> "WorkerSim | PlannerSim":
        return self.workers.get(agent) or self.planners[agent]

    def _to_audit(self, planner: PlannerSim) -> list[ChildKey]:
        """Children that were terminated and of which the planner does not know it."""
        if planner.handed:
            return []
        children = planner.state.books.children.items()
        started = [key for key, child in children if child.lent is not None]
        return [key for key in started if self._sim(child_id(planner.state.me, key)).killed]

    def _audit(self, planner: PlannerSim) -> None:
        state = planner.state
        for key in self._to_audit(planner):
            agent = child_id(state.me, key)
            known = state.books.known_below((key,))
            orphans = [orphan for orphan in self._open_below(agent) if key_below(state.me, orphan) not in known]
            apart = [*orphans, *(child_id(state.me, path) for path in known)]
            found = FoundClosed(
                child=key,
                status=HandoffStatus.FAILED,
                seq=9,
                spent=sum((self._used_by(each) for each in self._family(agent, apart)), Amount()),
                orphans=tuple(self._orphan(state.me, orphan) for orphan in orphans),
            )
            adopted = state.take_closed(found, known, self.now)
            assert adopted is not None
            planner.told.append(key)
            for path in adopted:
                self._send(state.me, child_id(state.me, path), state.control)
        planner.stirred = True

    def _orphan(self, above: AgentId, agent: AgentId) -> Orphan:
        sim = self._sim(agent)
        is_task = isinstance(sim, WorkerSim)
        held = sim.slice.total if isinstance(sim, WorkerSim) else sim.state.books.purse.granted
        kind = ChildKind.TASK if is_task else ChildKind.PLANNER
        says = self.random.random() < 0.7  # a busy workflow does not answer in time
        return Orphan(key=key_below(above, agent), kind=kind, title="t", held=held if says else None)

    def _open_below(self, agent: AgentId) -> list[AgentId]:
        """The nearest open agents below a closed one."""
        below = [each for each in (*self.workers, *self.planners) if parent_of(each) == agent]
        found: list[AgentId] = []
        for each in below:
            found += [each] if self._is_open(each) else self._open_below(each)
        return found

    def _is_open(self, agent: AgentId) -> bool:
        """Whether its workflow is open: it closes once its handoff has arrived somewhere."""
        letters = (letter for (source, _), sent in self.mail.items() if source == agent for letter in sent)
        return not self._sim(agent).handed or any(isinstance(letter, HandoffNotice) for letter in letters)

    def _family(self, agent: AgentId, apart: list[AgentId]) -> list[AgentId]:
        every = [*self.workers, *self.planners]
        return [
            each
            for each in every
            if f"{each}/".startswith(f"{agent}/") and not any(f"{each}/".startswith(f"{other}/") for other in apart)
        ]

    def _used_by(self, agent: AgentId) -> Amount:
        sim = self._sim(agent)
        return sim.used if isinstance(sim, WorkerSim) else sim.state.books.purse.own

    def _resume(self, _: object) -> None:
        target = self.random.choice(self.paused)
        self.run.book.resume(Resume(request=f"resume {target} {self.steps}", target=target))
        self._tell_root()

    @property
    def used(self) -> Amount:
        """All that was really used up."""
        own = [planner.state.books.purse.own for planner in self.planners.values()]
        return sum([worker.used for worker in self.workers.values()], sum(own, Amount()))

    def _change(self, _: object) -> None:
        """The user changes the limits to something else, or says the same again."""
        self.changes -= 1
        order = SetLimits(
            request=str(self.changes),
            tokens=self.random.choice((None, 2_000, 50_000, 300_000, "none")),
            tasks=self.random.choice((None, 3, 500)),
            usd=self.random.choice((None, 0.002, 0.05, 1.0, "none")),
            hours=self.random.choice((1_000.0, "none")),
        )
        self.run.set_limits(order)
        assert self.run.granted is not None
        self.highest = self.highest.most(self.run.granted)
        self.allowed = self.run.granted.most(self.total)
        self._tell_root()

    def _use(self, amount: Amount, recall: int) -> Amount:
        """A call is made by who has heard of so many recalls."""
        self.total += amount
        if recall < self.run.book.control.recall:
            self.allowed += amount
        return amount

    def _tell_root(self) -> None:
        books, control = self.run.books, self.run.book.control
        assert books is not None
        for key in books.children:
            root = child_id(AgentId(RUN), key)
            if control.version != self.run.told:
                self.run.told = control.version
                self._send(AgentId(RUN), root, control)
            grant = self.run.lend_more(self.now)
            if grant is not None:
                self._send(AgentId(RUN), root, grant)

    def picture(self) -> str:
        """How everything stands, for a failure."""
        lines = [f"{w}" for w in self.workers.values() if not w.handed]
        for p in self.planners.values():
            if not p.handed:
                lines += [f"{p.state.me} {p.asked_with=} {p.thinking is not None=} {p.state!r}"]
        return "\n".join([*lines, f"{self.run.books!r}"])

    # Messages

    def _send(self, source: AgentId, target: AgentId, message: Message) -> None:
        self.mail.setdefault((source, target), deque()).append(message)

    def _deliver(self, pair: tuple[AgentId, AgentId]) -> None:
        source, target = pair
        message = self.mail[pair].popleft()
        if target in self.planners and self.planners[target].killed:
            if isinstance(message, HandoffNotice | Ask):  # it goes to the nearest workflow above that is open
                above = parent_of(target)
                self._send(source, above, message.model_copy(update={"child": key_below(above, source)}))
            return
        if target == AgentId(RUN):
            self._tell_run(message)
        elif target in self.workers:
            self._tell_worker(self.workers[target], message)
        elif target in self.planners:
            self._tell_planner(self.planners[target], message)
        assert source != target

    def _tell_run(self, message: Message) -> None:
        books = self.run.books
        assert books is not None
        if isinstance(message, HandoffNotice):
            self.run.take_handoff(message)
        elif isinstance(message, Ask):
            books.take_ask(message)
            self._tell_root()

    def _tell_worker(self, worker: WorkerSim, message: Message) -> None:
        if worker.handed:
            return
        if isinstance(message, Grant):
            before = worker.slice.model_copy()
            worker.slice.take(message)
            worker.waits = worker.waits and worker.slice == before
        elif isinstance(message, Control):
            worker.control = message if message.version > worker.control.version else worker.control
            if worker.waits and worker.slice.give_back(worker.used, worker.control.recall):
                self._ask(worker)
        else:
            self._hand_off(worker, HandoffStatus.CANCELLED)

    def _tell_planner(self, planner: PlannerSim, message: Message) -> None:
        state = planner.state
        if planner.handed:
            return
        match message:
            case HandoffNotice():
                before = state.wake_at(self.now)
                if state.take_handoff(message, self.now):
                    planner.told.append(message.child)
                    waits = state.books.anything_waits or state.need or state.wake_at(self.now) != before
                    planner.stirred = planner.stirred or bool(waits)
                self._hear(planner, message.child)
            case Ask():
                state.books.take_ask(message)
                planner.stirred = True
                self._hear(planner, message.child)
            case Grant():
                state.take_grant(message)
                planner.asked_with, planner.stirred = None, True
            case CallBack(lack=lack):
                state.called, planner.stirred = lack, True
            case Control():
                state.take_control(message)
                planner.stirred = True
            case _:
                self._cancel(planner)

    def _hear(self, planner: PlannerSim, key: ChildKey) -> None:
        """An agent speaks whose planner is closed: the audit that finds that one comes soon, and here later too."""
        if is_adopted(key) and key not in planner.state.books.children and self.random.random() < 0.5:
            self._audit(planner)

    # Workers

    def _work(self, worker: WorkerSim) -> None:
        call = self._call()
        if worker.slice.give_back(worker.used, worker.control.recall):
            worker.need = Amount(tokens=1, micro_usd=1)
            self._ask(worker)
        elif worker.used.tokens >= worker.appetite:
            self._hand_off(worker, self.random.choice(ENDS))
        elif not (need := missing(worker.used, call, worker.slice.total, dollars=True)):
            # Who gets no more gives nothing back either: it is a part of one call.
            worker.used += self._use(self._cost(call), -1 if worker.slice.final else worker.control.recall)
        elif worker.slice.final:
            self._hand_off(worker, HandoffStatus.PARTIAL)
        else:
            worker.need = need
            self._ask(worker)

    def _call(self) -> Amount:
        """The worst case of an agent's next call."""
        return Amount(tokens=CALL, micro_usd=CALL_USD).times(self.random.choice(GROWTH))

    def _cost(self, call: Amount) -> Amount:
        """What a call really costs."""
        share = self.random.choice((0.05, 0.5, 1))
        return Amount(tokens=max(1, int(call.tokens * share)), micro_usd=int(call.micro_usd * share))

    def _ask(self, worker: WorkerSim) -> None:
        worker.waits = True
        self._send(worker.me, parent_of(worker.me), worker.slice.ask(key_of(worker.me), worker.need))

    def _hand_off(self, worker: WorkerSim, status: HandoffStatus) -> None:
        worker.handed = True
        said = HandoffNotice(child=key_of(worker.me), status=status, seq=9, spent=worker.used)
        self._send(worker.me, parent_of(worker.me), said)

    # Planners

    def _new_planner(self, me: AgentId, title: str, depth: int, granted: Amount, control: Control) -> None:
        state = PlannerState(
            context=self.context,
            me=me,
            title=title,
            scope=self.run.prepared.scope if self.run.prepared else prepared().scope,
            depth=depth,
            books=nothing_lent(granted, self.context.sizes, self.context.sizes.planner_call),
            control=control,
        )
        self.planners[me] = PlannerSim(state, control_told=control.version)

    def _act(self, planner: PlannerSim) -> None:
        self._errands(planner)
        if planner.thinking is not None:
            return
        state = planner.state
        closed = state.closing is not None
        state.tick(self.now)
        if state.closing is not None and not closed:
            planner.stirred = True
            return
        ending = state.ending()
        if ending is not None:
            self._hand_up(planner, ending.status)
            return
        if self.random.random() < 0.2:
            self._continue_as_new(planner)
            state = planner.state
        due = None if state.held else state.wake_at(self.now)
        if due is not None and due <= self.now:
            planner.thinking = state.next_turn("run", Final() if state.wants_final() else None)

    def _errands(self, planner: PlannerSim) -> None:
        state, planner.stirred = planner.state, False
        gave_back = planner.thinking is None and state.give_back()
        answers = state.books.answers() if state.lends else ()
        open_for_more = state.closing is None and not state.held and state.lends
        starts = state.books.to_start() if open_for_more else ()
        gave_back = state.give_spare() or gave_back
        for key in state.books.to_drop(closing=state.closing is not None):
            dropped = HandoffNotice(child=key, status=HandoffStatus.CANCELLED, seq=0)
            assert state.take_handoff(dropped, self.now)
            planner.told.append(key)
        for key in starts:
            self._start(state, key)
        for answer in answers:
            grant = Grant(total=answer.total, final=answer.final, grant_version=answer.grant_version)
            self._send(state.me, child_id(state.me, answer.child), grant)
        if state.control.version != planner.control_told:
            planner.control_told = state.control.version
            for key, child in state.books.children.items():
                if child.lent is not None:
                    self._send(state.me, child_id(state.me, key), state.control)
        keys, lack = state.to_call_back()
        for key in keys:
            self._send(state.me, child_id(state.me, key), CallBack(lack=lack))
        self._ask_parent(planner, gave_back=gave_back)
        self.check(planner)

    def _ask_parent(self, planner: PlannerSim, *, gave_back: bool) -> None:
        state, before = planner.state, planner.asked_with
        due = None if state.held else state.wake_at(self.now)
        ask = state.ask(busy=planner.thinking is not None or (due is not None and due <= self.now))
        nothing = not ask.need and (before is None or state.depth > 1)
        if not gave_back and (nothing or (before is not None and before.says_as_much_as(ask))):
            return
        planner.asked_with = ask
        self._send(state.me, parent_of(state.me), ask)

    def _start(self, state: PlannerState, key: ChildKey) -> None:
        child, me = state.books.children[key], child_id(state.me, key)
        assert child.lent is not None
        if child.kind is ChildKind.PLANNER:
            self._new_planner(me, child.title, state.depth + 1, child.lent, state.control)
        else:
            appetite = self.random.choice((1, 700, 4_000, 20_000, 60_000))
            held = TaskGrant.first(child.lent, state.control.recall, state.context.sizes.task_call)
            self._use(Amount(tasks=1), state.control.recall)
            self.workers[me] = WorkerSim(me, held, appetite, control=state.control)

    def _conclude(self, planner: PlannerSim) -> None:
        """The turn ends as the world likes, within what it was told it may do."""
        order, state = planner.thinking, planner.state
        assert order is not None
        planner.thinking = None
        used, call = state.books.purse.own, self._call()
        recall = state.control.recall if order.renewed == state.control.renewed else -1
        calls = self.random.choice((1, 1, 3, 30))  # as many as a turn may make, while children are lent to
        while calls and not missing(used, call, order.allowance, dollars=True):
            calls, used, call = calls - 1, used + self._use(self._cost(call), recall), self._call()
        if state.held and self.random.random() < 0.7:
            told = outcome(state, Decision.SUSPENDED, own=used, call=call)
        elif calls:
            told = outcome(state, Decision.OUT_OF_BUDGET, own=used, need=call, call=call)
        else:
            told = self._decision(order, state).model_copy(update={"own": used, "call": call})
        planner.asked += [child.key for child in told.spawned]
        for key in state.take_turn(order, told, self.now):
            self._send(state.me, child_id(state.me, key), CANCEL)
        planner.stirred = True
        self.check(planner)

    def _decision(self, order: PlanTurn, state: PlannerState) -> TurnOutcome:
        asked = self._spawn(order) if self.fuel > 0 else []
        self.fuel -= len(asked)
        out = [key for key, child in state.books.children.items() if not child.cancelled]
        cancelled = tuple(self.random.sample(out, 1)) if out and self.random.random() < 0.1 else ()
        decision = Decision.FINISH
        if self.random.random() > self.hopeful:
            decision = Decision.GAVE_UP
        elif self.fuel > 0:
            decision = self.random.choice((Decision.GO_ON, Decision.WAIT, Decision.WAIT, Decision.FINISH))
        status = self.random.choice((HandoffStatus.DONE, HandoffStatus.PARTIAL))
        finish = Finish(status=status, seq=order.turn * 10, summary="That is it.")
        self.fuel -= decision is Decision.GO_ON
        return outcome(
            state,
            decision,
            *asked,
            cancelled=cancelled,
            finish=finish if decision is Decision.FINISH else None,
        )

    def _spawn(self, order: PlanTurn) -> list[Spawned]:
        tasks = self.random.randint(0, min(order.spawnable, 6))
        planners = self.random.randint(0, 2) if order.may_delegate else 0
        kinds = [ChildKind.TASK] * tasks + [ChildKind.PLANNER] * planners
        self.random.shuffle(kinds)
        return [spawned(order.turn, index, kind=kind) for index, kind in enumerate(kinds)]

    def _cancel(self, planner: PlannerSim) -> None:
        """Temporal's cancel: no more turns, everything below is told, and then it hands up."""
        state = planner.state
        started = [key for key, child in state.books.children.items() if child.lent is not None]
        state.close(HandoffStatus.CANCELLED, "cancelled")
        planner.thinking, planner.stirred = None, True
        for key in started:
            self._send(state.me, child_id(state.me, key), CANCEL)

    def _hand_up(self, planner: PlannerSim, status: HandoffStatus) -> None:
        planner.handed = True
        spent = planner.state.books.purse.spent
        me = planner.state.me
        self._send(me, parent_of(me), HandoffNotice(child=key_of(me), status=status, seq=9, spent=spent))

    def _continue_as_new(self, planner: PlannerSim) -> None:
        carried = planner.state.carried()
        read = PlannerState.model_validate_json(carried.model_dump_json(by_alias=True))
        assert read == carried
        planner.state, planner.asked_with = read, None
        planner.stirred = True

    # What must hold at any moment

    def check(self, planner: PlannerSim) -> None:
        """The books of one planner add up."""
        state = planner.state
        purse, children = state.books.purse, state.books.children
        lent = sum((child.lent or Amount() for child in children.values()), Amount())
        assert purse.lent == lent
        # A turn uses what was free when it began; what came back to the parent meanwhile is not a part of that.
        # Of an orphan that did not say what it holds, the most is on the books.
        unsure = sum((child.lent or Amount() for child in children.values() if child.unsure), Amount())
        settled = not self._to_audit(planner)  # an orphan may have handed off before its closed planner is found
        assert not settled or (purse.balance + unsure).covers(Amount()), f"overdrawn: {purse}"
        assert len(planner.told) == len(set(planner.told)), "a handoff counted twice"
        asked = {*planner.asked, *(key for key in (*planner.told, *children) if is_adopted(key))}
        assert {*planner.told, *children} == asked, "a child was forgotten"
        assert not {*planner.told} & children.keys(), "a child is out and in"
