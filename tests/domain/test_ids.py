import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headway.domain.ids import (
    CHILD_KEY,
    AgentId,
    ChildKey,
    Incarnation,
    RunName,
    child_id,
    child_key,
    key_of,
    parent_of,
    place_of,
    root_planner_id,
    run_name_problem,
    run_of,
)

ONE, OTHER = Incarnation("0b7a1f9e"), Incarnation("5c1d20aa")
RUN_ALPHABET = "ABZabz019._-"

run_names = (
    st.text(RUN_ALPHABET, min_size=1, max_size=61)
    .map(RunName)
    .filter(lambda name: name[0].isalnum() and run_name_problem(name) is None)
)
places = st.tuples(st.integers(1, 10**6), st.integers(0, 99))


def test_the_root_planner_is_named_by_its_run_and_incarnation() -> None:
    assert root_planner_id(RunName("demo"), ONE) == "demo/root-0e15b2c1", "in every process, and after every upgrade"
    assert root_planner_id(RunName("demo"), ONE) != root_planner_id(RunName("demo"), OTHER)
    assert parent_of(root_planner_id(RunName("demo"), ONE)) == "demo"


def test_a_retry_of_a_turn_finds_the_same_child() -> None:
    assert child_key(3, 0, ONE, "fix the parser") == "3.0-e54def06", "in every process, and after every upgrade"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(child_key(3, 0, ONE, "fix the lexer"), id="another decision"),
        pytest.param(child_key(3, 0, OTHER, "fix the parser"), id="another run of the same name"),
        pytest.param(child_key(3, 1, ONE, "fix the parser"), id="the same text once more"),
        pytest.param(child_key(4, 0, ONE, "fix the parser"), id="a later turn"),
    ],
)
def test_a_stranger_is_never_adopted(other: ChildKey) -> None:
    assert other != child_key(3, 0, ONE, "fix the parser")


@given(run=run_names, path=st.lists(st.tuples(places, st.text()), min_size=1, max_size=5))
def test_an_id_tells_its_parent_its_key_its_place_and_its_run(
    run: RunName, path: list[tuple[tuple[int, int], str]]
) -> None:
    agent = root_planner_id(run, ONE)
    for place, decision in path:
        parent, key = agent, child_key(*place, ONE, decision)
        agent = child_id(parent, key)
        assert (parent_of(agent), key_of(agent), place_of(key), run_of(agent)) == (parent, key, place, run)


@pytest.mark.parametrize(
    "key", ["root-1a2b3c4d", "1.2", "1.2-1a2b3c4", "1.2-1A2B3C4D", "x1.2-1a2b3c4d", "1.2-1a2b3c4d\n"]
)
def test_a_key_of_another_form_has_no_place(key: str) -> None:
    assert CHILD_KEY.fullmatch(key) is None
    assert place_of(ChildKey(key)) is None


@pytest.mark.parametrize("name", ["a", "0", "demo", "Demo-2.1_x", "a" * 61, "a-", "a_", "lock"])
def test_a_run_may_be_called(name: str) -> None:
    assert run_name_problem(name) is None


CHARACTERS = "must be 1 to 61 letters, digits, dots, underscores or dashes, and start with a letter or a digit"
GIT = "must not contain '..' and must not end in '.' or '.lock', because git refuses such a branch name"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        *(
            (name, CHARACTERS)
            for name in ("", "a" * 62, "-a", ".a", "_a", "a b", "a/b", "ä", "a\n", "a~1", "a:b", "a@{b")
        ),
        *((name, GIT) for name in ("a..b", "a.", "a.lock", "a...")),
    ],
)
def test_a_run_may_not_be_called(name: str, problem: str) -> None:
    assert run_name_problem(name) == problem


@settings(max_examples=60, deadline=None)
@given(name=st.text(RUN_ALPHABET + "lock", min_size=1, max_size=61))
def test_git_takes_every_branch_of_a_run_whose_name_passes(name: str) -> None:
    if run_name_problem(name) is not None:
        return
    agent = child_id(root_planner_id(RunName(name), ONE), child_key(1, 0, ONE, ""))
    for ref in (f"refs/heads/headway/{name}/main", f"refs/headway/wip/{AgentId(agent)}"):
        assert subprocess.run(["git", "check-ref-format", ref], check=False).returncode == 0, ref
