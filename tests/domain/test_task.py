import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headway.domain.task import TITLE_BYTES, TITLE_IN_HISTORY, Scope, TaskKind, TaskSpec, in_history


def test_a_task_needs_a_title_and_an_intent_only() -> None:
    task = TaskSpec(title="Fix the parser", intent="It drops the last token.")
    assert (task.kind, task.priority, task.paths, task.done_when) == (TaskKind.CHANGE, 0, (), "")


@pytest.mark.parametrize(
    "change", [{"title": " "}, {"title": "x" * 201}, {"intent": ""}, {"priority": 2}, {"kind": "chore"}, {"who": "Ada"}]
)
def test_a_task_that_nobody_could_work_on_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TaskSpec.model_validate({"title": "Fix it", "intent": "It is broken."} | change)


def test_a_scope_is_called_by_its_first_line() -> None:
    assert Scope(scope="The parser\nand its tests", intent="Own it.").title == "The parser"


@pytest.mark.parametrize(
    ("title", "carried"),
    [
        ("Fix the parser", "Fix the parser"),
        ("x" * 46, "x" * 46),
        ("x" * 47, "x" * 45 + "…"),
        ("two\n  lines\tand\x00more", "two lines and more"),
        ("改" * 33, "改" * 33),
        ("改" * 34, "改" * 32 + "…"),
        ('"' * 60, '"' * 45 + "…"),
    ],
)
def test_history_carries_a_short_title(title: str, carried: str) -> None:
    assert in_history(title) == carried


@given(title=st.text(max_size=300))
def test_a_title_in_history_is_one_line_of_bounded_size(title: str) -> None:
    carried = in_history(title)
    assert len(carried) <= TITLE_IN_HISTORY
    assert len(json.dumps(carried, ensure_ascii=False).encode()) <= TITLE_BYTES + 2
    assert len(carried.splitlines()) <= 1
    assert in_history(carried) == carried
