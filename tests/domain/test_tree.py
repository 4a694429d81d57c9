import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.details import planner_details
from headway.domain.figures import AgentFigures, Figures, RunFigures, with_totals
from headway.domain.handoff import HandoffStatus
from headway.domain.ids import AgentId, ChildKey, child_id, key_of
from headway.domain.planner_tree import NODES_PER_PLANNER, planner_node
from headway.domain.planner_turn import ChildKind, Decision
from headway.domain.state.budget import UNLIMITED, Account, Amount, Bill
from headway.domain.state.planner import PlannerState
from headway.domain.task import in_history
from headway.domain.tree import DIGEST_BYTES, TreeNode, filled, within
from tests.domain.booked import to_start
from tests.domain.builders import NOW, ROOT, RUN, SLICE, an_ask, notice, outcome, planner, spawned, take, wire


def busy(count: int, kind: ChildKind = ChildKind.TASK) -> tuple[PlannerState, list[ChildKey]]:
    """A planner with so many children at work."""
    state = planner(tokens=10**9, tasks=1000)
    asked = [spawned(1, index, kind=kind) for index in range(count)]
    take(state, outcome(state, Decision.WAIT, *asked))
    to_start(state.children)
    return state, [child.key for child in asked]


def test_a_planner_shows_what_is_open_first_and_then_what_closed_last() -> None:
    state, keys = busy(4)
    for key, status in ((keys[0], HandoffStatus.DONE), (keys[2], HandoffStatus.FAILED)):
        state.take_handoff(notice(key, status), NOW)
    node = planner_node(state, "waits", {})
    assert [(child.key, child.state) for child in node.children] == [
        (keys[1], "open"),
        (keys[3], "open"),
        (keys[2], "failed"),
        (keys[0], "done"),
    ]
    assert (node.id, node.key, node.state, node.more) == (ROOT, key_of(ROOT), "waits", 0)
    assert node.counts == {"done": 1, "failed": 1, "open": 2}
    assert node.spent == Bill(tokens=1400, tasks=2, usd=None)


def test_a_child_shows_how_it_stands() -> None:
    state = planner(tokens=3 * SLICE)
    asked = [spawned(1, index) for index in range(3)]
    take(state, outcome(state, Decision.WAIT, *asked))
    first, second = to_start(state.children)
    state.children.take_ask(an_ask(second, Amount(tokens=SLICE, tasks=1), Amount(tokens=10)))
    nodes = planner_node(state, "waits", {}).children
    third, waits = asked[2].key, "waits for budget"
    assert {node.key: node.state for node in nodes} == {first: "open", second: waits, third: waits}
    assert {node.key: node.why for node in nodes} == {
        first: "",
        second: "needs 10 tokens, its planner has 0 tokens free",
        third: "needs 3,000 tokens, its planner has 0 tokens free",
    }
    shown = f"`{third}` task 1.2 (waits for budget: needs 3,000 tokens, its planner has 0 tokens free)"
    assert shown in planner_details(state, "waits")


