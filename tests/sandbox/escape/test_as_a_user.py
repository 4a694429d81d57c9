"""The same suites as an ordinary user, where these tests run as root."""

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534
TUN = Path("/dev/net/tun")
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SUITES = (HERE / "test_deaths.py", HERE / "test_escape.py", HERE / "test_network.py", HERE / "test_toolchains.py")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an ordinary user already")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of that user, outside of root's own temporary ones."""
    made = Path(tempfile.mkdtemp(prefix="headway-user-"))
    (made / ".gitconfig").write_text("[user]\n\tname = Nobody\n\temail = nobody@example.org\n", encoding="ascii")
    os.chown(made, NOBODY, NOBODY)
    yield made
    shutil.rmtree(made)


def as_nobody(folder: Path, argv: list[str]) -> "subprocess.CompletedProcess[str]":
    libraries = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    env = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "PYTHONPATH": libraries}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}
    user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    # Through a shell: the first program is still found with the rights of root.
    line = [*with_usual_tun(folder), *user, "sh", "-c", 'exec "$@"', "sh", *argv]
    return subprocess.run(line, env=env, cwd=folder, capture_output=True, text=True, check=False)


def with_usual_tun(folder: Path) -> list[str]:
    """The words that show a program the device of networks with the mode that udev gives it: every user may use it."""
    if not TUN.exists():
        return []
    device = folder / "tun"
    if not device.exists():
        os.mknod(device, stat.S_IFCHR | 0o666, TUN.stat().st_rdev)
        device.chmod(0o666)
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "{device}" {TUN} && exec "$@"', "sh"]


def python_for(folder: Path) -> str:
    """An interpreter like this one that this user may run: ours may lie in the home of root."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if as_nobody(folder, [candidate, "-c", "import headway, pydantic_core, pytest"]).returncode == 0:
            return candidate
    pytest.skip(f"an ordinary user may run no {version} here that finds Headway")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("form", ["short", pytest.param("long", marks=pytest.mark.long)])
def test_the_suites_pass_as_an_ordinary_user(folder: Path, form: str) -> None:
    argv = [python_for(folder), "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    argv += ["-c", str(ROOT / "pyproject.toml"), f"--basetemp={folder / 'tests'}", *map(str, SUITES)]
    argv += ["-k", "not cgroup and not TERM and not test_toolchains"] if form == "short" else []
    done = as_nobody(folder, argv)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout.splitlines()[-1]
    assert "a trial failed" not in done.stdout, "what this machine has works for every user"
