"""A Linux kernel for the guest: Debian's for virtual machines, downloaded by apt-get and unpacked, not installed."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

META = "linux-image-cloud-amd64"
SHELL = "busybox-static"
MODULES = (
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "drivers/block/virtio_blk",
    "fs/overlayfs/overlay",
)
"""In the order in which they are loaded; a kernel that has one built in has no file of it."""


class Lacking(Exception):
    """The guest cannot be made or started on this machine; the text says what is missing."""


@dataclass(frozen=True)
class Kernel:
    """Attributes:
    image: What a boot loader starts.
    modules: The files of `MODULES`.
    busybox: A shell and its commands that need no library.
    """

    image: Path
    modules: tuple[Path, ...]
    busybox: Path


def kernel() -> Kernel:
    """The kernel out of the user's cache; downloaded at the first time.

    Raises:
        Lacking: It is not there and cannot be downloaded.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway-guest"
    whole = cache / "whole"
    if not whole.exists():
        _download(cache)
        whole.touch()
    images = sorted((cache / "boot").glob("vmlinuz-*"))
    if not images:
        raise Lacking(f"no kernel in {cache}; remove that folder, and it is downloaded again")
    version = images[-1].name.removeprefix("vmlinuz-")
    files = [cache / "lib/modules" / version / "kernel" / f"{module}.ko" for module in MODULES]
    return Kernel(images[-1], tuple(file for file in files if file.exists()), cache / "bin/busybox")


def _download(cache: Path) -> None:
    for program in ("apt-get", "apt-cache", "dpkg"):
        if shutil.which(program) is None:
            raise Lacking(f"no {program}: the guest's kernel is Debian's package")
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    said = _run(["apt-cache", "depends", "--important", META], cache)
    packages = [line.partition("Depends: ")[2] for line in said.splitlines() if "Depends: linux-image" in line]
    if not packages:
        raise Lacking(f"this system has no package {META}")
    _run(["apt-get", "-q", "download", packages[0], SHELL], cache)
    for package in cache.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(cache)], cache)
        package.unlink()


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Lacking(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
    return done.stdout
