"""Programs of the system are found whatever PATH a service is given."""

import shutil

import pytest

from headway.system.search_path import complete_search_path


@pytest.mark.parametrize("given", [None, "", "/nowhere", "/nowhere:/usr/bin", ":/nowhere"])
def test_the_shell_is_found_after_what_is_named(given: str | None) -> None:
    env = {} if given is None else {"PATH": given}
    complete_search_path(env)
    folders = env["PATH"].split(":")
    named = [folder for folder in (given or "").split(":") if folder]
    assert folders[: len(named)] == named
    assert len(folders) == len(set(folders))
    assert "" not in folders, "the working folder is no place for programs"
    assert shutil.which("sh", path=env["PATH"])
