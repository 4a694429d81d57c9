"""Agents below a closed planner are adopted: each counts once and holds what it held, whatever comes in which order."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import AgentId, ChildKey, all_above, child_id, is_adopted, key_below
from headway.domain.messages import Ask, FoundClosed, Orphan
from headway.domain.planner_turn import ChildKind
from headway.domain.state.budget import Amount
from headway.domain.state.run import RunState
from tests.domain.booked import answers, lend_to_adopted, to_start
from tests.domain.builders import NOW, ROOT, RUN, planner, prepared, spawned

CLOSED = spawned(1, 0, "the parser", kind=ChildKind.PLANNER)
HELD = 10_000


@dataclass
class Agent:
    """An agent below the closed planner: it used up `first` before the audit looks, `more` afterwards."""

    key: ChildKey
    first: int
    more: int
    done: bool = False

    def handoff(self) -> HandoffNotice:
        spent = Amount(tokens=self.first + self.more, tasks=1)
        return HandoffNotice(child=self.key, status=HandoffStatus.DONE, seq=1, spent=spent)


AGENTS = st.lists(st.tuples(st.integers(0, HELD // 2), st.integers(0, HELD // 2)), max_size=6)
MOMENTS = st.lists(st.sampled_from(["before", "meanwhile", "after"]), min_size=6, max_size=6)


def agents_of(parts: list[tuple[int, int]]) -> list[Agent]:
    return [Agent(ChildKey(f"{CLOSED.key}/1.{n}-0000000{n}"), *part) for n, part in enumerate(parts)]


def audit(agents: list[Agent], own: int, known: tuple[ChildKey, ...]) -> FoundClosed:
    """What the activity finds, in the words of `Handoffs.describe_children`."""
    fresh = [agent for agent in agents if agent.key not in known]
    told_nobody = [agent for agent in fresh if agent.done]
    spent = own + sum(agent.first + agent.more for agent in told_nobody)
    return FoundClosed(
        child=CLOSED.key,
        status=HandoffStatus.FAILED,
        seq=1,
        spent=Amount(tokens=spent, tasks=len(told_nobody)),
        orphans=tuple(
            Orphan(key=agent.key, kind=ChildKind.TASK, title="t", held=Amount(tokens=HELD, tasks=1))
            for agent in fresh
            if not agent.done
        ),
    )


@given(AGENTS, MOMENTS, st.integers(0, 20_000))
def test_every_agent_below_a_closed_planner_counts_once(
    parts: list[tuple[int, int]], moments: list[str], own: int
) -> None:
    state, agents = planner(), agents_of(parts)
    state.children.ask_for(CLOSED)
    lent = Amount(tokens=100_000, tasks=10)
    state.children.open[CLOSED.key].granted = state.children.account.delegated = lent
    granted = state.children.account.granted

    def hand_off(moment: str) -> None:
        for agent, at in zip(agents, moments, strict=False):
            if at == moment and not agent.done:
                agent.done = True
                state.take_handoff(agent.handoff(), NOW)
                assert granted.covers(state.children.account.spent + state.children.account.delegated)

    hand_off("before")
    known = state.children.known_below((CLOSED.key,))
    found = audit(agents, own, known)
    # An agent that ends while the audit looks may be in its figures or not: both orders happen.
    hand_off("meanwhile")
    before = state.children.account.model_copy()
    if (adopted := state.take_closed(found, known, NOW)) is None:
        assert any(at == "meanwhile" for at in moments[: len(agents)])
        assert state.children.account == before, "an audit that does not count changes nothing"
        known = state.children.known_below((CLOSED.key,))
        adopted = state.take_closed(audit(agents, own, known), known, NOW)
    assert adopted is not None
    assert {*adopted} == {agent.key for agent in agents if not agent.done}
    assert granted.covers(state.children.account.spent + state.children.account.delegated)
    hand_off("after")
    assert state.children.open == {}
    assert state.children.account.delegated == Amount()
    total = own + sum(agent.first + agent.more for agent in agents)
    assert state.children.account.below == Amount(tokens=total, tasks=len(agents))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_key_under_any_planner_above_names_the_same_agent(turns: list[int]) -> None:
    agent = ROOT
    for turn in turns:
        agent = child_id(agent, ChildKey(f"{turn}.0-00000000"))
    above = all_above(agent)
    assert [child_id(each, key_below(each, agent)) for each in above] == [agent] * len(above)
    assert (above[-1], above[0]) == (AgentId(RUN), AgentId(agent.rpartition("/")[0]))
    assert [is_adopted(key_below(each, agent)) for each in above] == [False, *[True] * (len(above) - 1)]


def test_an_agent_that_asks_before_it_is_adopted_is_answered_then() -> None:
    state = planner()
    state.children.ask_for(CLOSED)
    to_start(state.children)
    key = ChildKey(f"{CLOSED.key}/1.0-00000000")
    state.children.take_ask(Ask(child=key, granted=Amount(tokens=HELD, tasks=1), need=Amount(tokens=1_000)))
    assert [answer.child for answer in answers(state.children)] == []
    state.take_closed(audit([Agent(key, 1, 1)], 0, ()), (), NOW)
    [answer] = answers(state.children)
    assert (answer.child, answer.total.tokens > HELD) == (key, True)


def test_an_agent_that_no_audit_saw_is_adopted_when_it_asks() -> None:
    state = planner()
    state.children.ask_for(CLOSED)
    to_start(state.children)
    state.take_closed(audit([], 0, ()), (), NOW)
    key = ChildKey(f"{CLOSED.key}/1.0-00000000")
    state.children.take_ask(Ask(child=key, granted=Amount(tokens=HELD, tasks=1), need=Amount(tokens=1_000)))
    assert [answer.child for answer in answers(state.children)] == [key]


def closed_root(count: int) -> tuple[RunState, ChildKey, list[ChildKey]]:
    """A run whose root planner was found closed, with agents below it."""
    run = RunState()
    root = run.open(prepared(), NOW)
    keys = [ChildKey(f"{root}/1.{n}-00000000") for n in range(count)]
    orphans = tuple(Orphan(key=key, kind=ChildKind.TASK, title="t", held=Amount(tokens=HELD, tasks=1)) for key in keys)
    spent = Amount(tokens=500)
    run.take_closed(FoundClosed(child=root, status=HandoffStatus.FAILED, seq=1, spent=spent, orphans=orphans), ())
    run.park(NOW)
    return run, root, keys


def one(key: ChildKey, tokens: int = 700) -> HandoffNotice:
    return HandoffNotice(child=key, status=HandoffStatus.DONE, seq=1, spent=Amount(tokens=tokens, tasks=1))


def test_a_run_ends_after_what_it_adopted_and_bills_it() -> None:
    run, _, keys = closed_root(2)
    assert run.children is not None
    root = run.begin_again()
    run.take_handoff(one(root, 1_000))
    assert run.ended(NOW) is None
    for key in keys:
        run.take_handoff(one(key))
    ended = run.ended(NOW)
    assert ended is not None
    assert ended.child == root
    assert run.children.account.spent == Amount(tokens=500 + 1_000 + 2 * 700, tasks=3)
    assert run.children.account.delegated == Amount()


def test_what_a_run_adopted_gets_more_once_no_root_planner_holds_everything() -> None:
    run, _, keys = closed_root(1)
    assert run.children is not None
    root = run.begin_again()
    ask = Ask(child=keys[0], granted=Amount(tokens=HELD, tasks=1), need=Amount(tokens=1_000))
    run.children.take_ask(ask)
    assert lend_to_adopted(run, NOW) == ()
    run.take_handoff(one(root, 1_000))
    [answer] = lend_to_adopted(run, NOW)
    assert (answer.child, answer.total.tokens > HELD) == (keys[0], True)


def test_a_root_planner_that_was_reset_takes_back_what_was_adopted_below_it() -> None:
    run, root, keys = closed_root(2)
    assert run.children is not None
    run.take_handoff(one(keys[0]))
    run.hear_of(root)
    assert list(run.children.open) == [root]
    assert run.children.account.spent == Amount()
    run.take_handoff(one(root, 500 + 700 + 700))
    assert run.children.account.spent == Amount(tokens=1_900, tasks=1)


def test_an_agent_of_another_run_of_the_same_name_counts_nothing() -> None:
    run = RunState()
    run.open(prepared(), NOW)
    assert run.children is not None
    for key in ("root-00000000", "root-00000000/1.0-00000000"):
        run.take_handoff(one(ChildKey(key)))
    assert (run.root, run.children.account.spent, run.children.foreign) == (None, Amount(), [])


@given(st.lists(st.tuples(st.integers(0, HELD), st.booleans()), min_size=1, max_size=6))
def test_what_an_orphan_may_hold_is_not_lent_again(orphans: list[tuple[int, bool]]) -> None:
    """A busy workflow does not say in time what it holds: until it does, it may be all that its planner held."""
    state = planner()
    state.children.ask_for(CLOSED)
    lent = Amount(tokens=sum(held for held, _ in orphans) + 5, tasks=10)
    state.children.open[CLOSED.key].granted = state.children.account.delegated = lent
    agents = agents_of([(0, 0)] * len(orphans))
    found = FoundClosed(
        child=CLOSED.key,
        status=HandoffStatus.FAILED,
        seq=1,
        spent=Amount(tokens=5),
        orphans=tuple(
            Orphan(key=agent.key, kind=ChildKind.TASK, title="t", held=Amount(tokens=held) if says else None)
            for agent, (held, says) in zip(agents, orphans, strict=True)
        ),
    )
    assert state.take_closed(found, (), NOW) is not None
    still_held = Amount(tokens=sum(held for held, _ in orphans))
    account = state.children.account
    assert (account.granted - account.spent - still_held).covers(account.lendable)
    for agent, (held, says) in zip(agents, orphans, strict=True):
        assert says or state.children.open[agent.key].granted == lent
        state.children.take_ask(Ask(child=agent.key, granted=Amount(tokens=held), need=Amount(tokens=1)))
    assert account.delegated == still_held, "each has said by now what it holds"
