import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.domain.errors import UserError
from headway.domain.limit_table import Limits, finite
from headway.domain.spec import MAX_INSTRUCTIONS_BYTES, RunSpec, parse_spec
from headway.domain.state.budget import UNLIMITED

LEAST: dict[str, Any] = {"repo": "/srv/repo", "instructions": "Do it."}

BOUNDED = ("tasks", "tokens", "task_tokens")
FRACTIONS = ("hours", "task_minutes")
WHOLE = ("depth", "open_tasks", "attempts", "command_seconds")
AUTHOR = "must look like 'Name <mail@example.org>'"
RANGES = ("tasks_per_round", "root_tasks_per_round")


def refusal(raw: Any) -> str:
    """What the user is told."""
    with pytest.raises(UserError) as refused:
        parse_spec(raw)
    return refused.value.message


def limit(name: str, value: Any) -> dict[str, Any]:
    return LEAST | {"limits": {name: value}}


def test_only_the_repository_and_the_instructions_are_required() -> None:
    spec = parse_spec(LEAST)
    assert (spec.repo, spec.instructions) == ("/srv/repo", "Do it.")
    assert (spec.base, spec.setup, spec.check, spec.commit) == (None, None, None, None)


def test_only_caches_of_known_tools_are_shared() -> None:
    assert parse_spec(LEAST | {"policy": {"caches": ["pip", "go", "pip"]}}).policy.caches == ("pip", "go")
    refused = refusal(LEAST | {"policy": {"caches": ["pip", "bazel"]}})
    assert 'policy.caches: may hold pip, uv, npm, ccache, sccache, cargo, go, got "bazel"' in refused


def test_an_agents_memory_has_a_least_and_a_most() -> None:
    assert parse_spec(limit("agent_memory_mb", 512)).limits.agent_memory_mb == 512
    assert "limits.agent_memory_mb: must be at least 64, got 1" in refusal(limit("agent_memory_mb", 1))


def test_the_defaults_are_those_of_the_contract() -> None:
    spec = parse_spec(LEAST)
    assert spec.limits.model_dump() == {
        "depth": 4,
        "tasks": 1000,
        "open_tasks": 100,
        "tokens": 20_000_000,
        "cache_reads": "cost",
        "usd": 20,
        "usd_per_hour": "none",
        "hours": 24,
        "attempts": 2,
        "task_minutes": 60,
        "task_tokens": 2_000_000,
        "task_usd": 2,
        "command_seconds": 120,
        "agent_memory_mb": 2048,
        "trunk_mb": 2048,
    }
    assert spec.policy.model_dump() == {
        "network": "setup",
        "setup_env": (),
        "setup_trust": "base",
        "read_only": (),
        "wrap": None,
        "caches": (),
        "forbidden_dependencies": (),
        "dependencies": "",
        "performance": "",
        "tasks_per_round": (5, 30),
        "root_tasks_per_round": (20, 100),
    }
    nothing = {"model": None, "endpoint": None, "effort": None, "price": None}
    assert spec.models.model_dump() == dict.fromkeys(("planner", "worker", "fixer", "compaction"), nothing)


def test_every_default_is_finite() -> None:
    unlimited = [name for name, value in Limits().model_dump().items() if value == "none"]
    # A rate is no ceiling: what a run may cost in all is bounded by `usd` and `tokens`.
    assert unlimited == ["usd_per_hour"]


def test_everything_that_this_version_acts_on_is_taken_as_given() -> None:
    given_by_user: dict[str, Any] = {
        "repo": "https://example.org/r.git",
        "base": "v1.2",
        "instructions": "Port it.\n\nAll of it.",
        "setup": "make deps",
        "check": "make test",
        "commit": {"author": "Ada Lovelace <ada@example.org>"},
        "limits": {
            "depth": 2,
            "tasks": "none",
            "open_tasks": 7,
            "tokens": 5_000_000,
            "hours": 0.5,
            "attempts": 3,
            "task_minutes": 1.5,
            "task_tokens": "none",
            "command_seconds": 30,
        },
        "policy": {
            "dependencies": "No new ones.",
            "performance": "Not slower.",
            "tasks_per_round": (1, 2),
            "root_tasks_per_round": (3, 3),
        },
        "models": {"planner": {"model": "big", "effort": "high"}, "worker": {"model": "small"}},
    }
    spec = parse_spec(given_by_user)
    assert spec.model_dump(exclude_unset=True) == given_by_user


def test_space_around_a_text_is_no_part_of_it() -> None:
    assert parse_spec({"repo": " /srv/repo\n", "instructions": "\n Do it. "}) == parse_spec(LEAST)


