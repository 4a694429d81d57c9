"""The path of one task in docs/architecture.md: every stop exists, and a stop before it calls it."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "architecture.md"
HEADING = "## The path of one task"
STOP = re.compile(r"^\d+\. `(?P<file>[\w/]+\.py)` `(?P<name>[\w.]+)`", re.MULTILINE)
MOST = 25


@dataclass(frozen=True)
class Stop:
    """A function on the path: its file, and its name with that of its class."""

    file: str
    name: str

    @property
    def called(self) -> frozenset[str]:
        """The names by which a caller may mention it: a workflow is started by that of its class."""
        owner, _, own = self.name.rpartition(".")
        by_class = own == "run" and owner in {"Run", "Planner", "Task"}
        return frozenset({owner} if by_class else {own, own.lstrip("_")})


def stops(text: str) -> list[Stop]:
    """The stops that a document lists, in its order."""
    part = text.partition(HEADING)[2].partition("\n## ")[0]
    return [Stop(found["file"], found["name"]) for found in STOP.finditer(part)]


def functions(file: Path) -> dict[str, ast.AST]:
    """The functions and methods of a file, by their names."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            found |= {f"{node.name}.{method.name}": method for method in methods}
    return found


def mentions(node: ast.AST) -> set[str]:
    """The names that a function uses, and the strings that could be the name of a workflow or a signal."""
    found = set()
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                found.add(name)
            case _:
                pass
    return found


def calls(stop: Stop) -> set[str]:
    """The names that a stop mentions, itself or through functions of its own file that it mentions."""
    known = functions(ROOT / stop.file)
    reached, left, found = {stop.name}, [stop.name], set[str]()
    while left:
        used = mentions(known[left.pop()])
        found |= used
        new = [name for name in known if name.rpartition(".")[2] in used and name not in reached]
        reached |= set(new)
        left += new
    return found


def wrong(path: list[Stop]) -> list[str]:
    """The stops that do not exist, and those that none before them calls."""
    missing = [stop for stop in path if not (ROOT / stop.file).exists() or stop.name not in functions(ROOT / stop.file)]
    if missing:
        return [f"{stop.file} has no {stop.name}" for stop in missing]
    found, reached = [], set[str]()
    for before, stop in zip([None, *path], path, strict=False):
        if before is not None:
            reached |= calls(before)
            if not stop.called & reached:
                found.append(f"no stop before it calls {stop.name} of {stop.file}")
    return found


def test_the_path_is_true() -> None:
    assert wrong(stops(DOCUMENT.read_text(encoding="utf-8"))) == []


def test_the_path_is_short_and_goes_all_the_way() -> None:
    path = stops(DOCUMENT.read_text(encoding="utf-8"))
    assert 15 <= len(path) <= MOST
    assert path[0].file == "headway/cli/run.py"
    for room in ("workflows/", "activities/", "headway/domain/", "headway/agents/", "headway/git/"):
        assert any(stop.file.startswith(room) for stop in path), room


@pytest.mark.parametrize(
    ("stop", "finding"),
    [
        (Stop("headway/cli/run.py", "gone"), "headway/cli/run.py has no gone"),
        (Stop("headway/cli/gone.py", "run"), "headway/cli/gone.py has no run"),
        (Stop("headway/git/hub.py", "Hub.tip"), "no stop before it calls Hub.tip of headway/git/hub.py"),
    ],
)
def test_a_stop_that_is_not_true_is_found(stop: Stop, finding: str) -> None:
    assert wrong([Stop("headway/cli/run.py", "start"), stop]) == [finding]
