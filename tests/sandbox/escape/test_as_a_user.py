"""The same suites as an ordinary user, where these tests run as root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ordinary_user import ROOT, as_ordinary_user, give, python_for

HERE = Path(__file__).parent
SUITES = (HERE / "test_deaths.py", HERE / "test_escape.py", HERE / "test_network.py", HERE / "test_toolchains.py")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an ordinary user already")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of that user, outside of root's own temporary ones."""
    made = Path(tempfile.mkdtemp(prefix="headway-user-"))
    (made / ".gitconfig").write_text("[user]\n\tname = Nobody\n\temail = nobody@example.org\n", encoding="ascii")
    give(made)
    yield made
    shutil.rmtree(made)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("form", ["short", pytest.param("long", marks=pytest.mark.long)])
def test_the_suites_pass_as_an_ordinary_user(folder: Path, form: str) -> None:
    argv = [python_for(folder), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    argv += ["-c", str(ROOT / "pyproject.toml"), f"--basetemp={folder / 'tests'}", *map(str, SUITES)]
    argv += ["-k", "not cgroup and not TERM and not test_toolchains"] if form == "short" else []
    done = as_ordinary_user(folder, argv)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
    assert "a trial failed" not in done.stdout, "what this machine has works for every user"
