"""A whole run in memory: the workflows' own interpreter and rules, with a made-up world below and beside.

Messages between two agents keep their order; everything else happens in any order.
"""

from collections import deque
from random import Random
from typing import Any

from headway.agents.loop.usage import missing
from headway.domain.check import CheckVerdict, RunCheck
from headway.domain.commands import Call, StartChild
from headway.domain.decisions import planner, run, task
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, all_above, child_id, key_below, parent_of
from headway.domain.messages import (
    Ask,
    DescribeChildren,
    EndWorker,
    FoundClosed,
    Orphan,
    StoredHandoff,
    StoreHandoff,
    TaskOrder,
    WorkerDone,
    WorkerSuspended,
    WorkOrder,
)
from headway.domain.orders.pause import Pause
from headway.domain.orders.resume import Resume
from headway.domain.orders.set_limits import SetLimits
from headway.domain.planner_turn import ChildKind, Decision, Finish, PlanTurn, Spawned, TurnOutcome
from headway.domain.refs import Ref
from headway.domain.run import MeasureSpent, Note, Publish, Published, WriteReport
from headway.domain.state.budget import Amount, Sizes
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState
from headway.domain.state.task import TaskState
from tests.domain.builders import CALL, COMMIT, NOW, RUN, outcome, prepared, spawned
from tests.domain.memory import Agent

CALL_USD = 300
GROWTH = (1, 1, 1, 2, 5)
"""How much larger than its first call an agent's next one may be."""

ME = AgentId(RUN)
ENDS = [HandoffStatus.DONE] * 4 + [HandoffStatus.PARTIAL, HandoffStatus.FAILED, HandoffStatus.BLOCKED]


