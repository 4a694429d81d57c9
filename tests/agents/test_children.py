"""A planner's children as its log knows them: overlapping paths, and what an abandoned past leaves behind."""

import pytest

from headway.agents.planner.path_index import overlap
from headway.domain.handoff import HandoffNotice, HandoffStatus
from headway.domain.ids import ChildKey, Oid
from headway.domain.planner_turn import ChildKind, Decision, Spawned, TurnOutcome
from headway.domain.state.budget import Amount
from headway.eventlog.events.conversation import Message
from headway.eventlog.events.envelope import AnyEvent
from headway.eventlog.events.life import TurnEnd, TurnStart
from headway.eventlog.views.children import Children, Past
from tests.support import events
from tests.support.events import event


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        (["src/a.py"], ["src/a.py"], ["src/a.py"]),
        (["src/a.py"], ["src"], ["src/a.py"]),
        (["./src/"], ["src/a.py"], ["./src/"]),
        (["src/a.py"], ["src/a"], []),
        (["srcs/a.py"], ["src"], []),
        (["a", "b"], ["b/c", "d"], ["b"]),
        (["."], ["src"], []),
    ],
)
def test_paths_overlap_when_one_holds_the_other(ours: list[str], theirs: list[str], found: list[str]) -> None:
    assert overlap(ours, theirs) == found


def spawn(seq: int, *keys: str) -> AnyEvent:
    return event(events.spawn(*keys, titles=tuple(f"All of {key}" for key in keys), paths=("x",)), seq)


def child(key: str) -> Spawned:
    return Spawned(key=ChildKey(key), kind=ChildKind.TASK, title=key, seq=1)


def start(seq: int, *recovered: str) -> AnyEvent:
    return event(TurnStart(key="k", pinned=Oid("0" * 40), recovered=tuple(map(child, recovered))), seq)


def end(seq: int, *recovered: str) -> AnyEvent:
    outcome = TurnOutcome(decision=Decision.WAIT, seq=0, own=Amount(), recovered=tuple(map(child, recovered)))
    return event(TurnEnd(key="k", outcome=outcome), seq)


def told(seq: int, *keys: str) -> AnyEvent:
    notices = (HandoffNotice(child=ChildKey(key), status=HandoffStatus.DONE, seq=0) for key in keys)
    return event(Message(text="", inbox=tuple(notices)), seq)


def children_of(physical: list[AnyEvent], line: list[AnyEvent]) -> Children:
    past = Past()
    children = Children(past)
    for each in physical:
        past.apply(each)
    for each in line:
        children.apply(each)
    return children


def test_the_text_of_a_child_lies_where_its_answer_does() -> None:
    line = [spawn(7, "1.0-00000000", "1.1-00000000")]
    assert [(a.spawned.seq, a.spawned.item, a.title, a.at) for a in children_of(line, line).asked.values()] == [
        (7, 0, "All of 1.0-00000000", 7.0),
        (7, 1, "All of 1.1-00000000", 7.0),
    ]


def test_what_was_told_is_not_outstanding_even_when_it_is_asked_for_later() -> None:
    line = [told(0, "1.0-00000000"), spawn(1, "1.0-00000000", "1.1-00000000"), spawn(2, "2.0-00000000")]
    assert list(children_of(line, line).outstanding) == ["1.1-00000000", "2.0-00000000"]


def test_an_abandoned_past_is_taken_over_once() -> None:
    first, abandoned = spawn(1, "1.0-00000000"), spawn(2, "1.1-00000000")
    line = [first]
    physical = [first, abandoned]
    assert [spawned.key for spawned in children_of(physical, line).to_recover] == ["1.1-00000000"]
    line += [start(4, "1.1-00000000"), end(5, "1.1-00000000")]
    physical += line[-2:]
    children = children_of(physical, line)
    assert children.to_recover == []
    assert set(children.recovered) == {ChildKey("1.1-00000000")}
    assert list(children.outstanding) == ["1.0-00000000", "1.1-00000000"]


def test_what_a_turn_was_told_of_and_did_not_hand_over_is_left_for_the_next() -> None:
    line = [start(2, "1.0-00000000", "1.1-00000000"), end(3, "1.1-00000000")]
    physical = [spawn(0, "1.0-00000000", "1.1-00000000"), *line]
    assert [spawned.key for spawned in children_of(physical, line).to_recover] == ["1.0-00000000"]


def test_what_handed_off_in_the_abandoned_past_is_not_taken_over() -> None:
    physical = [spawn(0, "1.0-00000000", "1.1-00000000"), told(1, "1.0-00000000")]
    assert [spawned.key for spawned in children_of(physical, []).to_recover] == ["1.1-00000000"]
