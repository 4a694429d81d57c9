"""What looks as if it should not land is refused once, with the list; what is asked for again on purpose lands."""

import pytest

from headway.git.changes import Changes
from headway.git.landing.landing import Landed, LandingRefused
from tests.git.ground import Ground, git, write


@pytest.mark.parametrize(
    ("files", "paths", "why"),
    [
        ({"core": b"\x7fELF\0\0"}, ("core",), "binary"),
        ({"dump.sql": "x" * 1_000_001}, ("dump.sql",), "over 1 MB"),
        ({f"modules/m{n}/index.js": f"{n}\n" for n in range(201)}, ("modules",), "201 new files"),
        ({"README.md": "grown\n" * 200_000}, ("README.md",), "over 1 MB"),
    ],
    ids=["binary", "large", "many", "grown"],
)
def test_doubtful_files_land_only_on_purpose(
    ground: Ground, files: dict[str, str | bytes | None], paths: tuple[str, ...], why: str
) -> None:
    workspace = ground.open()
    write(workspace.path, files)
    refused = ground.land(workspace)
    assert isinstance(refused, LandingRefused)
    assert (refused.paths, refused.doubtful) == (paths, True)
    assert why in refused.reason
    assert ground.landings() == 0
    assert isinstance(ground.land(workspace, accept_doubtful=True), Landed)


def test_what_the_repository_holds_already_is_no_doubt(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"data.json": "x" * 1_000_001, "logo.png": b"\0one"})
    ground.land(workspace, accept_doubtful=True)
    write(workspace.path, {"data.json": "y" * 1_000_002, "logo.png": b"\0two"})
    assert isinstance(ground.land(workspace), Landed)


def test_doubtful_files_outside_the_named_paths_do_not_matter(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"core": b"\0", "fine.txt": "fine\n"})
    assert isinstance(ground.land(workspace, paths=("fine.txt",)), Landed)


@pytest.mark.parametrize("born", [True, False])
def test_a_repository_inside_never_lands(ground: Ground, born: bool) -> None:
    workspace = ground.open()
    write(workspace.path, {"third/party/file.txt": "x\n", "fine.txt": "fine\n"})
    git(workspace.path / "third", "init", "--quiet")
    if born:
        git(workspace.path / "third", "add", "--all")
        git(workspace.path / "third", "commit", "--quiet", "--message=Theirs")
    refused = ground.land(workspace, accept_doubtful=True)
    assert isinstance(refused, LandingRefused)
    assert (refused.paths, refused.doubtful) == (("third",), False)
    assert ".git" in refused.reason
    assert isinstance(ground.land(workspace, paths=("fine.txt",)), Landed)
    assert isinstance(ground.land(workspace, paths=("third/party",)), LandingRefused)
    write(workspace.path, {".gitignore": "third/\n"})
    assert isinstance(ground.land(workspace), Landed)
    assert workspace.changes() == Changes()
