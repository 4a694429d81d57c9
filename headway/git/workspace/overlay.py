"""Mounting overlays: one work tree for each agent over frozen layers that all agents share.

System calls by number, because the C library has no `fsopen` everywhere and spawning mount(8) costs ten times as much.
Never `volatile`: a crash of the machine must leave the layers mountable.
"""

import ctypes
import errno
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path

_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
"""The same on every architecture; Linux 5.2 and newer."""

_CLOEXEC = 1
_SET_FLAG, _SET_STRING, _CREATE = 0, 1, 6
_FROM_EMPTY_PATH = 4
_HERE = -100
_LONGEST = 256
_DETACH = 2
_NOSUID, _NODEV = 2, 4

_WHOLE_MACHINE = "0 0 4294967295"
"""The user ids of a process that is in no user namespace of its own, as the kernel maps them."""

MOUNT_POINT = "work"
"""The kernel makes a folder of this name inside the work folder of an overlay. Nothing else uses it, so the overlay is
mounted right there. That saves each workspace a folder: 4 KB on ext4."""


def mount(layers: Sequence[Path], upper: Path, scratch: Path) -> Path:
    """Mount `upper` over `layers` (the newest first) at `scratch/work`, which is returned.

    `upper` and `scratch` lie on one file system, neither in the other; what the mount point holds is the kernel's own.

    Raises:
        OSError: The kernel refuses.
    """
    with ExitStack() as open_now:
        context = _call(_FSOPEN, b"overlay", ctypes.c_uint(_CLOEXEC))
        open_now.callback(os.close, context)
        # Paths by descriptor: any character may stand in them, and they are short.
        names = []
        for folder in (*layers, upper, scratch):
            handle = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            open_now.callback(os.close, handle)
            names.append(f"/proc/self/fd/{handle}")
        *lower, above, beside = names
        _configure(context, "source", "headway")
        _stack(context, lower)
        # Its mount tells the path of the upper to programs that measure it.
        _configure(context, "upperdir", _plain(upper) or above)
        _configure(context, "workdir", _plain(scratch) or beside)
        if _in_user_namespace():
            # In there `trusted` attributes cannot be set, and without attributes a folder cannot be deleted.
            _call(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_SET_FLAG), b"userxattr", None, ctypes.c_int(0))
        _call(_FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_CREATE), None, None, ctypes.c_int(0))
        made = _call(_FSMOUNT, ctypes.c_int(context), ctypes.c_uint(_CLOEXEC), ctypes.c_uint(_NOSUID | _NODEV))
        open_now.callback(os.close, made)
        at = scratch / MOUNT_POINT
        _call(
            _MOVE_MOUNT, ctypes.c_int(made), b"", ctypes.c_int(_HERE), os.fsencode(at), ctypes.c_uint(_FROM_EMPTY_PATH)
        )
        return at


def _plain(folder: Path) -> str:
    """A path that can be handed over as it is; empty for one that cannot."""
    text = str(folder)
    return text if len(os.fsencode(text)) < _LONGEST and not set(text) & set("\\,:") else ""


def unmount(at: Path) -> None:
    """Take away all mounts at `at`, at once even while a process works there; nothing if none is mounted."""
    while is_mounted(at):
        result = _libc().umount2(os.fsencode(at), ctypes.c_int(_DETACH))
        if result and (code := ctypes.get_errno()) not in {errno.EINVAL, errno.ENOENT}:
            raise OSError(code, os.strerror(code), str(at))


def is_mounted(at: Path) -> bool:
    """True if a file system is mounted at `at`."""
    return os.path.ismount(at)


def mounted_below(folder: Path) -> list[Path]:
    """Mount points in a tree, the innermost first."""
    top = os.path.realpath(folder) + "/"
    found = []
    with suppress(OSError):
        for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
            at = re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), line.split(" ")[4])
            if at.startswith(top):
                found.append(Path(at))
    return sorted(found, reverse=True)


def unmount_below(folder: Path) -> None:
    """Take away every mount in a tree, so that it can be deleted."""
    for at in mounted_below(folder):
        unmount(at)


def is_whiteout(found: os.stat_result) -> bool:
    """True if an entry of an upper says that this name was deleted."""
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(folder: Path | str | bytes) -> bool:
    """True if a folder of an upper hides what older layers have below it."""
    try:
        return os.getxattr(folder, _opaque(), follow_symlinks=False) == b"y"
    except OSError:
        return False


def _opaque() -> str:
    """The attribute of a folder that hides what lies below it in older layers."""
    return "user.overlay.opaque" if _in_user_namespace() else "trusted.overlay.opaque"


@lru_cache(maxsize=1)
def _in_user_namespace() -> bool:
    try:
        return Path("/proc/self/uid_map").read_text().split() != _WHOLE_MACHINE.split()
    except OSError:
        return False


def trouble(folder: Path) -> str:
    """Reason why overlays cannot be used below `folder`, or nothing: mounts one, edits, renames and deletes in it."""
    if sys.platform != "linux":
        return "there are no overlays outside Linux"
    place = Path(tempfile.mkdtemp(prefix=".overlay-test-", dir=folder))
    try:
        return _try_out(place)
    except OSError as error:
        return f"the kernel refuses an overlay: {error.strerror or error}"
    finally:
        with suppress(OSError):
            unmount(place / "scratch" / MOUNT_POINT)
        shutil.rmtree(place, ignore_errors=True)


def _try_out(place: Path) -> str:
    older, newer, upper, scratch = (place / name for name in ("older", "newer", "upper", "scratch"))
    for made in (older, newer, upper, scratch, older / "folder"):
        made.mkdir()
    (older / "folder" / "inside").write_text("old")
    (older / "edited").write_text("old")
    (older / "deleted").write_text("old")
    (newer / "renamed").write_text("old")
    before = (older / "edited").stat()
    top = mount([newer, older], upper, scratch)
    seen = (top / "edited").stat()
    (top / "edited").write_text("new")
    (top / "deleted").unlink()
    (top / "renamed").rename(top / "other")
    shutil.rmtree(top / "folder")
    (top / "folder").mkdir()
    names = sorted(entry.relative_to(top).as_posix() for entry in top.rglob("*"))
    if names != ["edited", "folder", "other"] or (older / "edited").read_text() != "old":
        return "an edit in an overlay did not come out right"
    if not is_opaque(upper / "folder"):
        return "a folder that was made anew in an overlay cannot be told from outside"
    if (seen.st_ino, seen.st_mtime_ns) != (before.st_ino, before.st_mtime_ns):
        return "files change their identity in an overlay, so that git would read all of them again"
    if not is_whiteout((upper / "deleted").lstat()):
        return "a deletion in an overlay cannot be seen from outside"
    return ""


def _stack(context: int, lower: list[str]) -> None:
    """Name the layers: one by one where the kernel takes that (6.8 and newer), else in one short line."""
    for number, name in enumerate(lower):
        try:
            _configure(context, "lowerdir+", name)
        except OSError as error:
            if number or error.errno != errno.EINVAL:
                raise
            _configure(context, "lowerdir", ":".join(lower))
            return


def _configure(context: int, key: str, value: str) -> None:
    _call(
        _FSCONFIG, ctypes.c_int(context), ctypes.c_uint(_SET_STRING), key.encode(), os.fsencode(value), ctypes.c_int(0)
    )


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
