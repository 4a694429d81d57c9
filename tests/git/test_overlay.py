"""Workspaces over shared layers: what an agent changed is read off its upper, and is what git would say."""

import os
import shutil
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from headway.domain.ids import Oid
from headway.git.changes import Changes
from headway.git.hub import IGNORED_FOLDER
from headway.git.landing.landing import Landed
from headway.git.workspace import base_layers, build_base_layer, overlay, workspaces
from headway.git.workspace.checkout import LayeredFiles
from headway.git.workspace.scan import scan
from headway.git.workspace.setup_cache import SetupDone, setup_key
from headway.git.workspace.snapshot import snapshot
from headway.git.workspace.workspace import Workspace
from headway.git.workspace.workspace_backend import overlay_trouble
from headway.git.workspace.workspaces import Workspaces
from tests.git.ground import Ground, allowed, git, make_repository, write

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
    base = workspace.hub.repo.tree_of(workspace.base)
    tree.run("read-tree", "-i", "-m", base)
    return scan(tree, base, IGNORED_FOLDER).files


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
                found = workspace.scan().files
            assert found == _by_index(workspace)
            assert found == _by_git(workspace)
    finally:
        shared.workspaces.discard(workspace)


@pytest.fixture
def layered(tmp_path: Path, source: Path) -> Ground:
    """A run of its own on overlays."""
    return Ground.prepare(tmp_path / "state", source, "overlay")


def _land(ground: Ground, number: int, files: dict[str, str | bytes | None]) -> None:
    workspace = ground.open(number)
    write(workspace.path, files)
    assert isinstance(ground.land(workspace, accept_doubtful=True), Landed)
    ground.workspaces.remove(workspace)


def _set_up(ground: Ground, command: str = "make") -> None:
    """Build a generation as workers do, with a `setup` that always makes the same."""
    build = ground.workspaces.generations.begin()
    assert build is not None
    with build:
        done = build.still_warm(command)
        if done is None:
            write(build.path, {"built.log": "by setup\n"})
            key = setup_key(ground.hub.repo, build.tree, command)
            done = SetupDone(key=key, exit_code=0, ended="exit code 0", output="", seconds=0)
        build.publish(done)


def _needs_a_look(workspace: Workspace) -> list[str]:
    """Files whose content git would read at its first status: those it does not know by their stat data."""
    index = workspace.path / ".git" / "index"
    listed = git(workspace.path, "ls-files", "--debug").split("\n")
    times = [int(line.split()[1].partition(":")[0]) for line in listed if line.startswith("  mtime:")]
    assert all(when < int(index.stat().st_mtime) for when in times), "as young as the index"
    return git(workspace.path, "diff-files", "--name-only").split()


def test_the_first_status_reads_no_unchanged_file_also_on_later_generations(layered: Ground) -> None:
    assert _needs_a_look(layered.open(1)) == []
    _land(layered, 2, {"src/app.py": "changed\n", "new.txt": "new\n"})
    _set_up(layered)
    later = layered.open(3)
    assert _needs_a_look(later) == []
    assert git(later.path, "status", "--porcelain") == ""
    (later.path / "new.txt").write_text("changed\n")
    assert _needs_a_look(later) == ["new.txt"]


def test_a_new_generation_is_due_after_many_commits_or_a_changed_manifest(layered: Ground) -> None:
    base_layers = layered.workspaces.generations
    assert (base_layers.due(None), base_layers.due("make")) == ("behind", "setup")
    _set_up(layered)
    assert base_layers.due("make") == "no"
    assert base_layers.due("make all") == "setup"
    _land(layered, 1, {"new.txt": "new\n"})
    assert base_layers.due("make") == "no"
    _land(layered, 2, {"web/package.json": "{}\n"})
    assert base_layers.due("make") == "setup"
    assert base_layers.due(None) == "no"
    for number in range(3, 26):
        _land(layered, number, {f"f{number}.txt": "new\n"})
    assert base_layers.due(None) == "behind"


def test_a_workspace_stands_on_the_tip_also_where_its_generation_does_not(layered: Ground) -> None:
    _set_up(layered)
    _land(layered, 1, {"src/app.py": "changed\n", "README.md": None})
    workspace = layered.open(2)
    assert workspace.base == layered.hub.tip()
    assert (workspace.path / "src/app.py").read_text() == "changed\n"
    assert not (workspace.path / "README.md").exists()
    assert git(workspace.path, "status", "--porcelain") == ""
    assert workspace.changes() == Changes()
    assert workspace.setup_done("make") is not None
    assert workspace.setup_done("make all") is None


def test_old_layers_live_until_their_last_workspace_is_gone(layered: Ground) -> None:
    places = layered.workspaces
    _set_up(layered)
    old = layered.open(1)
    before = places.generations.newest()
    assert before is not None
    _land(layered, 2, {"src/app.py": "changed\n"})
    _set_up(layered)
    assert places.generations.numbers() == [1, 2]
    new = layered.open(3)
    assert (old.path / "src/app.py").read_text() != (new.path / "src/app.py").read_text() == "changed\n"
    assert (new.path / "built.log").read_text() == "by setup\n"
    places.remove(old)
    assert places.generations.numbers() == [1, 2], "the second lies on the first"