class Fleet:
    """One run, from its start to its report.

    Attributes:
        fuel: Children that may still be asked for; without it planners only finish.
        changes: How often the user may still change the limits, or wait for what comes of it.
        pauses: How often the user may still pause an agent with all below it. What is paused is resumed some time.
        kills: How often the user may still terminate a task or a sub-planner, which tells nobody.
        highest: The highest limits that the run ever had.
        total: All that was used up so far; `used_by`: by each agent alone.
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
        self.fuel, self.hopeful = fuel, hopeful
        self.changes, self.pauses, self.kills = changes, pauses, kills
        self.steps = 0
        self.mail: dict[tuple[AgentId, AgentId], deque[Any]] = {}
        self.agents: dict[AgentId, Agent] = {}
        self.appetite: dict[AgentId, int] = {}
        self.used_by: dict[AgentId, Amount] = {}
        start = prepared(tokens, tasks)
        self.highest = start.budget.model_copy(update={"micro_usd": usd})
        call = Amount(tokens=CALL, micro_usd=CALL_USD)
        one = Amount(tokens=task_tokens, tasks=1, micro_usd=task_usd)
        sizes = Sizes(task_call=call, planner_call=call, root_call=call, task=one)
        context = start.context.model_copy(update={"bounds_dollars": True, "sizes": sizes, **facts})
        start = start.model_copy(update={"context": context, "budget": self.highest})
        self.allowed, self.total = self.highest, Amount()
        self.ordered: list[str] = []
        state = RunState()
        state.open(start, NOW)
        self.agents[ME] = Agent(ME, state, run.decide, _carried_run, self)

    @property
    def run(self) -> RunState:
        """The run's own state."""
        state = self.agents[ME].state
        assert isinstance(state, RunState)
        return state

    @property
    def planners(self) -> list[Agent]:
        return [agent for agent in self.agents.values() if isinstance(agent.state, PlannerState)]

    @property
    def tasks(self) -> list[Agent]:
        return [agent for agent in self.agents.values() if isinstance(agent.state, TaskState)]

    # The world's choice: what happens next

    def play(self, most: int) -> None:
        """Let things happen until the run is over.

        Raises:
            AssertionError: Everybody sleeps for ever, or it never ends.
        """
        while not self.agents[ME].closed:
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

    def _choices(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = [("deliver", pair) for pair, letters in self.mail.items() if letters]
        found += [("step", agent) for agent in self.agents.values() if agent.due]
        found += [("work", agent) for agent in self.agents.values() if agent.world.launched is not None]
        for kind, left in (("change", self.changes), ("pause", self.pauses), ("kill", self.kills)):
            found += [(kind, None)] if left and self.random.random() < 0.05 else []
        found += [("resume", None)] if self.paused and self.random.random() < 0.05 else []
        return found

    @property
    def paused(self) -> list[AgentId]:
        """What the user paused."""
        return list(self.run.book.control.paused)

    def _pass_time(self) -> None:
        """Nothing is under way: time passes until some alarm, not always the first."""
        alarms = [agent.world.until for agent in self.agents.values() if not agent.closed]
        later = sorted(at for at in alarms if at is not None and at > self.now)
        if self.paused and (not later or self.random.random() < 0.5):
            return self._resume(None)
        assert later, f"everybody sleeps for ever:\n{self.picture()}"
        if self.changes and self.run.phase == "hold":
            return self._change(None)
        self.now = self.random.choice(later) + self.random.choice((0, 0, 600, 50_000))  # or the machine slept meanwhile
        return None

    def _step(self, agent: Agent) -> None:
        agent.step()
        if isinstance(agent.state, PlannerState):
            self.check(agent)
        if agent.me == ME and any(request in self.run.book.answers for request in self.ordered):
            self.ordered = [request for request in self.ordered if request not in self.run.book.answers]
            granted = self.run.granted
            assert granted is not None
            self.highest = self.highest.most(granted)
            self.allowed = granted.most(self.total)

    # The user

    def _pause(self, _: object) -> None:
        self.pauses -= 1
        target = self.random.choice([agent.me for agent in self.agents.values() if not agent.closed])
        self.agents[ME].tell(Pause(request=f"pause {self.pauses}", target=target))

    def _resume(self, _: object) -> None:
        target = self.random.choice(self.paused)
        self.agents[ME].tell(Resume(request=f"resume {target} {self.steps}", target=target))

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
        if self.run.root is None:
            self.ordered.append(order.request)
            self.agents[ME].tell(order)

    def _kill(self, _: object) -> None:
        """Terminate an agent. What it told before still arrives; what is below it works on."""
        tasks = [agent for agent in self.tasks if not agent.closed]
        planners = [agent for agent in self.planners if not agent.closed and agent.state.depth > 1]
        if tasks + planners:
            self.kills -= 1
            self.random.choice([*tasks, *planners, *planners]).kill()

    # The port's other side

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def born(self, child: StartChild) -> bool:
        assert child.me not in self.agents, "started twice"
        argument = child.argument
        if isinstance(argument, PlannerState):
            state: Any = PlannerState.model_validate_json(argument.model_dump_json(by_alias=True))
            self.agents[child.me] = Agent(child.me, state, planner.decide, _carried_planner, self)
            self.used_by[child.me] = Amount()
        else:
            assert isinstance(argument, TaskOrder)
            state = TaskState.first(argument)
            self.agents[child.me] = Agent(child.me, state, task.decide, _never, self)
            self.appetite[child.me] = self.random.choice((1, 700, 4_000, 20_000, 60_000))
            self.used_by[child.me] = Amount()
            self._use(child.me, Amount(tasks=1), argument.control.recall)
        return False

    def send(self, source: AgentId, target: AgentId | None, message: Any) -> bool:
        target = target or parent_of(source)
        self.mail.setdefault((source, target), deque()).append(message)
        return target in self.agents and not self.agents[target].closed

    def _deliver(self, pair: tuple[AgentId, AgentId]) -> None:
        source, target = pair
        message = self.mail[pair].popleft()
        agent = self.agents.get(target)
        if agent is None:
            return  # it is cancelled before it starts
        if agent.closed and isinstance(message, HandoffNotice | Ask) and target != ME:
            above = parent_of(target)  # it goes to the nearest workflow above that is open
            self.send(source, above, message.under(key_below(above, source)))
            return
        agent.tell(message)

    def effect(self, me: AgentId, call: Call) -> Any:
        """What an activity finds or does, at once."""
        match call.order:
            case StoreHandoff() as order:
                return self._stored(order)
            case DescribeChildren() as order:
                known = order.known
                return [
                    self._found(me, key, known) for key in (*order.tasks, *order.planners) if self._is_lost(me, key)
                ]
            case MeasureSpent():
                return self.total
            case Note():
                return Ref(log=ME, seq=1)
            case EndWorker(order=order, status=status):
                return self._done(order, status)
            case WriteReport() as order:
                return order.unwritten("there is no disk")
        raise AssertionError(call.order)

    def _stored(self, order: StoreHandoff) -> StoredHandoff:
        used = self.used_by.get(order.me, Amount())
        return StoredHandoff(ref=Ref(log=order.me, seq=9), status=order.status, summary=order.why, spent=used)

    # Terminated agents, as `Handoffs.describe_children` deals with them

    def _is_lost(self, me: AgentId, key: ChildKey) -> bool:
        agent = self.agents.get(child_id(me, key))
        return agent is not None and agent.killed

    def _found(self, me: AgentId, key: ChildKey, known: tuple[ChildKey, ...]) -> FoundClosed:
        agent = child_id(me, key)
        mine = [path for path in known if path.startswith(f"{key}/")]
        orphans = [orphan for orphan in self._open_below(agent) if key_below(me, orphan) not in mine]
        apart = [*orphans, *(child_id(me, path) for path in mine)]
        return FoundClosed(
            child=key,
            status=HandoffStatus.FAILED,
            seq=9,
            spent=sum((self.used_by[each] for each in self._family(agent, apart)), Amount()),
            orphans=tuple(self._orphan(me, orphan) for orphan in orphans),
        )

    def _orphan(self, above: AgentId, agent: AgentId) -> Orphan:
        state = self.agents[agent].state
        held = state.grant.total if isinstance(state, TaskState) else state.children.account.granted
        kind = ChildKind.TASK if isinstance(state, TaskState) else ChildKind.PLANNER
        says = self.random.random() < 0.7  # a busy workflow does not answer in time
        return Orphan(key=key_below(above, agent), kind=kind, title="t", held=held if says else None)

    def _open_below(self, agent: AgentId) -> list[AgentId]:
        """The nearest open agents below a closed one."""
        found: list[AgentId] = []
        for each in [each for each in self.agents if parent_of(each) == agent]:
            found += [each] if self._is_open(each) else self._open_below(each)
        return found

    def _is_open(self, agent: AgentId) -> bool:
        """Whether its workflow is open: it closes once its handoff has arrived somewhere."""
        letters = (letter for (source, _), sent in self.mail.items() if source == agent for letter in sent)
        return not self.agents[agent].closed or any(isinstance(letter, HandoffNotice) for letter in letters)

    def _family(self, agent: AgentId, apart: list[AgentId]) -> list[AgentId]:
        return [
            each
            for each in self.used_by
            if f"{each}/".startswith(f"{agent}/") and not any(f"{each}/".startswith(f"{other}/") for other in apart)
        ]

    # What agents do

    @property
    def used(self) -> Amount:
        """All that was really used up."""
        return sum(self.used_by.values(), Amount())

    def _use(self, agent: AgentId, amount: Amount, recall: int) -> Amount:
        """A call is made by who has heard of so many recalls."""
        self.total += amount
        self.used_by[agent] += amount
        if recall < self.run.book.control.recall:
            self.allowed += amount
        return amount

    def _heard(self, agent: Agent, order: WorkOrder | PlanTurn) -> int:
        """The recalls that the agent obeys in this activity, and all planners above it in their answers: an agent may
        hear of a recall before its planner does, which still grants it more then.
        """
        if order.renewed != agent.state.control.renewed:
            return -1
        above: list[int] = [self.agents[each].state.control.recall for each in all_above(agent.me)[:-1]]
        mine: int = agent.state.control.recall
        return min([mine, *above])

    def _call(self) -> Amount:
        """The worst case of an agent's next call."""
        return Amount(tokens=CALL, micro_usd=CALL_USD).times(self.random.choice(GROWTH))

    def _cost(self, call: Amount) -> Amount:
        """What a call really costs."""
        share = self.random.choice((0.05, 0.5, 1))
        return Amount(tokens=max(1, int(call.tokens * share)), micro_usd=int(call.micro_usd * share))

    def _work(self, agent: Agent) -> None:
        """Go on with the activity that is under way."""
        assert agent.world.launched is not None
        call, _ = agent.world.launched
        match call.order:
            case WorkOrder() as order:
                self._work_on(agent, order)
            case PlanTurn() as order:
                agent.world.conclude(self._turn(agent, order))
            case RunCheck():
                agent.world.conclude(CheckVerdict(commit=COMMIT, passed=True, why="passed"))
            case Publish():
                agent.world.conclude(Published(trunk=COMMIT, branch="b"))
            case _:
                raise AssertionError(call.order)

    def _work_on(self, agent: Agent, order: WorkOrder) -> None:
        """One call of a worker, or its end."""
        used, control = self.used_by[agent.me], self.run.book.control
        call = self._call()
        need = missing(used, call, order.granted, dollars=True)
        if agent.world.stopping:
            agent.world.conclude(self._done(order, HandoffStatus.CANCELLED))
        elif control.hold_on(agent.me) is not None or control.renewed > order.renewed:
            why = "held" if control.hold_on(agent.me) is not None else "renewed"
            told = control if self.random.random() < 0.8 else None
            agent.world.conclude(WorkerSuspended(why=why, spent=used, control=told))
        elif used.tokens >= self.appetite[agent.me]:
            agent.world.conclude(self._done(order, self.random.choice(ENDS)))
        elif not need:
            # Who gets no more gives nothing back either: it is a part of one call.
            self._use(agent.me, self._cost(call), self._heard(agent, order) if order.more else -1)
        elif not order.more:
            agent.world.conclude(self._done(order, HandoffStatus.PARTIAL))
        else:
            agent.world.conclude(WorkerSuspended(why="grant", spent=used, need=need))

    def _done(self, order: WorkOrder, status: HandoffStatus) -> WorkerDone:
        return WorkerDone(ref=Ref(log=order.me, seq=9), status=status, summary="", spent=self.used_by[order.me])

    def _turn(self, agent: Agent, order: PlanTurn) -> TurnOutcome:
        """The turn ends as the world likes, within what it was told it may do."""
        state = agent.state
        used, call = self.used_by[agent.me], self._call()
        recall = self._heard(agent, order)
        calls = self.random.choice((1, 1, 3, 30))  # as many as a turn may make, while children are lent to
        while calls and not missing(used, call, order.allowance, dollars=True):
            calls, used, call = calls - 1, used + self._use(agent.me, self._cost(call), recall), self._call()
        if self.run.book.control.hold_on(agent.me) is not None and self.random.random() < 0.7:
            return outcome(state, Decision.SUSPENDED, own=used, call=call)
        if calls:
            return outcome(state, Decision.OUT_OF_BUDGET, own=used, need=call, call=call)
        return self._decision(order, state).model_copy(update={"own": used, "call": call})

    def _decision(self, order: PlanTurn, state: PlannerState) -> TurnOutcome:
        asked = self._spawn(order) if self.fuel > 0 else []
        self.fuel -= len(asked)
        out = [key for key, child in state.children.open.items() if not child.cancelled]
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

    # What must hold at any moment

    def picture(self) -> str:
        """How everything stands, for a failure."""
        lines = [f"{a.me} {a.world.until} {a.world.launched} {a.state!r}" for a in self.agents.values() if not a.closed]
        return "\n".join([f"{self.now}", *lines])

    def check(self, agent: Agent) -> None:
        """The books of one planner add up."""
        account, children = agent.state.children.account, agent.state.children.open
        granted = sum((child.granted or Amount() for child in children.values()), Amount())
        assert account.delegated == granted
        # A turn uses what was free when it began; what came back to the parent meanwhile is not a part of that.
        # Of an orphan that did not say what it holds, the most is on the books.
        unsure = sum((child.granted or Amount() for child in children.values() if child.unsure), Amount())
        settled = not any(self._is_lost(agent.me, key) for key in children)
        assert not settled or (account.balance + unsure).covers(Amount()), f"overdrawn: {account}"


def _carried_planner(argument: Any) -> PlannerState:
    read = PlannerState.model_validate_json(argument.model_dump_json(by_alias=True))
    assert read == argument
    return read


def _carried_run(argument: Any) -> RunState:
    return RunState.model_validate(argument[run.CONTINUED])


def _never(argument: Any) -> Any:
    raise AssertionError(argument)
