"""Effects, messages and children each leave a workflow through one door, where their failures are handled."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.workflows.test_failing_for_good as table
import workflows

FOLDER = Path(str(workflows.__file__)).parent
DOORS = {
    r"(execute|start)_(local_)?activity\w*": "effects",
    r"ActivityError": "effects",
    r"get_external_workflow_handle\w*": "signals",
    r"(execute|start)_child_workflow": "children",
}
"""What only one module may use, by its name."""
ACTIVITIES = {"Repository", "Checks", "Handoffs", "Planning", "Work", "WorkEnds"}


def names(tree: ast.AST) -> Iterator[str]:
    """Every name that code uses, imported ones included."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
                yield name


def outside(module: str, text: str) -> list[str]:
    """What a module uses that belongs to another one."""
    used = sorted(set(names(ast.parse(text))))
    return [name for name in used for door, owner in DOORS.items() if re.fullmatch(door, name) and owner != module]


def test_workflows_use_their_doors() -> None:
    found = {path.stem: outside(path.stem, path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.py")}
    assert {module: used for module, used in found.items() if used} == {}


@pytest.mark.parametrize(
    "text",
    [
        "await workflow.execute_activity_method(Work.run_worker, order)",
        "await workflow.execute_local_activity(f)",
        "workflow.start_activity(f)",
        "from temporalio.exceptions import ActivityError",
        "workflow.get_external_workflow_handle_for(f, 'x').cancel()",
        "from temporalio.workflow import start_child_workflow",
    ],
)
def test_another_door_is_found(text: str) -> None:
    assert len(outside("planner", text)) == 1


def test_every_activity_that_workflows_call_is_made_to_fail_for_good() -> None:
    """An activity that is new to a workflow needs a test in `test_failing_for_good`."""
    called = {
        node.attr
        for path in FOLDER.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ACTIVITIES
    }
    tried = set(re.findall(r'FailsForGood\(\s*"(\w+)"', Path(str(table.__file__)).read_text(encoding="utf-8")))
    assert called
    assert called - tried == set()