def test_a_spec_reads_back_as_it_was_written() -> None:
    spec = parse_spec(LEAST | {"limits": {"hours": "none", "tokens": "none"}})
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("raw", "got"),
    [
        (None, "nothing"),
        ("x", "a string"),
        ([LEAST], "a list"),
        (5, "a number"),
        (1.5, "a number"),
        (True, "a truth value"),
    ],
)
def test_input_that_is_no_object_is_refused_with_what_to_give(raw: Any, got: str) -> None:
    assert refusal(raw) == f"input: must be one JSON object with at least 'repo' and 'instructions', got {got}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"repo": ""}, "repo: must not be empty"),
        ({"repo": " \n"}, "repo: must not be empty"),
        ({"repo": 5}, "repo: must be a string, got 5"),
        ({"repo": None}, "repo: must be a string, got nothing"),
        ({"repo": "a\0b"}, "repo: must not hold a NUL character"),
        ({"instructions": []}, "instructions: must be a string, got a list"),
        ({"instructions": "é" * (MAX_INSTRUCTIONS_BYTES // 2 + 1)}, "instructions: must be at most 256 KB"),
        ({"base": ""}, "base: must not be empty"),
        ({"base": "--upload-pack=x"}, "base: must be a branch, a tag or a commit"),
        ({"base": "a b"}, "base: must be a branch, a tag or a commit"),
        ({"base": 7}, "base: must be a string, got 7"),
        ({"setup": ""}, "setup: must not be empty"),
        ({"setup": "a\0b"}, "setup: must not hold a NUL character"),
        ({"setup": "x" * 8001}, f'setup: must have at most 8000 characters, got "{"x" * 59}…'),
        ({"check": ["make", "test"]}, "check: must be a string, got a list"),
        ({"check": {}}, "check: must be a string, got an object"),
        ({"commit": "me"}, 'commit: must be an object, got "me"'),
        ({"commit": {}}, "commit.author: is required"),
        ({"commit": {"author": "me"}}, f'commit.author: {AUTHOR}, got "me"'),
        ({"commit": {"author": "A\0 <a@b>"}}, f'commit.author: {AUTHOR}, got "A\\u0000 <a@b>"'),
        ({"commit": {"author": "A <a@b>", "mail": 1}}, "commit.mail: is not a field; it may be one of author"),
        ({"limits": 5}, "limits: must be an object, got 5"),
        ({"limits": None}, "limits: must be an object, got nothing"),
        ({"models": {"planner": "big"}}, 'models.planner: must be an object, got "big"'),
        ({"models": {"planner": {"model": ""}}}, "models.planner.model: must not be empty"),
        ({"models": {"worker": {"model": 5}}}, "models.worker.model: must be a string, got 5"),
        (
            {"models": {"worker": {"endpoint": "http://elsewhere/v1"}}},
            "models.worker.endpoint: must be a name that the worker processes' environment declares, never an address",
        ),
        ({"policy": {"dependencies": 5}}, "policy.dependencies: must be a string, got 5"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_the_name_of_its_field(change: dict[str, Any], message: str) -> None:
    assert refusal(LEAST | change) == f"input: {message}"


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "must be at least 1, got 0"),
        (-3, "must be at least 1, got -3"),
        ("5", 'must be a whole number, got "5"'),
        ("none", 'must be a whole number, got "none"'),
        (1.5, "must be a whole number, got 1.5"),
        (True, "must be a whole number, got true"),
        (None, "must be a whole number, got nothing"),
        ([1], "must be a whole number, got a list"),
    ],
)
def test_a_count_is_a_whole_number_from_one(name: str, value: Any, message: str) -> None:
    assert refusal(limit(name, value)) == f"input: limits.{name}: {message}"


@pytest.mark.parametrize(
    ("name", "most"), [("depth", "16"), ("open_tasks", "1,000"), ("attempts", "10"), ("command_seconds", "86,400")]
)
def test_a_count_has_an_upper_bound(name: str, most: str) -> None:
    assert refusal(limit(name, 10**6)) == f"input: limits.{name}: must be at most {most}, got 1000000"


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, 'must be at least 1 or "none", got 0'),
        ("None", 'must be a whole number or "none", got "None"'),
        ("unlimited", 'must be a whole number or "none", got "unlimited"'),
        (1.5, 'must be a whole number or "none", got 1.5'),
        (True, 'must be a whole number or "none", got true'),
        (None, 'must be a whole number or "none", got nothing'),
        (10**16, f'must be at most {10**15:,} or "none", got {10**16}'),
    ],
)
def test_a_limit_that_can_be_lifted_says_how(name: str, value: Any, message: str) -> None:
    assert refusal(limit(name, value)) == f"input: limits.{name}: {message}"


