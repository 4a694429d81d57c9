"""Files of any kind, and whatever an agent does to its own git: the workspace's files are what counts."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from headway.git.changes import Changes
from headway.git.landing.landing import Landed
from tests.git.ground import Ground, git, make_repository, write


def _no_git(git_dir: Path, elsewhere: Path) -> None:
    shutil.move(git_dir, elsewhere)


def _git_is_a_link(git_dir: Path, elsewhere: Path) -> None:
    shutil.move(git_dir, elsewhere)
    git_dir.symlink_to(elsewhere)


def _git_is_a_file(git_dir: Path, elsewhere: Path) -> None:
    shutil.move(git_dir, elsewhere)
    git_dir.write_text(f"gitdir: {elsewhere}\n")


def _the_index_is_a_folder(git_dir: Path, elsewhere: Path) -> None:
    (git_dir / "index").unlink()
    (git_dir / "index" / "x").mkdir(parents=True)


def _head_is_a_link(git_dir: Path, elsewhere: Path) -> None:
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("untouched")
    (git_dir / "HEAD").unlink()
    (git_dir / "HEAD").symlink_to(elsewhere / "precious")


@pytest.mark.parametrize("break_it", [_no_git, _git_is_a_link, _git_is_a_file, _the_index_is_a_folder, _head_is_a_link])
def test_an_agent_that_breaks_its_own_git_lands_all_the_same(
    ground: Ground, tmp_path: Path, break_it: Callable[[Path, Path], None]
) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    elsewhere = tmp_path / "elsewhere"
    break_it(workspace.path / ".git", elsewhere)
    before = {place: place.read_bytes() for place in elsewhere.rglob("*") if place.is_file()}
    assert isinstance(ground.land(workspace), Landed)
    assert git(workspace.path, "rev-parse", "HEAD") == ground.hub.tip()
    assert git(workspace.path, "status", "--porcelain") == ""
    assert {place: place.read_bytes() for place in elsewhere.rglob("*") if place.is_file()} == before


def test_files_of_any_kind_survive_the_way_to_the_trunk_and_back(ground: Ground) -> None:
    workspace = ground.open()
    write(workspace.path, {"run.sh": "#!/bin/sh\n", "with space\nand newline": "x\n", "ünïcode.txt": "ü\n"})
    (workspace.path / "run.sh").chmod(0o755)
    (workspace.path / "link").symlink_to("/nowhere/at all")
    Path(os.fsdecode(os.fsencode(workspace.path) + b"/latin\xff")).write_text("bytes\n")
    names = workspace.changes().added
    assert r"latin\xff" in names
    outcome = ground.land(workspace)
    assert isinstance(outcome, Landed)
    other = ground.open(2)
    assert os.access(other.path / "run.sh", os.X_OK)
    assert not os.access(other.path / "src/app.py", os.X_OK)
    assert (other.path / "link").readlink() == Path("/nowhere/at all")
    assert "latin\udcff" in {place.name for place in other.path.iterdir()}
    assert (other.path / "with space\nand newline").exists()
    (other.path / "run.sh").chmod(0o644)
    assert other.changes().modified == ("run.sh",)


def test_a_folder_that_became_a_link_or_a_file_and_the_other_way_round(tmp_path: Path) -> None:
    source = make_repository(tmp_path / "source", {"d/x": "x\n", "e/x": "same\n", "f": "file\n", "g/h/i": "deep\n"})
    ground = Ground.prepare(tmp_path / "state", source)
    workspace = ground.open()
    write(workspace.path, {"d/x": None, "e/x": None, "f": None, "g/h/i": None, "real/x": "same\n"})
    for folder in ("d", "e", "g/h"):
        (workspace.path / folder).rmdir()
    (workspace.path / "g").rmdir()
    (workspace.path / "d").write_text("a file now\n")
    (workspace.path / "e").symlink_to("real")
    write(workspace.path, {"f/y": "a folder now\n", "g": "a file now\n"})
    assert workspace.changes().deleted == ("d/x", "e/x", "f", "g/h/i")
    ground.land(workspace)
    other = ground.open(2)
    assert (other.path / "e").is_symlink()
    assert (other.path / "f" / "y").read_text() == "a folder now\n"
    assert (other.path / "d").read_text() == (other.path / "g").read_text() == "a file now\n"
    assert workspace.changes() == Changes()


def test_submodules_stay_what_they_are(tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner", {"x": "x\n"})
    source = make_repository(tmp_path / "source", {"y": "y\n"})
    commit = git(inner, "rev-parse", "HEAD")
    git(source, "update-index", "--add", "--cacheinfo", f"160000,{commit},vendor/inner")
    git(source, "commit", "--quiet", "--message=With a submodule")
    ground = Ground.prepare(tmp_path / "state", source)
    workspace = ground.open()
    assert workspace.changes().paths == ()
    write(workspace.path, {"y": "changed\n"})
    ground.land(workspace)
    assert commit in git(ground.hub.folder, "ls-tree", "refs/heads/main", "vendor/")


def test_conversions_that_the_repository_asks_for_are_no_changes(tmp_path: Path) -> None:
    files: dict[str, str | bytes | None] = {".gitattributes": "*.bat text eol=crlf\n*.id ident\n", "a.id": "$Id$\n"}
    source = make_repository(tmp_path / "source", {**files, "run.bat": "one\r\ntwo\r\n"})
    ground = Ground.prepare(tmp_path / "state", source)
    workspace = ground.open()
    assert (workspace.path / "run.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert workspace.changes() == Changes()
    os.utime(workspace.path / "run.bat", (1, 1))
    assert workspace.changes() == Changes()
