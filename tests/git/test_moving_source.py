"""A repository that is read while git writes to it: pushes of other runs, or the user at work."""

import os
import threading
from pathlib import Path

import pytest

from headway.git.checked_folder import check_folder

PUSHED = "tmp_objdir-incoming-a1b2c3"
"""As git names the folder below `objects` in which it holds what is being pushed."""


@pytest.mark.parametrize("gone", ["the folder", "what is in it"])
def test_a_push_that_ends_meanwhile_is_no_obstacle(gone: str, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = source / ".git" / "objects"
    pushed = objects / PUSHED
    pushed.mkdir()
    (pushed / "pack").mkdir()
    scan = os.scandir

    def scandir(folder: str) -> "os._ScandirIterator[str]":
        if gone == "the folder" and Path(folder) == pushed:
            (pushed / "pack").rmdir()
            pushed.rmdir()
        if gone == "what is in it" and Path(folder) == pushed / "pack":
            (pushed / "pack").rmdir()
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    check_folder(source)
    assert not (pushed / "pack").exists(), "it went away while it was read"


def test_a_folder_that_comes_and_goes_is_no_obstacle(source: Path) -> None:
    objects, ends = source / ".git" / "objects", threading.Event()

    def push() -> None:
        while not ends.is_set():
            (objects / PUSHED).mkdir()
            (objects / PUSHED).rmdir()

    pushing = threading.Thread(target=push)
    pushing.start()
    try:
        for _ in range(200):
            check_folder(source)
    finally:
        ends.set()
        pushing.join()
