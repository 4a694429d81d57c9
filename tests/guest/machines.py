"""Whole machines of their own: a kernel, a clock, and this checkout on their disk.

The clock of a container is that of its host, so there must be another kernel. QEMU with KVM is the fastest; where
/dev/kvm does not work, as inside most virtual machines, User-mode Linux is a kernel that runs as a program, and QEMU
without KVM is left, which takes far longer.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.guest import disk, kernel
from tests.guest.kernel import Kernel, Lacking

QEMU = "qemu-system-x86_64"
MEMORY_MB = 3_072
QUICK = "mitigations=off nopti norandmaps nokaslr nowatchdog"
"""For the kernel: page-table isolation would empty an emulated processor's translations at each system call."""
STEPPING = "-m tests.guest.inside"
"""The program that runs Headway while the clock of the machine steps."""
ENDED = "guest: ended with "
XSTATE = Path(__file__).with_name("xstate.c")


@dataclass(frozen=True)
class Machine:
    """Attributes:
    name: For people.
    kernel: What it starts.
    probed_s: Seconds within which the kernel must have booted: a /dev/kvm may be there and hang.
    command: What starts it with an initramfs, words for its kernel, and a disk or none.
    env: Additions to the environment of that.
    """

    name: str
    kernel: Kernel
    probed_s: float
    command: Callable[[Path, str, Path | None], list[str]]
    env: dict[str, str]


def boot(
    folder: Path, program: str, within_s: float, tell: Callable[[str], None], changed: dict[str, str] | None = None
) -> int:
    """Boot a guest, tell each line that its program prints, and return the program's exit code.

    Args:
        folder: An empty one, for the disks.
        program: Words after `python` that start it, in the checkout.
        within_s: Seconds until the guest is ended from outside.
        tell: Hears each line.
        changed: Files of the checkout that read otherwise in the guest: planted faults.

    Raises:
        Lacking: There can be no guest on this machine.
    """
    machine, first = fastest(folder)
    image = disk.root(machine.kernel, folder, changed or {}, program)
    tell(f"{machine.kernel.image.name} under {machine.name}, a disk of {image.stat().st_blocks // 2048} MB")
    code = None
    with _started(machine, first, "", image) as process:
        limit = threading.Timer(within_s, process.kill)
        limit.start()
        assert process.stdout is not None
        for line in process.stdout:
            tell(line.rstrip())
            if line.startswith(ENDED):
                code = int(line.removeprefix(ENDED))
        limit.cancel()
    if code is None:
        tell("the guest did not come to an end")
    return 1 if code is None else code


def fastest(folder: Path) -> tuple[Machine, Path]:
    """The fastest machine that really boots here, and its initramfs.

    Raises:
        Lacking: None does.
    """
    lacking, first = [], folder / "initramfs"
    for make in (_kvm, _user_mode, _emulated):
        try:
            machine = make(folder)
        except Lacking as why:
            lacking.append(str(why))
            continue
        disk.initramfs(machine.kernel, first)
        with _started(machine, first, "guest_probe", None) as process:
            limit = threading.Timer(machine.probed_s, process.kill)
            limit.start()
            said = process.communicate()[0]
            limit.cancel()
        if "guest: boots" in said:
            return machine, first
        lacking.append(f"{machine.kernel.image.name} does not boot under {machine.name}: {said[-200:]}")
    raise Lacking("; ".join(lacking))


@contextmanager
def _started(machine: Machine, first: Path, words: str, image: Path | None) -> Iterator["subprocess.Popen[str]"]:
    command = machine.command(first, words, image)
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    env = os.environ | machine.env
    with subprocess.Popen(command, env=env, text=True, errors="replace", start_new_session=True, **streams) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _kvm(folder: Path) -> Machine:
    if not Path("/dev/kvm").exists():
        raise Lacking("no /dev/kvm")
    return _qemu("kvm", "-accel kvm -cpu max -smp 2", 20.0)


def _emulated(folder: Path) -> Machine:
    """QEMU without KVM. It counts its time in instructions, a nanosecond each, and skips what it would sleep.

    So it is not slow by its own clock, however busy this machine is, and no limit in seconds is met for that.
    """
    return _qemu("tcg", "-accel tcg -cpu max -smp 1 -icount shift=0,sleep=off -rtc base=utc,clock=vm", 300.0)


def _qemu(name: str, words: str, probed_s: float) -> Machine:
    if shutil.which(QEMU) is None:
        raise Lacking(f"no {QEMU} (package qemu-system-x86)")
    found = kernel.virtual()

    def command(first: Path, more: str, image: Path | None) -> list[str]:
        started = [QEMU, "-machine", "pc,nvdimm=on", *words.split()]
        started += ["-m", f"{MEMORY_MB}M,slots=1,maxmem={2 * MEMORY_MB}M"]
        started += ["-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot"]
        started += ["-kernel", str(found.image), "-initrd", str(first)]
        started += ["-append", f"console=ttyS0 panic=-1 loglevel=3 {QUICK} {more}"]
        if image is not None:
            # Memory to the guest: a disk that answers later would let a counted clock run ahead meanwhile.
            file = f"memory-backend-file,id=disk,share=on,mem-path={image},size={image.stat().st_size}"
            started += ["-object", file, "-device", "nvdimm,memdev=disk,id=disk0"]
        return started

    return Machine(f"qemu-system with {name}", found, probed_s, command, {})


def _user_mode(folder: Path) -> Machine:
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        raise Lacking("no C compiler for a library that User-mode Linux needs (package gcc)")
    found, library = kernel.user_mode(), folder / "xstate.so"
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(XSTATE)], check=True)

    def command(first: Path, more: str, image: Path | None) -> list[str]:
        started = [str(found.image), f"mem={MEMORY_MB}M", f"uml_dir={folder}/uml/", f"initrd={first}"]
        started += ["con=null", "con0=null,fd:1", "quiet", *more.split()]
        return started if image is None else [*started, f"ubd0={image}"]

    return Machine("User-mode Linux", found, 60.0, command, {"LD_PRELOAD": str(library)})
