"""A whole machine of its own under qemu: its kernel, its clock, this checkout on its disk."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.guest import disk
from tests.guest.kernel import Kernel, Lacking, kernel

QEMU = "qemu-system-x86_64"
MEMORY_MB = 4_096
PROCESSORS = 2
PROBED_S = {"kvm": 20.0, "tcg": 120.0}
ENDED = "guest: ended with "


def boot(folder: Path, changed: dict[str, str], within_s: float, tell: Callable[[str], None]) -> int:
    """Boot a guest whose program is `tests.guest.inside`, tell each line that it prints, and return its exit code.

    Args:
        folder: An empty one, for the disks.
        changed: Files of the checkout that read otherwise in the guest: planted faults.
        tell: Hears each line.
        within_s: Seconds until the guest is ended from outside.

    Raises:
        Lacking: There can be no guest on this machine.
    """
    if sys.platform != "linux" or shutil.which(QEMU) is None:
        raise Lacking(f"no {QEMU}")
    found, first = kernel(), folder / "initramfs"
    disk.initramfs(found, first)
    accelerator = _accelerator(found, first)
    image = disk.root(found, folder, changed)
    tell(f"{found.image.name} under {accelerator}, a disk of {image.stat().st_blocks // 2048} MB")
    drive = ["-drive", f"file={image},format=raw,if=virtio,cache=unsafe"]
    process = _started(found, first, accelerator, "", drive)
    code, until = None, time.monotonic() + within_s
    try:
        assert process.stdout is not None
        for line in process.stdout:
            tell(line.rstrip())
            if line.startswith(ENDED):
                code = int(line.removeprefix(ENDED))
            if time.monotonic() > until:
                break
    finally:
        process.kill()
        process.wait()
    if code is None:
        tell("the guest did not come to an end")
    return 1 if code is None else code


def _accelerator(found: Kernel, first: Path) -> str:
    """The fastest way in which this kernel really boots: a /dev/kvm may be there and hang, as nested ones do."""
    for name, limit in PROBED_S.items():
        if name == "kvm" and not Path("/dev/kvm").exists():
            continue
        process = _started(found, first, name, "guest_probe", [])
        try:
            if "guest: boots" in process.communicate(timeout=limit)[0]:
                return name
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
    raise Lacking(f"the kernel {found.image.name} boots neither under KVM nor under TCG")


def _started(found: Kernel, first: Path, accelerator: str, more: str, drives: list[str]) -> "subprocess.Popen[str]":
    command = [QEMU, "-accel", accelerator, "-cpu", "max", "-m", str(MEMORY_MB), "-smp", str(PROCESSORS)]
    command += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
    command += ["-kernel", str(found.image), "-initrd", str(first)]
    command += ["-append", f"console=ttyS0 panic=-1 loglevel=3 {more}", *drives]
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, text=True, errors="replace", **streams)  # type: ignore[call-overload,no-any-return]
