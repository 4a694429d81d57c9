"""Git with fsyncMethod=batch tells of success where an object did not get its name. The file is read anew."""

import os
from pathlib import Path

import pytest

from headway.git.git_process import GitError
from headway.git.landing.landing import Landed
from headway.git.repo import Repo
from tests.git.ground import RUNGS, Ground, git, write


def _stand_in(ground: Ground, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a script in the place of `git`; `$real` is git itself."""
    real = Repo(ground.hub.folder).run("--exec-path").text + "/git"
    fake = folder / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\nreal={real}\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize("rung", RUNGS, indirect=True)
def test_a_file_whose_object_did_not_get_its_name_lands_all_the_same(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n", "other.txt": "other\n"})
    oid = git(workspace.path, "hash-object", "new.txt")
    lost = ground.hub.folder / "objects" / oid[:2] / oid[2:]
    # As a full disk does it: once, and with exit code 0.
    done = tmp_path / "lost"
    once = f"[ -e {done} ] || rm {lost} 2>/dev/null && touch {done}"
    losing = f'"$real" "$@"; code=$?; {once}; exit $code'
    _stand_in(ground, tmp_path, monkeypatch, losing)
    assert isinstance(ground.land(workspace), Landed)
    assert done.exists()
    assert ground.hub.read_file("refs/heads/main", "new.txt") == b"new\n"
    ground.check_whole()


@pytest.mark.parametrize("said", ["fatal: Unable to write new index file", "fatal: write error: Disk quota exceeded"])
def test_a_repository_that_cannot_be_written_is_no_fault_of_the_file(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    workspace = ground.open()
    write(workspace.path, {"new.txt": "new\n"})
    failing = f'case "$1" in update-index) echo "{said}" >&2; exit 128;; esac\nexec "$real" "$@"'
    _stand_in(ground, tmp_path, monkeypatch, failing)
    with pytest.raises(GitError):
        ground.land(workspace)
