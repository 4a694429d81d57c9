"""Programs as an ordinary user of the machine, where the tests run as root; as ourselves where they do not."""

import os
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

NOBODY = 65534
ROOT = Path(__file__).resolve().parents[2]
TUN = Path("/dev/net/tun")
IS_ROOT = os.geteuid() == 0


def give(place: Path) -> None:
    """Let that user own it."""
    if IS_ROOT:
        os.chown(place, NOBODY, NOBODY)


def as_ordinary_user(folder: Path, argv: list[str], **more: str) -> "subprocess.CompletedProcess[str]":
    """Run a program in a folder of that user's, which is its home unless `more` names another."""
    libraries = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    env = {"HOME": str(folder), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "PYTHONPATH": libraries}
    env |= {"PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8", **more}
    user = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    # Through a shell: the first program is still found with the rights of root.
    line = [*_with_usual_tun(folder), *user, "sh", "-c", 'exec "$@"', "sh", *argv] if IS_ROOT else argv
    return subprocess.run(line, env=env, cwd=folder, capture_output=True, text=True, check=False)


def python_for(folder: Path) -> str:
    """An interpreter like this one that this user may run: ours may lie in the home of root."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if as_ordinary_user(folder, [candidate, "-c", "import headway, pydantic_core, pytest"]).returncode == 0:
            return candidate
    pytest.skip(f"an ordinary user may run no {version} here that finds Headway")


def _with_usual_tun(folder: Path) -> list[str]:
    """The words that show a program the device of networks with the mode that udev gives it: every user may use it."""
    if not TUN.exists():
        return []
    device = folder / "tun"
    if not device.exists():
        os.mknod(device, stat.S_IFCHR | 0o666, TUN.stat().st_rdev)
        device.chmod(0o666)
    return ["unshare", "--mount", "sh", "-c", f'mount --bind "{device}" {TUN} && exec "$@"', "sh"]
