"""Linux kernels for the guest: Debian's packages, downloaded by apt-get and unpacked into a cache, not installed."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

VIRTUAL, USER_MODE, SHELL = "linux-image-cloud-amd64", "user-mode-linux", "busybox-static"
OF_QEMU = (
    "drivers/nvdimm/libnvdimm",
    "drivers/nvdimm/nd_btt",
    "drivers/nvdimm/nd_pmem",
    "drivers/acpi/nfit/nfit",
    "fs/overlayfs/overlay",
)
"""Modules in the order in which they are loaded; a kernel that has one built in has no file of it."""
OF_USER_MODE = ("fs/overlayfs/overlay",)


class Lacking(Exception):
    """The guest cannot be made or started on this machine; the text says what is missing."""


@dataclass(frozen=True)
class Kernel:
    """Attributes:
    image: What a boot loader, or for a kernel that is a program the shell, starts.
    modules: To be loaded before the disk is mounted.
    busybox: A shell and its commands that need no library.
    disk: The device of the root.
    """

    image: Path
    modules: tuple[Path, ...]
    busybox: Path
    disk: str


def virtual() -> Kernel:
    """The one for virtual machines.

    Raises:
        Lacking: It is not in the cache and cannot be downloaded.
    """
    place = _unpacked(VIRTUAL, depends="linux-image")
    images = sorted((place / "boot").glob("vmlinuz-*"))
    if not images:
        raise Lacking(f"no kernel in {place}; remove that folder, and it is downloaded again")
    version = images[-1].name.removeprefix("vmlinuz-")
    return _kernel(images[-1], place / "lib/modules" / version, OF_QEMU, "/dev/pmem0")


def user_mode() -> Kernel:
    """The one that is a program: User-mode Linux.

    Raises:
        Lacking: It is not in the cache and cannot be downloaded.
    """
    place = _unpacked(USER_MODE)
    images, modules = [*place.glob("usr/bin/linux*")], [*place.glob("usr/lib/uml/modules/*")]
    if len(images) != 1 or len(modules) != 1:
        raise Lacking(f"no kernel in {place}; remove that folder, and it is downloaded again")
    return _kernel(images[0], modules[0], OF_USER_MODE, "/dev/ubda")


def _kernel(image: Path, folder: Path, names: tuple[str, ...], disk: str) -> Kernel:
    files = [folder / "kernel" / f"{name}.ko" for name in names]
    return Kernel(image, tuple(file for file in files if file.exists()), _unpacked(SHELL) / "bin/busybox", disk)


def _unpacked(package: str, depends: str = "") -> Path:
    """The folder of a package, or of the one that it depends on whose name begins so; downloaded at the first time."""
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway-guest" / package
    if (place / "whole").exists():
        return place
    for program in ("apt-get", "apt-cache", "dpkg"):
        if shutil.which(program) is None:
            raise Lacking(f"no {program}: the guest's kernel is a package of Debian's, {package}")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wanted = package
    if depends:
        said = _run(["apt-cache", "depends", "--important", package], place)
        found = [line.partition("Depends: ")[2] for line in said.splitlines() if f"Depends: {depends}" in line]
        if not found:
            raise Lacking(f"this system has no package {package}")
        wanted = found[0]
    _run(["apt-get", "-q", "download", wanted], place)
    for file in place.glob("*.deb"):
        _run(["dpkg", "-x", str(file), str(place)], place)
        file.unlink()
    (place / "whole").touch()
    return place


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Lacking(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
    return done.stdout
