"""Decisions that are booked at once, as the interpreter does, one kind at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from headway.domain.commands import Command, Launch, Signal, SignalAbove
from headway.domain.decisions import planner_budget, planner_turn, run
from headway.domain.decisions.lending import Lending
from headway.domain.decisions.planner import by_time
from headway.domain.ids import ChildKey
from headway.domain.messages import Grant, GrantVersion
from headway.domain.planner_turn import Final, PlanTurn
from headway.domain.state.budget import Amount
from headway.domain.state.children import Children
from headway.domain.state.consequences import GivesOut
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState


@dataclass(frozen=True)
class Answer:
    """What a child that asked is told."""

    child: ChildKey
    total: Amount
    final: bool = False
    grant_version: GrantVersion = (0, 0)


def to_start(children: Children) -> tuple[ChildKey, ...]:
    """Start what can start."""
    starts = Lending(children).starts()
    for key, granted in starts.items():
        children.start(key, granted)
    return tuple(starts)


def answers(children: Children, *, but: ChildKey | None = None) -> tuple[Answer, ...]:
    """Answer what can be answered."""
    told = Lending(children, but=but).answers()
    for key, grant in told.items():
        children.answer(key, grant)
    return tuple(Answer(key, grant.total, grant.final, grant.grant_version) for key, grant in told.items())


def tick(state: PlannerState, now: float) -> None:
    """Book what time alone brings."""
    _book(state, by_time(state, now), now)


def next_turn(state: PlannerState, run_id: str = "run", final: Final | None = None) -> PlanTurn:
    """Ask for the next turn; it is taken by hand."""
    state.present.run_id = run_id
    order = planner_turn.next_turn(state, final)
    _book(state, [Launch(order, "turn")], 0.0)
    state.present.turn = None
    return order


def give_back(state: PlannerState) -> bool:
    """Give back what a lowered limit asks for, if there is something."""
    return _gives(state, planner_budget.recalled(state))


def give_spare(state: PlannerState) -> bool:
    """Give back what the parent asks for, if there is something."""
    return _gives(state, planner_budget.spare(state))


def to_call_back(state: PlannerState) -> tuple[tuple[ChildKey, ...], Amount]:
    """Call sub-planners back."""
    keys, lack = planner_budget.to_call_back(state)
    for key in keys:
        state.children.open[key].called = True
    return keys, lack


def lend_more(state: RunState, now: float) -> Grant | None:
    """What the root planner is told, if it is told anything."""
    commands = run.root_grant(state, now)
    _book(state, commands, now)
    return next((c.message for c in commands if isinstance(c, Signal) and isinstance(c.message, Grant)), None)


def lend_to_adopted(state: RunState, now: float) -> tuple[Answer, ...]:
    """What adopted agents that asked are told."""
    assert state.children is not None
    if state.gives_out_at(now):
        state._record(GivesOut(), now)
    return answers(state.children, but=state.root_key) if state.adopted else ()


def _gives(state: PlannerState, amount: Amount) -> bool:
    asks: list[SignalAbove] = planner_budget.ask_parent(state, 0.0, amount) if amount else []
    _book(state, asks, 0.0)
    return bool(asks)


def _book(state: PlannerState | RunState, commands: Sequence[Command], now: float) -> None:
    for command in commands:
        state.begin(command, now)
