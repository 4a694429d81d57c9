"""What language tools leave never lands by accident; what a repository tracks, or people name so, lands as ever."""

import pytest

from headway.git.changes import Changes
from headway.git.landing.landing import Landed, NothingToLand
from headway.git.workspace.workspace import Workspace
from tests.git.ground import Ground, git, make_repository, write

LEFT: dict[str, dict[str, str | bytes | None]] = {
    "src/__pycache__": {"src/__pycache__/m.cpython-311.pyc": b"\0\1"},
    "node_modules": {"node_modules/left-pad/index.js": "x\n", "node_modules/.bin/run": "x\n"},
    "web/node_modules": {"web/node_modules/a/node_modules/b/index.js": "x\n"},
    ".venv": {".venv/pyvenv.cfg": "home = /usr\n", ".venv/lib/site.py": "x\n"},
    "env": {"env/pyvenv.cfg": "home = /usr\n", "env/bin/python": "x\n"},
    "target": {"Cargo.toml": "[package]\n", "target/debug/app": b"\x7fELF\0"},
    "java/target": {"java/pom.xml": "<project/>\n", "java/target/classes/A.class": b"\xca\xfe\xba\xbe\0"},
    ".pytest_cache": {".pytest_cache/v/x": "1\n"},
    "made": {"made/CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n", "made/big": b"\0"},
}
SOURCES = {"src/m.py", "Cargo.toml", "java/pom.xml"}


def landed_paths(ground: Ground) -> set[str]:
    """What the trunk has that the base has not, by plain git."""
    base = ground.facts.base
    return set(git(ground.hub.folder, "diff", "--name-only", base, "refs/heads/main").split())


def _left_out(workspace: Workspace) -> tuple[str, ...]:
    with workspace.held():
        return workspace.scan().caches


@pytest.mark.parametrize(("folder", "files"), LEFT.items(), ids=LEFT)
def test_a_cache_is_left_out_told_and_kept_in_the_workspace(
    ground: Ground, folder: str, files: dict[str, str | bytes | None]
) -> None:
    workspace = ground.open()
    write(workspace.path, {**files, "src/m.py": "x = 1\n"})
    assert _left_out(workspace) == (folder,)
    assert isinstance(ground.land(workspace), Landed), "nothing doubtful is left of it"
    assert workspace.caches == (folder,), "without another scan"
    assert landed_paths(ground) == {"src/m.py", *files} & SOURCES
    assert all((workspace.path / name).exists() for name in files)
    assert isinstance(ground.land(workspace), NothingToLand)
    assert workspace.changes() == Changes()


def test_a_repository_of_a_package_inside_a_cache_is_no_repository_of_the_agent(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"a.py": "x\n"})
    make_repository(workspace.path / "node_modules" / "from-git", {"index.js": "x\n"})
    assert workspace.changes().nested == ()
    assert isinstance(ground.land(workspace), Landed)


def test_what_the_repository_tracks_in_such_a_folder_goes_on_landing(ground: Ground) -> None:
    first = ground.open()
    # Landed before a tool marks the folder, as a repository has it that commits its packages.
    write(first.path, {"target/kept.txt": "1\n"})
    assert isinstance(ground.land(first), Landed)
    second = ground.open()
    write(second.path, {"Cargo.toml": "[package]\n", "target/kept.txt": "2\n", "target/new.txt": "1\n"})
    assert _left_out(second) == ()
    assert isinstance(ground.land(second), Landed)
    assert {"target/kept.txt", "target/new.txt"} <= landed_paths(ground)


@pytest.mark.parametrize("path", ["target/rules.py", "env/settings.py", "src/venv/a.py", "build/x.py", "cache/a.txt"])
def test_a_folder_of_sources_lands_whatever_its_name(ground: Ground, path: str) -> None:
    workspace = ground.open()
    write(workspace.path, {path: "x = 1\n"})
    assert _left_out(workspace) == ()
    assert isinstance(ground.land(workspace), Landed)
    assert landed_paths(ground) == {path}


@pytest.mark.parametrize(
    ("before", "mark"),
    [
        ({"env/bin/python": "x\n"}, {"env/pyvenv.cfg": "home = /usr\n"}),
        ({"target/debug/app": "x\n"}, {"Cargo.toml": "[package]\n"}),
    ],
    ids=["venv", "build"],
)
def test_a_scan_tells_the_same_whatever_was_scanned_before(
    ground: Ground, before: dict[str, str | bytes | None], mark: dict[str, str | bytes | None]
) -> None:
    seen, fresh = ground.open(1), ground.open(2)
    write(seen.path, before)
    with seen.held():
        seen.scan()
    write(seen.path, mark)
    write(fresh.path, {**before, **mark})
    for _ in range(2):
        with seen.held(), fresh.held():
            found, other = seen.scan(), fresh.scan()
        assert (found.tree, found.caches) == (other.tree, other.caches)
    write(seen.path, dict.fromkeys(mark))
    with seen.held():
        assert seen.scan().caches == (), "without its mark the folder is the agent's"
