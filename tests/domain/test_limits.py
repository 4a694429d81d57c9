"""Limits that cannot work are refused with the least that works, and what raises them really helps."""

import contextlib
import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headway.domain.errors import UserError
from headway.domain.limit_table import Limits
from headway.domain.limits import changed, in_words, more_of, short_words, workable
from headway.domain.orders.set_limits import SetLimits
from headway.domain.spec import ModelPrice, parse_spec
from headway.domain.state.budget import MICRO, UNLIMITED, Amount, Sizes
from tests.domain.builders import RUN

FIELDS = ("tokens", "usd", "task_tokens", "task_usd")
calls = st.builds(Amount, tokens=st.integers(1, 300_000), micro_usd=st.integers(0, 3 * MICRO))


def named(error: UserError) -> tuple[str, float]:
    """The field and the number that a refusal says to set."""
    found = re.search(r"Set limits\.(\w+) to ([0-9.]+) or more", error.remedy)
    assert found
    return found[1], float(found[2])


@settings(deadline=None)
@given(task=calls, planner=calls, root=calls, data=st.data(), dollars=st.booleans())
def test_at_the_number_that_a_refusal_names_the_run_works(
    task: Amount, planner: Amount, root: Amount, data: st.DataObject, *, dollars: bool
) -> None:
    sizes = Sizes(task_call=task, planner_call=planner, root_call=root)
    limits: dict[str, float] = {}
    for name in FIELDS:
        whole = name.endswith("tokens")
        said = st.integers(1, 2_000_000) if whole else st.floats(0.01, 20)
        if data.draw(st.booleans(), label=name):
            limits[name] = data.draw(said, label=name)
    for _ in range(len(FIELDS) + 1):
        try:
            found = workable(Limits.model_validate(limits), sizes, dollars=dollars)
        except UserError as error:
            name, least = named(error)
            assert least > limits.get(name, 0)
            limits[name] = int(least) if name.endswith("tokens") else least
        else:
            break
    else:
        raise AssertionError(limits)
    assert found.task.covers(sizes.least_task.model_copy(update={"micro_usd": 0}))
    assert Amount(tokens=int(limits.get("tokens", UNLIMITED))).tokens >= found.least_run.tokens


def test_a_limit_that_is_too_little_is_refused_with_what_sets_it() -> None:
    with pytest.raises(UserError) as refused:
        workable(Limits(tokens=120_000), Sizes(), dollars=False)
    assert refused.value.message.startswith(
        "limits.tokens: 120,000 tokens is too little to work with: the least is 300,000 tokens "
        "(180,000 tokens with limits.depth at 1, which is without sub-planners)."
    )
    assert named(refused.value) == ("tokens", 300_000)
    assert workable(Limits(tokens=180_000, depth=1), Sizes(), dollars=False).task.tokens == 180_000


def test_a_default_for_tasks_gives_way_where_a_call_costs_more() -> None:
    dear = Amount(tokens=20_000, micro_usd=3 * MICRO // 2)
    sizes = Sizes(task_call=dear, planner_call=dear, root_call=dear)
    assert workable(Limits(depth=1), sizes, dollars=True).task.micro_usd == 3 * MICRO
    with pytest.raises(UserError, match=r"limits\.task_usd"):
        workable(Limits(depth=1, task_usd=2.0), sizes, dollars=True)


@given(need=calls, tasks=st.integers(0, 9), granted=calls)
def test_what_raises_a_limit_is_at_least_what_is_missing(need: Amount, tasks: int, granted: Amount) -> None:
    need = need.model_copy(update={"tasks": tasks})
    command = more_of(RUN, need, granted)
    said = dict(zip(command.split()[3::2], command.split()[4::2], strict=True))
    assert int(said["--tokens"]) >= granted.tokens + max(need.tokens, granted.tokens)
    assert int(said.get("--tasks", tasks)) >= tasks
    assert ("--tasks" in said) == bool(tasks)
    assert round(float(said.get("--usd", 10**9)) * MICRO) >= granted.micro_usd + need.micro_usd


def test_amounts_are_told_without_the_parts_that_are_not_there() -> None:
    assert short_words(Amount(tokens=42_768, tasks=1)) == "42,768 tokens, 1 task"
    assert short_words(Amount(micro_usd=1)) == "$0.01"
    assert short_words(Amount(), Amount(tokens=5)) == "0 tokens"
    assert short_words(Amount()) == "nothing"


EDGES: st.SearchStrategy[object] = st.sampled_from(
    [0, -1, 1, 2**31, 2**53, 2**63, 10**15, 10**16, 10**400, True, None, "none", "1", "NaN", "", [], {}]
)
NUMBERS = EDGES | st.floats() | st.floats(1e290, 1.8e308) | st.integers()


@given(field=st.sampled_from(("tokens", "tasks", "usd", "usd_per_hour", "hours")), value=NUMBERS)
def test_any_number_is_refused_or_becomes_a_limit(field: str, value: object) -> None:
    """An error of another kind would end no update: a workflow whose handler raises it stands still for good."""
    try:
        order = SetLimits.model_validate({"request": "r", field: value})
        after = changed(order.changes, Amount(tokens=1, tasks=1, micro_usd=1), None)
    except (ValidationError, UserError):
        return
    assert Amount(tokens=UNLIMITED, tasks=UNLIMITED, micro_usd=UNLIMITED).covers(after)
    assert in_words(after, Amount(), None, order.changes)


@given(
    field=st.sampled_from(("tokens", "usd", "usd_per_hour", "task_usd", "task_tokens", "task_minutes")), value=NUMBERS
)
def test_any_number_of_an_input_is_refused_or_works(field: str, value: object) -> None:
    with contextlib.suppress(UserError):
        limits = parse_spec({"repo": "/r", "instructions": "Go.", "limits": {field: value}}).limits
        workable(limits, Sizes(task_call=Amount(tokens=9, micro_usd=9)), dollars=True)


@given(input_=NUMBERS, output=NUMBERS)
def test_any_price_is_refused_or_can_be_reckoned_with(input_: object, output: object) -> None:
    try:
        price = ModelPrice.model_validate({"input": input_, "output": output})
    except ValidationError:
        return
    call = Amount(tokens=300_000, micro_usd=int(300_000 * Decimal(max(price.input, price.output))) + 1)
    with contextlib.suppress(UserError):
        workable(Limits(usd="none"), Sizes(task_call=call, planner_call=call, root_call=call), dollars=True)
