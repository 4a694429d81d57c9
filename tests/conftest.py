"""For every room: what a test leaves in the file system, in mounts and as its working folder is taken back."""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from headway.git.workspace import overlay
from headway.system.files import delete

settings.register_profile("headway", deadline=None)
settings.load_profile("headway")
"""How long an example takes says how busy the machine is, and nothing of what is tested."""

_FAILED = pytest.StashKey[bool]()

WHOLE_MACHINES = frozenset({"chaos", "cli", "end_to_end", "growth", "workflows"})
"""Folders whose tests start servers and wait for them. The tests of the others mostly compute."""
LAST_SHARE = 0.1
"""The share of the files that compute which comes last, so that all processes end at nearly the same time."""


def pytest_configure() -> None:
    """A script starts its background commands with SIGINT ignored, and tests send that signal to programs of theirs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the files, spread those that wait evenly among those that compute."""
    if not hasattr(config, "workerinput"):
        return
    waits = {item.path: item.path.relative_to(config.rootpath).parts[1] in WHOLE_MACHINES for item in items}
    place: dict[Path, float] = {}
    for kind in (True, False):
        files = [path for path, is_kind in waits.items() if is_kind is kind]
        share = 1 - LAST_SHARE if kind else 1
        place |= {path: share * index / len(files) for index, path in enumerate(files)}
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish() -> None:
    """Thousands of tests live as long as the process. A full collection would look at them each time, for 165 ms."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(autouse=True)
def _taken_back(request: pytest.FixtureRequest) -> Iterator[None]:
    """Workspaces may be mounts, and agents make folders deeper than pytest can delete.

    The folder of a failed test stays.
    """
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    at = Path.cwd()
    yield
    os.chdir(at)
    if folder is not None:
        overlay.unmount_below(folder)
        if not request.node.stash.get(_FAILED, False):
            delete(folder)


@pytest.fixture(scope="session", autouse=True)
def _all_unmounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    yield
    overlay.unmount_below(tmp_path_factory.getbasetemp())