def test_many_layers_become_one_without_a_copy(layered: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_base_layer, "DEEPEST", 3)
    places = layered.workspaces
    _set_up(layered)
    old = layered.open(1)
    inode = (old.path / "built.log").stat().st_ino
    changed: tuple[dict[str, str | bytes | None], ...] = (
        {"a/x": "x\n", "a/y": "y\n"},
        {"a/x": None, "b": "b\n"},
        {"a/y": None, "a/z": "z\n"},
        {"b": None},
    )
    for number, files in enumerate(changed, 2):
        _land(layered, number, files)
        _set_up(layered)
    newest = places.generations.newest()
    assert newest is not None
    assert len(newest.layers) <= 3
    new = layered.open(9)
    assert sorted(p.relative_to(new.path).as_posix() for p in new.path.glob("[ab]/*")) == ["a/z"]
    assert (new.path / "built.log").stat().st_ino == inode
    assert _needs_a_look(new) == []
    assert git(old.path, "status", "--porcelain") == git(new.path, "status", "--porcelain") == ""
    places.remove(old)
    assert 1 not in places.generations.numbers()
    assert (new.path / "README.md").read_text() == "hello\n"


def test_times_of_built_files_are_kept_and_an_edit_stays_private(layered: Ground) -> None:
    _set_up(layered)
    one, two = layered.open(1), layered.open(2)
    built = one.path / "built.log"
    assert built.stat().st_mtime_ns == (two.path / "built.log").stat().st_mtime_ns
    with built.open("a") as file:
        file.write("more\n")
    assert (two.path / "built.log").read_text() == "by setup\n"


def test_mounts_that_are_gone_without_a_new_boot_are_made_again(layered: Ground) -> None:
    workspace = layered.open(1)
    write(workspace.path, {"half.txt": "half done\n", "noise.log": "ignored, but there\n"})
    overlay.unmount(workspace.path)
    again = layered.open(1, lease=2)
    assert not again.rebuilt
    assert again.changes().paths == ("half.txt",)
    assert (again.path / "noise.log").exists()


def test_after_another_boot_the_layers_are_not_trusted_either(layered: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    _set_up(layered)
    workspace = layered.open(1)
    for room in (base_layers, build_base_layer, workspaces):
        monkeypatch.setattr(room, "boot_id", lambda: "a later boot")
    again = layered.open(1, lease=2)
    assert again.rebuilt
    assert not (again.path / "built.log").exists()
    newest = layered.workspaces.generations.newest()
    assert newest is not None
    assert newest.facts.number == 2
    assert not workspace.home.samefile(again.home.with_name(f"{again.home.name}.stale-1"))


def test_removal_while_somebody_still_works_there_leaves_no_mount(layered: Ground) -> None:
    workspace = layered.open(1)
    with (workspace.path / "README.md").open() as held:
        layered.workspaces.remove(workspace)
        assert held.read() == "hello\n"
    assert overlay.mounted_below(layered.workspaces.folder) == []
    assert list(workspace.home.parent.glob("*")) == []
    layered.workspaces.remove(workspace)


def test_a_hostile_upper_is_read_and_removed(layered: Ground) -> None:
    workspace = layered.open(1)
    write(workspace.path, {"deep/file": "x\n", "kept.txt": "kept\n"})
    (workspace.path / "hard").hardlink_to(workspace.path / "kept.txt")
    os.mkfifo(workspace.path / "pipe")
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(workspace.path)
        made.bind("socket")
    for name in ("user.overlay.opaque", "trusted.overlay.opaque", "trusted.overlay.redirect"):
        with suppress(OSError):
            os.setxattr(workspace.path / "src", name, b"y")
    with suppress(OSError):
        os.mknod(workspace.path / "README.md.gone", 0o600 | stat.S_IFCHR, os.makedev(0, 0))
    for _ in range(900):
        Path("d" * 20).mkdir()
        os.chdir("d" * 20)
    Path("bottom").write_text("deep\n")
    os.chdir("/")
    found = workspace.changes()
    assert {"deep/file", "hard", "kept.txt"} <= set(found.paths)
    assert found.deleted == ()
    assert snapshot(layered.hub, workspace, workspace.task, allowed) is not None
    layered.workspaces.discard(workspace)
    assert not workspace.home.exists()


def test_a_task_is_resumed_elsewhere_from_its_snapshot(layered: Ground, tmp_path: Path) -> None:
    workspace = layered.open(1)
    write(workspace.path, {"half.txt": "half done\n", "README.md": None})
    snapshot(layered.hub, workspace, workspace.task, allowed)
    elsewhere = Workspaces(tmp_path / "elsewhere" / "workspaces", layered.hub)
    again = elsewhere.open(workspace.task, 1, 2)
    assert again.rebuilt
    assert again.base == workspace.base
    assert (again.changes().added, again.changes().deleted) == (("half.txt",), ("README.md",))
