"""What every release carried through continue-as-new is still read, whole."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import headway
from headway.domain.decisions.run import CONTINUED
from headway.domain.state.planner import PlannerState
from headway.domain.state.run import RunState
from tests.replay.recordings import STATES

MODELS: dict[str, type[BaseModel]] = {"planner": PlannerState, "run": RunState}
FILES = sorted(STATES.glob("*.json"))

DROPPED = {"quiet.progress_at"}
"""Fields, by their dotted name, that a later release does without, on purpose."""


def state_in(path: Path) -> tuple[type[BaseModel], Any]:
    """What was carried, and what it is to be read as."""
    kind, raw = path.name.partition("-")[0], json.loads(path.read_text())
    return MODELS[kind], raw[CONTINUED] if kind == "run" else raw


def lost(before: Any, after: Any, place: str = "") -> list[str]:
    """Where something that was carried is not there, or not the same, after it was read and written again."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for name, value in before.items()
            for found in lost(value, after.get(name, "is gone"), f"{place}.{name}".lstrip("."))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = zip(before, after, strict=True)
        return [found for one, other in pairs for found in lost(one, other, f"{place}[]")]
    return [] if before == after or place in DROPPED else [f"{place}: {before!r} became {after!r}"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_carried_state_is_read_whole(path: Path) -> None:
    model, raw = state_in(path)
    again = model.model_validate(raw).model_dump(mode="json", by_alias=True)
    assert lost(raw, again) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_later_release_may_have_more_fields(path: Path) -> None:
    model, raw = state_in(path)
    assert model.model_validate(raw | {"of_a_later_release": {"x": 1}}) == model.model_validate(raw)


@pytest.mark.parametrize("kind", MODELS)
def test_this_release_has_its_state_recorded(kind: str) -> None:
    assert STATES / f"{kind}-{headway.__version__}.json" in FILES


def test_the_recorded_planner_had_children_in_flight() -> None:
    _, raw = state_in(STATES / f"planner-{headway.__version__}.json")
    assert PlannerState.model_validate(raw).children.open


def test_what_is_renamed_is_noticed() -> None:
    assert lost({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"d": 2}]}}) == ["a.b[].c: 2 became 'is gone'"]
