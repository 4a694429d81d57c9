"""Reading at a commit, as a model does: answers, or errors that name the next step. Never an option of git."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headway.domain.errors import ToolError
from headway.git.hub import Hub
from tests.git.ground import Ground, make_repository, write


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    files: dict[str, str | bytes | None] = {
        "README.md": "# Hello\nworld\n",
        "src/app.py": "import os\n\ndef main() -> int:\n    return 42\n",
        "src/deep/er/mod.py": "def helper(): pass\n",
        "src/[odd]/x.py": "def odd(): pass\n",
        "data.bin": b"\0\1\2def main",
    }
    hub = Hub(tmp_path / "hub.git")
    hub.prepare(str(make_repository(tmp_path / "repo", files)), None)
    return hub


def test_folders_are_listed_to_a_depth(hub: Hub) -> None:
    assert hub.list_dir("HEAD").split("\n") == ["README.md", "data.bin", "src/"]
    assert hub.list_dir("HEAD", "src", 2).split("\n") == ["[odd]/", "[odd]/x.py", "app.py", "deep/", "deep/er/"]
    assert hub.list_dir(hub.tip(), "./src/deep").split("\n") == ["er/"]


def test_files_are_read_whole(hub: Hub) -> None:
    assert hub.read_file("main", "src/app.py").startswith(b"import os")
    assert hub.read_file(hub.tip()[:12], "data.bin") == b"\0\1\2def main"


def test_lines_are_found(hub: Hub) -> None:
    assert hub.grep("HEAD", r"def \w+\(") == [
        "src/[odd]/x.py:1:def odd(): pass",
        "src/app.py:3:def main() -> int:",
        "src/deep/er/mod.py:1:def helper(): pass",
    ]
    assert hub.grep("HEAD", r"\d\d$", "src") == ["src/app.py:4:    return 42"]
    assert hub.grep("HEAD", "def", glob="mod*") == ["src/deep/er/mod.py:1:def helper(): pass"]
    assert hub.grep("HEAD", "def", "src/[odd]", glob="*.py") == ["src/[odd]/x.py:1:def odd(): pass"]
    assert len(hub.grep("HEAD", "def", limit=2)) == 2
    assert hub.grep("HEAD", "not there at all") == []
    assert hub.grep("HEAD", "--all") == []


def test_history_is_told(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    ground.land(workspace, "Add a file\n\nBecause it was missing.")
    lines = ground.hub.log("HEAD").split("\n")
    assert [line.partition(": ")[2] for line in lines] == ["Add a file", "First commit"]
    assert "no commit" in ground.hub.log(ground.facts.base, "new.txt")
    assert len(ground.hub.log("HEAD", limit=1).split("\n")) == 1
    shown = ground.hub.show("HEAD")
    assert "Because it was missing." in shown
    assert "+new" in shown
    assert "+new" not in ground.hub.show("HEAD", "README.md")
    assert ground.hub.show("HEAD~1").startswith(f"commit {ground.facts.base}")


def test_a_long_difference_is_cut(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"long.txt": "a line of some length\n" * 5_000})
    ground.land(workspace)
    assert len(ground.hub.show("HEAD")) < 31_000
    assert "more characters" in ground.hub.show("HEAD")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda hub: hub.read_file("HEAD", "src/ap.py"), "there is src/app.py"),
        (lambda hub: hub.read_file("HEAD", "mod.py"), "there is src/deep/er/mod.py"),
        (lambda hub: hub.read_file("HEAD", "src"), "use list_dir"),
        (lambda hub: hub.list_dir("HEAD", "README.md"), "is a file"),
        (lambda hub: hub.read_file("HEAD", "../secret"), "leaves the repository"),
        (lambda hub: hub.read_file("HEAD", "/etc/passwd"), "leaves the repository"),
        (lambda hub: hub.read_file("HEAD", "nul\0byte"), "leaves the repository"),
        (lambda hub: hub.show("no-such-rev"), "git_log"),
        (lambda hub: hub.show("--output=/tmp/owned"), "there is no commit"),
        (lambda hub: hub.log(""), "there is no commit"),
        (lambda hub: hub.log("nul\0byte"), "there is no commit"),
        (lambda hub: hub.show("HEAD:README.md"), "there is no commit"),
        (lambda hub: hub.grep("HEAD", "(unclosed"), "pattern"),
        (lambda hub: hub.grep("HEAD", "x", "nowhere"), "there is no 'nowhere'"),
    ],
)
def test_a_mistake_is_answered_with_the_next_step(hub: Hub, call: Callable[[Hub], object], says: str) -> None:
    with pytest.raises(ToolError, match=says.replace("(", r"\(")):
        call(hub)


def test_a_path_or_a_pattern_is_never_an_option(hub: Hub) -> None:
    assert "did not change" in hub.show("HEAD", "--output=/tmp/headway-owned")
    assert "no commit" in hub.log("HEAD", "--all")
    assert hub.grep("HEAD", "--output=/tmp/headway-owned") == []
    with pytest.raises(ToolError):
        hub.grep("HEAD", "two\nlines")
    assert not Path("/tmp/headway-owned").exists()
