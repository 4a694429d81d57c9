import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.handoff import HandoffStatus
from headway.domain.headings import (
    ROOT_HEADING,
    handoff_heading,
    handoffs_in,
    scope_heading,
    scope_of,
    task_heading,
    task_of,
)
from headway.domain.ids import ChildKey, child_key
from tests.domain.builders import INCARNATION

titles = st.text(min_size=1, max_size=200) | st.from_regex(r"[a-z ]{0,9} ?\(attempt \d{1,2}\)", fullmatch=True)
keys = st.builds(child_key, st.integers(1, 9999), st.integers(0, 99), st.just(INCARNATION), st.text())
bodies = st.text().filter(lambda text: "###" not in text)


def one_line(title: str) -> str:
    return " ".join(title.split())


@given(title=titles, attempt=st.integers(1, 10), body=st.text())
def test_a_worker_s_first_line_tells_its_task_and_attempt(title: str, attempt: int, body: str) -> None:
    assert task_of(f"{task_heading(title, attempt)}\n\n{body}") == (one_line(title), attempt)


@given(title=titles, body=st.text())
def test_a_sub_planner_s_first_line_tells_its_scope(title: str, body: str) -> None:
    assert scope_of(f"{scope_heading(title)}\n\n{body}") == one_line(title)


@given(told=st.lists(st.tuples(keys, st.sampled_from(HandoffStatus), titles, bodies), max_size=4))
def test_a_planner_s_message_tells_every_handoff(told: list[tuple[ChildKey, HandoffStatus, str, str]]) -> None:
    text = "\n\n".join(f"{handoff_heading(key, status, title)}\n\n{body}" for key, status, title, body in told)
    assert handoffs_in(text) == [(key, status, one_line(title)) for key, status, title, _ in told]


def test_the_root_planner_owns_the_whole_run() -> None:
    assert scope_of(ROOT_HEADING) == "the whole run"


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        (task_heading("Fix the parser"), "Task: Fix the parser"),
        (task_heading("Fix the parser", 2), "Task: Fix the parser (attempt 2)"),
        (task_heading("Look at (attempt 2)"), "Task: Look at (attempt 2) (attempt 1)"),
        (task_heading("Two\nlines"), "Task: Two lines"),
    ],
)
def test_a_heading_reads_well(heading: str, expected: str) -> None:
    assert heading == expected


@pytest.mark.parametrize("text", ["", "Please fix it.\nTask: not the first line", " Task: indented", "task: x"])
def test_a_message_without_a_heading_names_nobody(text: str) -> None:
    assert (task_of(text), scope_of(text)) == (None, None)


def test_a_line_that_only_looks_like_a_handoff_is_none() -> None:
    assert handoffs_in("### Handoff 1.0-1a2b3c4d · finished · Fix it\n#### Handoff x · done · y") == []
