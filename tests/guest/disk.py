"""The guest's disks: an initramfs that finds the root, and a root with Python, git and this checkout."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.guest.kernel import Kernel, Lacking

ROOT = Path(__file__).parent.parent.parent
SIZE_MB = 2_048
PROGRAMS = (
    *("bash", "bwrap", "cat", "chmod", "cp", "date", "dd", "du", "env", "find", "git", "grep", "head", "id", "ls"),
    *("mkdir", "mktemp", "mv", "nohup", "rm", "setsid", "sleep", "sort", "sync", "tail", "test", "timeout", "touch"),
    *("tr", "true", "wc", "yes"),
)
LEFT_OUT = ("test", "idlelib", "tkinter", "ensurepip", "site-packages", "config-*", "*.a")
NOT_OF_THE_VENV = ("mypy*", "ruff*", "*mypyc*", "temporal-test-server", "pip", "setuptools")
NOT_OF_THE_CHECKOUT = (".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "histories")

FIRST = """#!/bin/busybox sh
export PATH=/bin
busybox mount -t devtmpfs dev /dev
busybox mount -t proc proc /proc
if busybox grep -q guest_probe /proc/cmdline; then echo "guest: boots"; busybox poweroff -f; fi
for module in $(busybox cat /modules/order); do busybox insmod /modules/$module; done
until busybox test -b {disk}; do busybox sleep 0.1; done
busybox mount -t ext4 {disk} /root
exec busybox switch_root /root /guest/init
"""

SECOND = """#!/guest/busybox sh
b=/guest/busybox
export PATH=/usr/bin HOME=/root LANG=C.UTF-8 PYTHONPATH={checkout} PYTHONUNBUFFERED=1 PYTHONSAFEPATH=1
# User-mode Linux saves only half of these registers around a signal.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev 2>/dev/null
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts pts /dev/pts
$b mount -t tmpfs shm /dev/shm
$b mount -t cgroup2 cgroup /sys/fs/cgroup
$b ln -sf /proc/self/fd /dev/fd
$b ifconfig lo 127.0.0.1 up
cd {checkout}
{python} {program} </dev/null 2>&1
echo "guest: ended with $?"
$b poweroff -f
"""


def initramfs(kernel: Kernel, at: Path) -> None:
    """Write what the kernel starts first."""
    names = "\n".join(module.name for module in kernel.modules)
    folders = ("bin", "dev", "proc", "root", "modules")
    files = {
        "bin/busybox": kernel.busybox.read_bytes(),
        "init": FIRST.format(disk=kernel.disk).encode(),
        "modules/order": names.encode(),
    }
    files |= {f"modules/{module.name}": module.read_bytes() for module in kernel.modules}
    with at.open("wb") as out:
        for name, mode, data in (
            *((name, 0o40755, b"") for name in folders),
            *((name, 0o100755, data) for name, data in files.items()),
            ("TRAILER!!!", 0, b""),
        ):
            out.write(_entry(name, mode, data))


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """One file of a cpio archive in the format `newc`."""
    path = name.encode() + b"\0"
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def root(kernel: Kernel, folder: Path, changed: dict[str, str], program: str) -> Path:
    """An ext4 image of all that the guest needs.

    Args:
        kernel: The guest's.
        folder: Where the image is made.
        changed: Files of the checkout that read otherwise in the guest.
        program: Words after `python` that start the guest's program.

    Raises:
        Lacking: This machine has not what the image is made of.
    """
    if shutil.which("mkfs.ext4") is None:
        raise Lacking("no mkfs.ext4 to make the guest's disk (package e2fsprogs)")
    tree, image = folder / "tree", folder / "root.img"
    _skeleton(tree, kernel, program)
    _system(tree)
    _python(tree)
    checkout = tree / ROOT.relative_to("/")
    shutil.copytree(
        ROOT, checkout, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*NOT_OF_THE_CHECKOUT)
    )
    for name, text in changed.items():
        assert (checkout / name).exists(), name
        (checkout / name).write_text(text)
    _compile(tree, Path(sys.base_prefix), Path(sys.prefix), ROOT)
    _run("mkfs.ext4", "-q", "-F", "-d", str(tree), str(image), f"{SIZE_MB}M")
    shutil.rmtree(tree)
    return image


def _skeleton(tree: Path, kernel: Kernel, program: str) -> None:
    for name in (
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "etc",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "var/tmp",
        "root",
        "guest",
    ):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (tree / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tree / "root/.gitconfig").write_text("[user]\n\tname = Ada User\n\temail = ada@example.org\n")
    shutil.copy2(kernel.busybox, tree / "guest/busybox")
    start = tree / "guest/init"
    start.write_text(SECOND.format(checkout=ROOT, python=Path(sys.executable), program=program))
    start.chmod(0o755)


def _system(tree: Path) -> None:
    """Programs, and the libraries that they and Python's extensions are linked with."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise Lacking(f"programs that the guest needs are missing: {', '.join(missing)}")
    for name, path in found.items():
        shutil.copy2(str(path), tree / "usr/bin" / name)
    (tree / "usr/bin/sh").symlink_to("bash")
    core = Path(_run("git", "--exec-path").strip())
    shutil.copytree(core, tree / core.relative_to("/"), symlinks=True)
    templates = Path("/usr/share/git-core")
    if templates.exists():
        shutil.copytree(templates, tree / templates.relative_to("/"), symlinks=True)
    base = Path(sys.base_prefix)
    linked = [Path(path) for path in found.values() if path]
    linked += [Path(sys.executable).resolve(), *base.glob("lib/python*/lib-dynload/*.so")]
    # Extensions bring their libraries along, but for the compiler's.
    linked += Path(sys.prefix).glob("lib/python*/site-packages/temporalio/bridge/*.so")
    for library in _libraries(linked):
        place = tree / "usr" / library.relative_to("/usr" if library.is_relative_to("/usr") else "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(library, place)


def _libraries(files: Iterable[Path]) -> set[Path]:
    said = subprocess.run(["ldd", *map(str, files)], capture_output=True, text=True, check=False).stdout
    return {Path(path) for path in re.findall(r"(/\S+\.so\S*) \(0x", said)}


def _python(tree: Path) -> None:
    """The interpreter and this virtual environment, where they are here."""
    base, venv = Path(sys.base_prefix), Path(sys.prefix)
    at = tree / base.relative_to("/")
    (at / "bin").mkdir(parents=True, exist_ok=True)
    binary = Path(sys.executable).resolve()
    shutil.copy2(binary, at / "bin" / binary.name)
    (at / "bin/python3").symlink_to(binary.name)
    (at / "bin/python").symlink_to(binary.name)
    library = f"lib/python{sys.version_info.major}.{sys.version_info.minor}"
    shutil.copytree(base / library, at / library, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for shared in base.glob("lib/libpython*.so*"):
        shutil.copy2(shared, at / "lib" / shared.name, follow_symlinks=False)
    if venv != base:
        ignored = shutil.ignore_patterns(*NOT_OF_THE_VENV)
        shutil.copytree(venv, tree / venv.relative_to("/"), symlinks=True, ignore=ignored, dirs_exist_ok=True)


def _compile(tree: Path, *folders: Path) -> None:
    """Bytecode of all modules, for a processor that needs minutes to compile them."""
    places = [str(tree / folder.relative_to("/")) for folder in folders]
    # Some files of the standard library are no modules on purpose.
    subprocess.run(
        [sys.executable, "-Wignore", "-m", "compileall", "-qq", "-s", str(tree), "-p", "/", *places], check=False
    )


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        raise Lacking(f"{' '.join(command)}: {done.stderr.strip()[-400:]}")
    return done.stdout
