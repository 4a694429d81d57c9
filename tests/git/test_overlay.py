"""Workspaces over shared layers: what an agent changed is read off its upper, and is what git would say."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from headway.domain.ids import Oid
from headway.git import changes, overlay
from headway.git.checkout import LayeredFiles
from headway.git.hub import IGNORED_FOLDER
from headway.git.ladder import overlay_trouble
from headway.git.workspace import Workspace
from tests.git.ground import Ground, git, make_repository, write

pytestmark = pytest.mark.skipif(bool(overlay_trouble(Path("/tmp"))), reason="no overlays here")

FOLDERS = ("", "d", "d/y", "e", "out", "new", "new/deep")
NAMES = ("a", "x", "z", "kept.log", "other.log", ".gitignore", ".gitattributes", "y", "d", "e", "-", "sp ace", "ü")
RULES = ("*.log\n", "x\n", "!*.log\n", "out/\n!x\n", "d/\n", "/new\n", "*\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("overlay")
    yield folder
    overlay.unmount_below(folder)


@pytest.fixture(scope="module")
def shared(place: Path) -> Ground:
    """A run whose trunk has folders, a link, a script, and a file that is tracked although it is ignored."""
    files: dict[str, str | bytes | None] = {
        name: f"{name}\n" for name in ("a", "x", "d/x", "d/y/z", "d/y/x", "e/a", "e/z")
    }
    source = make_repository(place / "source", files | {".gitignore": "*.log\nout/\n"})
    write(source, {"d/kept.log": "tracked\n"})
    (source / "link").symlink_to("d")
    (source / "e" / "z").chmod(0o755)
    git(source, "add", "--force", "--all")
    git(source, "commit", "--quiet", "--message=More")
    ground = Ground.prepare(place / "state", source, "overlay")
    build = ground.workspaces.generations.begin()
    assert build is not None
    with build:
        write(build.path, {"out/built": "by setup\n", "d/made": "by setup, and not ignored\n", "e/a": "by setup\n"})
        build.publish(None)
    return ground


def _path(pair: tuple[str, str]) -> str:
    return f"{pair[0]}/{pair[1]}".lstrip("/")


PATHS = st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES)).map(_path)
EDITS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.sampled_from(("one\n", "two\r\n", "d/x\n", *RULES))),
    st.tuples(st.just("rules"), st.sampled_from(FOLDERS), st.sampled_from(RULES)),
    st.tuples(st.just("remove"), st.one_of(PATHS, st.sampled_from(FOLDERS[1:])), st.just("")),
    st.tuples(st.just("move"), st.one_of(PATHS, st.sampled_from(FOLDERS[1:])), PATHS),
    st.tuples(st.just("link"), PATHS, st.sampled_from(("a", "d", "x/y", "missing"))),
    st.tuples(st.just("mode"), PATHS, st.sampled_from(("700", "755", "644"))),
    st.tuples(st.just("fifo"), PATHS.filter(lambda path: ".git" not in path), st.just("")),
)


def _edit(top: Path, edit: tuple[str, str, str]) -> None:
    """What an agent's commands may do; what the system refuses is not done."""
    kind, name, more = edit
    target = top / name
    with suppress(OSError, shutil.Error):
        match kind:
            case "write":
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_fifo():
                    target.unlink()
                target.write_bytes(more.encode())
            case "rules":
                target.mkdir(parents=True, exist_ok=True)
                if (target / ".gitignore").is_fifo():
                    (target / ".gitignore").unlink()
                (target / ".gitignore").write_text(more)
            case "remove":
                shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()
            case "move":
                (top / more).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(target, top / more)
            case "link":
                target.unlink(missing_ok=True)
                target.symlink_to(more)
            case "mode":
                target.chmod(int(more, 8))
            case "fifo":
                os.mkfifo(target)


def _by_index(workspace: Workspace) -> Oid:
    """The tree as an index says that looks at every file."""
    assert isinstance(workspace.checkout, LayeredFiles)
    index = workspace.home / "another-index"
    shutil.copyfile(workspace.checkout.generation.index, index)
    tree = workspace.hub.repo.at(workspace.path, index)
    tree.run(
        "read-tree", "-i", "-m", workspace.checkout.generation.facts.tree, workspace.hub.repo.tree_of(workspace.base)
    )
    return changes.scan(tree, IGNORED_FOLDER).tree


def _by_git(workspace: Workspace) -> Oid:
    """The tree as `git add --all` makes it."""
    tree = workspace.hub.repo.at(workspace.path, workspace.home / "third-index")
    tree.run("read-tree", workspace.base)
    tree.run("add", "--all", ".")
    return tree.run("write-tree").oid


NUMBERS = iter(range(10_000))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(EDITS, max_size=12), later=st.lists(EDITS, max_size=4))
def test_a_scan_of_the_upper_says_what_a_scan_of_all_files_says(
    shared: Ground, edits: list[tuple[str, str, str]], later: list[tuple[str, str, str]]
) -> None:
    workspace = shared.open(next(NUMBERS))
    try:
        for some in (edits, later):
            for edit in some:
                _edit(workspace.path, edit)
            with workspace.held():
                found = workspace.scan().tree
            assert found == _by_index(workspace)
            assert found == _by_git(workspace)
    finally:
        shared.workspaces.discard(workspace)
