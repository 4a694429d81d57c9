"""Remedies that give this machine a better sandbox: one command, where there is one."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from headway.sandbox.backends.bubblewrap import programs
from headway.sandbox.backends.network import HELPER

CGROUP = (
    "run the worker processes as root, or in a scope of your own: systemd-run --user --scope -p Delegate=yes headway up"
)
_INSTALL = {
    "debian": "apt-get install {}",
    "ubuntu": "apt-get install {}",
    "fedora": "dnf install {}",
    "rhel": "dnf install {}",
    "arch": "pacman -S {}",
    "alpine": "apk add {}",
    "suse": "zypper install {}",
    "opensuse": "zypper install {}",
}
_KERNEL = Path("/proc/sys")
_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))
_PROFILE = (
    "apt-get install apparmor-profiles && ln -s /usr/share/apparmor/extra-profiles/bwrap-userns-restrict"
    " /etc/apparmor.d/ && apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"
)
_DOCKER = (
    "start the container with --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
    " --security-opt systempaths=unconfined"
)


def install(
    package: str, release: Path = Path("/etc/os-release"), which: Callable[[str], str | None] = shutil.which
) -> str:
    """This distribution's command that installs a package, or a sentence that names the package."""
    words: list[str] = []
    if release.is_file():
        for line in release.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition("=")
            if name in {"ID", "ID_LIKE"}:
                words += value.strip("\"'").split()
    known = [_INSTALL[word] for word in words if word in _INSTALL and which(_INSTALL[word].split()[0]) is not None]
    command = next(iter(known), "install the package {}").format(package)
    sudo = os.geteuid() != 0 and not command.startswith("install")
    return f"sudo {command}" if sudo else command


def bubblewrap_missing() -> tuple[str, str] | None:
    """Reason why there is no bubblewrap at all, and the remedy; None when there is one."""
    if sys.platform != "linux":
        return "bubblewrap is a program for Linux", "Run the worker processes on Linux."
    if not programs():
        return "bubblewrap is not installed", install("bubblewrap")
    return None


def bubblewrap_fails(said: str, kernel: Path = _KERNEL) -> tuple[str, str]:
    """The reason why bubblewrap does not work here, by its own words and the kernel's settings, and the remedy."""
    if os.geteuid() != 0:
        if _set_to(kernel / "kernel/apparmor_restrict_unprivileged_userns", "1"):
            return "AppArmor keeps users from making namespaces (as Ubuntu does since 23.10)", f"as root: {_PROFILE}"
        for name in ("kernel/unprivileged_userns_clone", "user/max_user_namespaces"):
            if _set_to(kernel / name, "0"):
                key, value = name.replace("/", "."), "1" if name.startswith("kernel") else "15000"
                return f"users may not make namespaces ({key} is 0)", f"sudo sysctl -w {key}={value}"
    if any(mark.exists() for mark in _CONTAINER):
        return f"this container may make no namespaces: {said}", _DOCKER
    return f"a trial failed: {said}", ""


def network(*, installed: bool, tun: Path = Path("/dev/net/tun")) -> str:
    """The user's way to let a command have a network of its own; empty where none is known.

    Args:
        installed: The program that serves it is there.
        tun: The device that it needs.
    """
    if not programs():
        return ""
    if not installed:
        return install(HELPER)
    if not tun.exists():
        return f"as root: modprobe tun (start a container with --device {tun})"
    return "" if os.access(tun, os.R_OK | os.W_OK) else f"as root: chmod 666 {tun} (the mode that udev gives it)"


def _set_to(file: Path, value: str) -> bool:
    return file.is_file() and file.read_text(encoding="ascii").strip() == value
