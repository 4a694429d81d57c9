"""Tool schemas and arguments: what servers are sent, and what a model's words become."""

import json
from typing import Any

import pytest

from headway.agents.tools.catalogue import PLANNER_TOOLS, WORKER_TOOLS
from headway.agents.tools.read_file import ReadFile
from headway.domain.errors import ToolError
from tests.agents.offered import REPLACING, arguments_of

SCHEMAS = {schema.name: schema for tools in WORKER_TOOLS.values() for schema in tools.schemas}
ALL = (*PLANNER_TOOLS.schemas, *SCHEMAS.values())
REQUIRED = {
    "apply_patch": {"patch"},
    "read_file": {"path"},
    "edit_file": {"path", "old", "new"},
    "write_file": {"path", "content"},
    "grep": {"pattern"},
    "shell": {"command"},
    "git_show": {"rev"},
    "read_handoff": {"id"},
    "cancel": {"ids"},
    "land": {"message"},
    "rewrite_scratchpad": {"content"},
    "spawn_tasks": {"tasks"},
    "spawn_subplanner": {"scope", "intent"},
    "finish": {"status", "summary"},
    "list_dir": set(),
    "git_log": set(),
    "wait": set(),
}
"""Of the tools that Headway began with."""


def test_only_what_must_be_given_is_required() -> None:
    for schema in ALL:
        if schema.name in REQUIRED:
            assert set(schema.parameters["required"]) == REQUIRED[schema.name], schema.name
        assert schema.description
    tasks = next(s for s in PLANNER_TOOLS.schemas if s.name == "spawn_tasks").parameters["properties"]["tasks"]
    assert set(tasks["items"]["required"]) == {"title", "intent"}


def test_schemas_hold_no_references_titles_or_keywords_that_servers_differ_in() -> None:
    def walk(node: Any, *, names: bool = False) -> None:
        if isinstance(node, list):
            for entry in node:
                walk(entry)
        elif isinstance(node, dict):
            assert names or not {"$ref", "$defs", "title", "minLength", "maxItems", "anyOf", "pattern"} & node.keys()
            for key, value in node.items():
                walk(value, names=key == "properties" and not names)

    for schema in ALL:
        walk(schema.parameters)
        assert schema.parameters["type"] == "object"


def test_tools_stand_in_one_fixed_order() -> None:
    for offered in (PLANNER_TOOLS, *WORKER_TOOLS.values()):
        assert list(offered.tools) == sorted(offered.tools) == [schema.name for schema in offered.schemas]


def test_a_model_has_one_way_to_edit() -> None:
    by_patch, by_pieces = WORKER_TOOLS["patch"].tools.keys(), WORKER_TOOLS["replace"].tools.keys()
    assert (by_patch - by_pieces, by_pieces - by_patch) == ({"apply_patch"}, {"edit_file"})
    assert list(SCHEMAS["apply_patch"].parameters["properties"]) == ["patch"]


@pytest.mark.parametrize(
    ("name", "raw", "said"),
    [
        ("read_file", "{", "not JSON"),
        ("read_file", "[]", "one JSON object"),
        ("read_file", "{}", "- path: is required\nexpected: path, start (optional), limit (optional)"),
        ("read_file", '{"path": "a", "lines": 3}', "- lines: is not an argument"),
        ("read_file", '{"path": "a", "start": "x"}', "- start: Input should be a valid integer"),
        ("finish", '{"status": "failed", "summary": "x"}', "- status: Input should be 'done', 'partial'"),
        ("finish", '{"status": "done", "summary": " "}', "- summary: "),
        ("sleep", "{}", f"there is no tool 'sleep'; there are {', '.join(REPLACING.tools)}"),
    ],
)
def test_what_is_wrong_is_named(name: str, raw: str, said: str) -> None:
    with pytest.raises(ToolError) as raised:
        arguments_of(REPLACING, name, raw)
    assert said in str(raised.value)


@pytest.mark.parametrize("raw", ['{"path": "a"}', '{"path": "a", "start": null}', '"{\\"path\\": \\"a\\"}"'])
def test_null_and_twice_encoded_arguments_are_forgiven(raw: str) -> None:
    assert arguments_of(REPLACING, "read_file", raw) == ReadFile(path="a")


LISTS = {
    "a list as text": {"tasks": '[{"title": "One", "intent": "Do it."}]'},
    "an object as text": {"tasks": ['{"title": "One", "intent": "Do it."}']},
    "both": {"tasks": '["{\\"title\\": \\"One\\", \\"intent\\": \\"Do it.\\"}"]'},
    "paths as text": {"tasks": [{"title": "One", "intent": "Do it.", "paths": '["a", "b"]'}]},
}


@pytest.mark.parametrize("given", LISTS.values(), ids=LISTS)
def test_lists_and_objects_that_come_as_text_are_read(given: dict[str, Any]) -> None:
    found = arguments_of(PLANNER_TOOLS, "spawn_tasks", json.dumps(given))
    assert [task.title for task in found.tasks] == ["One"]  # type: ignore[attr-defined]


def test_a_text_that_looks_like_a_list_stays_a_text() -> None:
    found = arguments_of(REPLACING, "write_file", json.dumps({"path": "a.json", "content": "[1, 2]"}))
    assert found.content == "[1, 2]"  # type: ignore[attr-defined]


@pytest.mark.parametrize("tasks", ["[", "One", "[" * 5000, '["x"]', "[" + "{}," * 20_000 + "{}]"])
def test_a_text_that_is_no_list_is_told(tasks: str) -> None:
    with pytest.raises(ToolError, match="spawn_tasks"):
        arguments_of(PLANNER_TOOLS, "spawn_tasks", json.dumps({"tasks": tasks}))
