"""The resource suite again as an ordinary user, without control groups and with some that root has delegated."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.sandbox.cgroup.hierarchy import Hierarchy

ROOT = Path(__file__).resolve().parents[2]
SUITE = ROOT / "tests" / "sandbox" / "test_resources.py"
NOBODY = 65534
PYTHON = "/usr/bin/python3"
"""One that every user may run; the one of these tests may lie in root's home."""

ESSENCE = "fork_bomb or behind_a_pipe or fills_the_quota or ignores_the_signal or (daemons and unmarked)"
"""A test for each thing that a command is held to."""

FORMS = pytest.mark.parametrize(
    "part", [ESSENCE, pytest.param("not three_hundred and not million", marks=pytest.mark.long)], ids=["short", "long"]
)

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="the suite itself already runs as an ordinary user"),
]


def able() -> str:
    """Why another user cannot run the suite here; empty if it can."""
    if not shutil.which("setpriv") or not Path(PYTHON).exists():
        return f"no setpriv or no {PYTHON}"
    version = "import sys; print(sys.version_info[:2])"
    theirs = subprocess.run([PYTHON, "-c", version], capture_output=True, text=True, check=False).stdout.strip()
    if theirs != str(sys.version_info[:2]):
        return f"{PYTHON} is of another version than that of these tests"
    return "" if all(place.stat().st_mode & 0o001 for place in (ROOT, *ROOT.parents)) else "the checkout is private"


@pytest.fixture
def delegated() -> Iterator[tuple[Path, ...]]:
    where = Hierarchy.here()
    if where is None or where.kind != "v1":
        pytest.skip("no control groups of version 1 here; those of version 2 are delegated by systemd")
    folders = tuple(base / f"delegated-{os.getpid()}" for base in where.bases)
    for folder in folders:
        folder.mkdir()
        for entry in (folder, *folder.iterdir()):
            os.chown(entry, NOBODY, NOBODY)
    yield folders
    for folder in folders:
        for inner in sorted(folder.rglob("*"), reverse=True):
            if inner.is_dir():
                inner.rmdir()
        folder.rmdir()


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of that user's; those of pytest lie in one that is private to us."""
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, NOBODY, NOBODY)
        yield Path(folder)


def suite(home: Path, chosen: str, groups: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
    if why := able():
        pytest.skip(why)
    enter = "".join(f"echo 0 >'{folder}/tasks' && " for folder in groups)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "env", "-i"]
    env = [f"HOME={home}", "PATH=/usr/bin:/bin", f"PYTHONPATH={ROOT}:{packages}"]
    config = ["-n0", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    line = [*user, *env, PYTHON, "-m", "pytest", *config, f"--basetemp={home}/t", "-k", chosen, str(SUITE)]
    return subprocess.run(
        ["sh", "-c", f'{enter} exec "$@"', "sh", *line], cwd=home, capture_output=True, text=True, check=False
    )


@FORMS
def test_the_resource_suite_passes_as_an_ordinary_user(home: Path, part: str) -> None:
    ended = suite(home, f"({part}) and not cgroup and not plain")
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert " passed" in ended.stdout


@FORMS
def test_the_top_level_holds_for_an_ordinary_user_with_delegated_control_groups(
    home: Path, delegated: tuple[Path, ...], part: str
) -> None:
    ended = suite(home, f"({part}) and cgroup", delegated)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-2000:]
    assert "may make no control groups" not in ended.stdout
    assert " passed" in ended.stdout