def test_a_planner_without_a_limit_in_dollars_shows_no_dollars() -> None:
    """It was shown as "unpriced of $65,610,000.00, $5,904,900.00 lent": the number that stands for no limit, shared."""
    state = planner()
    shown = {}
    for granted, bounds in ((UNLIMITED // 9, False), (20_000_000, True)):
        account = Account(granted=Amount(tokens=10, tasks=1, micro_usd=granted))
        children = state.children.model_copy(update={"account": account})
        context = state.context.model_copy(update={"bounds_dollars": bounds})
        shown[bounds] = planner_details(state.model_copy(update={"children": children, "context": context}), "waits")
    assert "$" not in shown[False]
    assert " of $20.00, $0.00 lent" in shown[True]


def test_a_sub_planner_that_waits_for_budget_is_shown_so_whatever_it_told_last() -> None:
    state, asked = planner(tokens=3 * SLICE), spawned(1, 0, kind=ChildKind.PLANNER)
    take(state, outcome(state, Decision.WAIT, asked))
    (key,) = to_start(state.children)
    held = state.children.open[key].granted
    assert held is not None
    told = TreeNode(id=child_id(ROOT, key), key=key, kind="planner", title="p", state="waits")
    assert planner_node(state, "waits", {key: told}).children == (told,)
    state.children.take_ask(an_ask(key, held, Amount(tokens=10**12)))
    (shown,) = planner_node(state, "waits", {key: told}).children
    assert shown.state == "waits for budget"
    assert shown.why == "needs 6,000 tokens, its planner has 3,000 tokens free"


def test_what_a_sub_planner_told_is_shown_below_it_and_its_end_beside() -> None:
    state, (key,) = busy(1, ChildKind.PLANNER)
    leaf = TreeNode(id=AgentId("x"), key=ChildKey("1.0-00000000"), kind="task", title="leaf", state="open")
    told = TreeNode(id=child_id(ROOT, key), key=key, kind="planner", title="p", state="thinks", children=(leaf,))
    assert planner_node(state, "waits", {key: told}).children == (told,)
    state.take_handoff(notice(key, HandoffStatus.PARTIAL), NOW)
    assert planner_node(state, "waits", {key: told}).children == (told.model_copy(update={"state": "partial"}),)


def test_a_crowd_is_counted_and_not_named() -> None:
    state, keys = busy(NODES_PER_PLANNER + 20)
    for key in keys[:50]:
        state.take_handoff(notice(key), NOW)
    node = planner_node(state, "waits", {})
    assert len(node.children) == NODES_PER_PLANNER
    assert node.more == 20
    assert node.counts == {"done": 50, "open": 30}


titles = st.builds(str.__mul__, st.sampled_from('x改🚀"'), st.integers(1, 60)).map(in_history)
leaves = st.builds(
    TreeNode,
    id=st.just(AgentId(f"{'R' * 61}/root-1a2b3c4d/9999.99-1a2b3c4d/9999.99-1a2b3c4d")),
    key=st.just(ChildKey("9999.99-1a2b3c4d")),
    kind=st.just("task"),
    title=titles,
    state=st.just("waits for budget"),
    more=st.integers(0, 9),
)


def node_of(children: list[TreeNode]) -> TreeNode:
    key = ChildKey("1.0-1a2b3c4d")
    return TreeNode(id=ROOT, key=key, kind="planner", title="p", state="waits", children=tuple(children))


members = leaves | st.builds(node_of, st.lists(leaves, max_size=70))
crowds = st.lists(leaves, min_size=25, max_size=NODES_PER_PLANNER)
nodes = st.builds(node_of, st.lists(members, max_size=NODES_PER_PLANNER) | crowds)


def counted(node: TreeNode) -> int:
    """Agents below a node, named or not."""
    return node.more + sum(1 + counted(child) for child in node.children)


@settings(max_examples=50, deadline=None)
@given(node=nodes)
def test_a_digest_is_cut_to_size_in_every_language(node: TreeNode) -> None:
    digest = within(node)
    assert wire(digest) <= DIGEST_BYTES
    assert within(digest) == digest
    assert digest == node or wire(node) > DIGEST_BYTES
    assert [child.key for child in digest.children] == [child.key for child in node.children][: len(digest.children)]
    assert len(digest.children) + digest.more == len(node.children) + node.more


@given(inner=st.lists(leaves, max_size=3))
def test_a_small_tree_goes_up_whole(inner: list[TreeNode]) -> None:
    node = node_of([node_of(inner)])
    assert within(node) == node


def test_grandchildren_are_counted_before_a_child_is_left_out() -> None:
    state, keys = busy(20, ChildKind.PLANNER)
    inner = planner_node(busy(30)[0], "thinks", {})
    below = {key: inner.model_copy(update={"id": child_id(ROOT, key), "key": key}) for key in keys}
    node = planner_node(state, "waits", below)
    digest = within(node)
    assert [(child.key, child.more, child.children) for child in digest.children] == [(key, 30, ()) for key in keys]
    assert counted(digest) == counted(node)


@pytest.mark.parametrize("limit", [0, 100])
def test_a_digest_without_room_names_the_planner_alone(limit: int) -> None:
    node = planner_node(busy(3)[0], "waits", {})
    assert (within(node, limit).children, within(node, limit).more) == ((), 3)


def test_a_planner_counts_what_its_open_sub_planners_told_too() -> None:
    state, (key,) = busy(1, ChildKind.PLANNER)
    told = TreeNode(
        id=child_id(ROOT, key), key=key, kind="planner", title="p", state="waits", spent=Bill(tokens=500, tasks=2)
    )
    before = planner_node(state, "waits", {}).spent.tokens
    assert planner_node(state, "waits", {key: told}).spent.tokens == before + 500
    state.take_handoff(notice(key, tokens=700, tasks=2), 0.0)
    assert planner_node(state, "waits", {key: told}).spent.tokens == before + 700, "counted once when it has handed off"


def test_each_agent_of_a_tree_shows_its_own_sum_by_the_logs() -> None:
    state, (key,) = busy(1)
    me = child_id(ROOT, key)
    own = {
        agent: AgentFigures(agent=agent, role="worker", own=Figures(spent=Amount(tokens=tokens), commits=1))
        for agent, tokens in ((ROOT, 5), (me, 70))
    }
    shown = filled(planner_node(state, "waits", {}), RunFigures(run=RUN, at=0.0, agents=with_totals(own)))
    assert (shown.spent.tokens, shown.commits) == (75, 2)
    assert (shown.children[0].spent.tokens, shown.children[0].commits) == (70, 1)
