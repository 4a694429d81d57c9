"""The declarations of tools: each says everything about its tool, and no other module does."""

import ast
from pathlib import Path

import pytest

from headway.agents.loop.tool import AnyTool
from headway.agents.tools.catalogue import DOING, RESULTS, TOOLS, toolset
from headway.cli.agent_tools import doing

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS_CALLS = ("headway/rehearsal/",)
NAMES_OF_AN_API = ("headway/models/",)
ALSO_WORDS = {"cancel", "finish", "grep", "land", "wait"}
"""Names that stand for something else too: decisions, events, a program."""


def test_a_tool_is_named_by_its_own_module_alone() -> None:
    names = {tool.name for tool in TOOLS} - ALSO_WORDS
    paths = [path for folder in ("headway", "workflows", "activities") for path in (ROOT / folder).rglob("*.py")]
    named = {
        (path.relative_to(ROOT).as_posix(), node.value)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names
    }
    elsewhere = {(path, name) for path, name in named if Path(path).stem != name}
    assert not [each for each in elsewhere if not each[0].startswith(SCRIPTS_CALLS + NAMES_OF_AN_API)]
    assert {name for _, name in named} == names


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: f"{tool.name}-{'-'.join(tool.agents)}")
def test_a_declaration_is_whole(tool: AnyTool) -> None:
    assert tool.agents
    assert tool.description.endswith(".")
    assert (not tool.rule) or tool.rule.endswith(".")
    assert set(tool.example) <= set(tool.args.model_fields)


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(TypeError, match="two tools of a worker have the same name"):
        toolset([*TOOLS, TOOLS[-1]] if "worker" in TOOLS[-1].agents else [*TOOLS, *TOOLS], "worker", "replace")


@pytest.mark.parametrize(
    ("tool", "told", "words"),
    [
        ("shell", "pytest -q", "running `pytest -q`"),
        ("read_file", "", "reading"),
        ("land", "Raise the limit", "landing"),
        ("rewrite_scratchpad", "", "writing notes"),
        ("look_up", "x", "look up `x`"),
        ("look_up", "", "look up"),
    ],
)
def test_people_read_what_a_call_does(tool: str, told: str, words: str) -> None:
    assert doing(tool, told) == words


def test_readers_of_logs_know_the_facts_of_each_tool() -> None:
    assert {name for name in RESULTS if RESULTS[name] is None} == set()
    assert RESULTS.keys() <= DOING.keys()