@pytest.mark.parametrize("name", FRACTIONS)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, 'must be more than 0 or "none", got 0'),
        (-0.5, 'must be more than 0 or "none", got -0.5'),
        ("5", 'must be a number or "none", got "5"'),
        (True, 'must be a number or "none", got true'),
        (float("inf"), 'must be a number or "none", got Infinity'),
        (float("nan"), 'must be a number or "none", got NaN'),
    ],
)
def test_a_duration_is_a_number_above_zero(name: str, value: Any, message: str) -> None:
    assert refusal(limit(name, value)) == f"input: limits.{name}: {message}"


def test_a_run_takes_at_most_a_year() -> None:
    assert refusal(limit("hours", 9000)) == 'input: limits.hours: must be at most 8,760 or "none", got 9000'


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("value", [[30, 5], [5], [1, 2, 3], 5, ["a", "b"], "none", None, [1.5, 3], [True, 3]])
def test_a_range_is_two_numbers(name: str, value: Any) -> None:
    raw = LEAST | {"policy": {name: value}}
    assert refusal(raw) == f"input: policy.{name}: must be two numbers, the smaller first"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"limit": {}}, "limit: is not a field; did you mean 'limits'?"),
        ({"instruction": "x"}, "instruction: is not a field; did you mean 'instructions'?"),
        ({"limits": {"taks": 1}}, "limits.taks: is not a field; did you mean 'tasks'?"),
        ({"models": {"planer": {}}}, "models.planer: is not a field; did you mean 'planner'?"),
        ({"models": {"worker": {"efort": "x"}}}, "models.worker.efort: is not a field; did you mean 'effort'?"),
        ({"zzz": 1}, f"zzz: is not a field; it may be one of {', '.join(RunSpec.model_fields)}"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_one(raw: dict[str, Any], message: str) -> None:
    assert refusal(LEAST | raw) == f"input: {message}"


def test_all_problems_are_told_at_once_each_on_its_line() -> None:
    raw = {"limits": {"depth": 0, "tokens": "all"}, "repo": " ", "zzz": 1}
    assert refusal(raw).splitlines() == [
        "input: repo: must not be empty",
        "instructions: is required",
        "limits.depth: must be at least 1, got 0",
        'limits.tokens: must be a whole number or "none", got "all"',
        "zzz: is not a field; it may be one of repo, instructions, base, setup, check, commit, limits, policy, models",
    ]


def test_a_refusal_says_that_nothing_happened() -> None:
    with pytest.raises(UserError) as refused:
        parse_spec({})
    assert refused.value.remedy == "Nothing was started and nothing was changed."
    assert str(refused.value).endswith(refused.value.remedy)


def test_no_limit_is_a_number_larger_than_any_run() -> None:
    assert finite("none") == UNLIMITED
    assert finite(1000) == 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
field_names = st.sampled_from(sorted({*RunSpec.model_fields, *Limits.model_fields}))
objects = st.dictionaries(field_names, json_values | st.dictionaries(field_names, json_values, max_size=3), max_size=5)


@given(raw=json_values | objects | objects.map(lambda more: LEAST | more))
def test_any_json_gives_a_spec_or_one_message_with_a_field_on_each_line(raw: Any) -> None:
    try:
        parse_spec(raw)
    except UserError as error:
        told = error.message
    else:
        return
    assert told.startswith("input: ")
    for line in told.removeprefix("input: ").splitlines():
        assert re.match(r".*: \S|must be one JSON object", line), line
        assert "Input should" not in line


@pytest.mark.parametrize(
    ("field", "value", "why"),
    [
        ("read_only", ["opt/sdk"], "must be an absolute path, or one that begins with ~/"),
        ("read_only", ["~root/sdk"], "must be an absolute path, or one that begins with ~/"),
        ("setup_env", ["A B"], "must be the name of a variable"),
        (
            "setup_env",
            ["OPENAI_API_KEY"],
            "must not name a variable of Headway's own (OPENAI_, TEMPORAL_, HEADWAY_...)",
        ),
        ("network", "all", "must be 'none', 'setup' or 'tasks', got \"all\""),
        ("wrap", "", "must not be empty"),
    ],
)
def test_what_commands_may_have_is_asked_for_in_few_ways(field: str, value: Any, why: str) -> None:
    assert refusal(LEAST | {"policy": {field: value}}) == f"input: policy.{field}: {why}"


def test_commands_may_have_more_where_the_user_says_so() -> None:
    asked = {"network": "tasks", "setup_env": ["TOKEN"], "read_only": ["/opt/sdk", "~/sdk"], "wrap": "with-database"}
    policy = parse_spec(LEAST | {"policy": asked}).policy
    assert policy.network == "tasks"
    assert (policy.setup_env, policy.read_only, policy.wrap) == (("TOKEN",), ("/opt/sdk", "~/sdk"), "with-database")
