"""Made-up planners, children and handoffs for the domain's tests."""

from pydantic_core import to_json

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, Incarnation, Oid, RunName, child_key, root_planner_id
from headway.domain.messages import Ask, GrantVersion
from headway.domain.planner_turn import ChildKind, Decision, Finish, Spawned, TurnOutcome
from headway.domain.refs import Ref
from headway.domain.run import PreparedRun, RunContext
from headway.domain.state.budget import UNLIMITED, Amount, Sizes
from headway.domain.state.children import Children, new_children
from headway.domain.state.planner import PlannerState
from tests.domain.booked import next_turn

RUN = RunName("demo")
INCARNATION = Incarnation("0b7a1f9e-8f4f-4a7e-9a55-3f1f6f7f2b11")
ROOT = root_planner_id(RUN, INCARNATION)
COMMIT = Oid("c" * 40)
NOW = 1_760_000_000.0
CALL = 1_000
TASK_TOKENS = 50_000
TASK = Amount(tokens=TASK_TOKENS, tasks=1, micro_usd=UNLIMITED)
SIZES = Sizes(task_call=Amount(tokens=CALL), planner_call=Amount(tokens=CALL), root_call=Amount(tokens=CALL), task=TASK)
SLICE = 3_000
"""The first slice of a task, or of a sub-planner, with calls of this size."""


def context(**changes: object) -> RunContext:
    """The facts of a small run."""
    facts = RunContext(
        run=RUN,
        incarnation=INCARNATION,
        spec=Ref(log=AgentId(RUN), seq=1),
        base=COMMIT,
        sizes=SIZES,
    )
    return facts.model_copy(update=changes)


def children(tokens: int = 1_000_000, tasks: int = 100) -> Children:
    """The children of a planner that was granted so much."""
    return new_children(Amount(tokens=tokens, tasks=tasks), SIZES, SIZES.root_call)


def planner(tokens: int = 1_000_000, tasks: int = 100, **changes: object) -> PlannerState:
    """A root planner before its first turn."""
    state = PlannerState(
        context=context(),
        me=ROOT,
        title="The whole run",
        scope=Ref(log=AgentId(RUN), seq=0),
        depth=1,
        children=children(tokens, tasks),
    )
    return state.model_copy(update=changes)


def prepared(tokens: int = 1_000_000, tasks: int = 100) -> PreparedRun:
    """What a run starts with."""
    return PreparedRun(
        context=context(),
        scope=Ref(log=AgentId(RUN), seq=0),
        title="Tidy the parser",
        budget=Amount(tokens=tokens, tasks=tasks),
        repo="/srv/repo",
        level="plain",
    )


def spawned(
    turn: int, index: int, what: str = "", *, kind: ChildKind = ChildKind.TASK, priority: int = 0, seq: int = 10
) -> Spawned:
    """A child that a turn asks for. Another `what` is another decision at the same place."""
    key = child_key(turn, index, INCARNATION, f"{kind}{what}")
    title = what or f"task {turn}.{index}"
    return Spawned(key=key, kind=kind, title=title, seq=seq, item=index, priority=priority)


def notice(
    child: ChildKey, status: HandoffStatus = HandoffStatus.DONE, tokens: int = 700, tasks: int = 1
) -> HandoffNotice:
    """The handoff of a child."""
    return HandoffNotice(child=child, status=status, seq=40, spent=Amount(tokens=tokens, tasks=tasks))


def an_ask(
    child: ChildKey, granted: Amount, need: Amount, *, version: GrantVersion = (0, 0), stuck: bool = True
) -> Ask:
    """What a child that holds `granted` tells its parent."""
    return Ask(child=child, granted=granted, need=need, grant_version=version, stuck=stuck)


def outcome(state: PlannerState, decision: Decision, *asked: Spawned, **more: object) -> TurnOutcome:
    """How a planner's next turn ends."""
    told = TurnOutcome(
        decision=decision, seq=state.seq + 10, own=state.children.account.own, spawned=asked, pinned=COMMIT
    )
    return told.model_copy(update=more)


def finishing(state: PlannerState, status: HandoffStatus = HandoffStatus.DONE) -> TurnOutcome:
    """A turn that ends with `finish`."""
    said = Finish(status=status, seq=state.seq + 9, summary="That is it.")
    return outcome(state, Decision.FINISH, finish=said)


def take(state: PlannerState, told: TurnOutcome, now: float = NOW) -> tuple[ChildKey, ...]:
    """Take the next turn with this outcome."""
    return state.take_turn(next_turn(state, "run-1"), told, now)


def wire(model: object) -> int:
    """Bytes of a value as Temporal carries it."""
    return len(to_json(model))
