"""A filter of system calls as the kernel takes it: no namespaces, no mounts, no kernel interfaces of no use to a build.

One layer more: the other layers refuse the same, as long as the kernel has no fault there. A call that it does not
know is let through, so that it never breaks what a newer libc does.
"""

import errno
import platform
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

_LOAD, _EQUAL, _AT_LEAST, _HAS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_X32 = 0x40000000

_NEW_NAMESPACES = 0x7E020080
"""CLONE_NEW* of user, pid, net, ipc, uts, cgroup, mount and time."""

_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
"""Typing into a terminal in another's name."""

FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, getattr(socket, "AF_NETLINK", 16))
"""Families that programs need. All others are refused: AF_VSOCK reaches the machine's host from any namespace."""


@dataclass(frozen=True)
class SyscallTable:
    """The numbers of one kind of processor."""

    audit: int
    refused: tuple[int, ...]
    clone: int
    unshare: int
    socket: int
    ioctl: int
    setsockopt: int
    fcntl: int
    io_setup: int
    clone3: int = 435
    refused_everywhere: tuple[int, ...] = field(
        # io_uring (3), open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr, quotactl_fd
        default=(425, 426, 427, 428, 429, 430, 431, 432, 433, 442, 443)
    )


MACHINES = {
    "x86_64": SyscallTable(
        audit=0xC000003E,
        refused=(
            *(165, 166, 155, 161, 308),  # mount, umount2, pivot_root, chroot, setns
            *(248, 249, 250, 321, 298, 323),  # add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd
            *(246, 320, 174, 175, 176, 313),  # kexec_load, kexec_file_load, create_, init_, delete_, finit_module
            *(179, 167, 168, 169, 103, 163),  # quotactl, swapon, swapoff, reboot, syslog, acct
            *(304, 164, 227, 305, 159),  # open_by_handle_at, settimeofday, clock_settime, clock_adjtime, adjtimex
            *(170, 171, 172, 173, 134, 180, 212, 153),  # sethostname, setdomainname, iopl, ioperm, and long dead ones
        ),
        clone=56,
        unshare=272,
        socket=41,
        ioctl=16,
        setsockopt=54,
        fcntl=72,
        io_setup=206,
    ),
    "aarch64": SyscallTable(
        audit=0xC00000B7,
        refused=(
            *(40, 39, 41, 51, 268),
            *(217, 218, 219, 280, 241, 282),
            *(104, 294, 105, 106, 273),
            *(60, 224, 225, 142, 116, 89),
            *(265, 170, 112, 266, 171),
            *(161, 162, 42, 18, 58),
        ),
        clone=220,
        unshare=97,
        socket=198,
        ioctl=29,
        setsockopt=208,
        fcntl=25,
        io_setup=0,
    ),
}


BOUND_TO_DEVICE = {
    socket.SOL_SOCKET: (25, 62),  # SO_BINDTODEVICE, SO_BINDTOIFINDEX
    socket.IPPROTO_IP: (50,),  # IP_UNICAST_IF
    socket.IPPROTO_IPV6: (2, 50, 76),  # IPV6_2292PKTINFO, IPV6_PKTINFO, IPV6_UNICAST_IF
}
"""Options by level that choose a socket's device. With a device chosen, a route that prohibits an address counts as no
route, and the kernel takes the address for one on the link. Since Linux 5.7 they need no capability."""

_SETLEASE = 1024
"""fcntl: a lease delays every opening of the file by others, for whole files of the system."""


def program(families: Iterable[int] = FAMILIES, machine: str = platform.machine()) -> bytes | None:
    """The filter, as an array of the kernel's `sock_filter`; None for a processor whose numbers are not known here.

    Args:
        families: The kinds of sockets that may be made.
        machine: As `uname -m` says it.
    """
    numbers = MACHINES.get(machine)
    if numbers is None:
        return None
    steps = [_step(_LOAD, _ARCHITECTURE), *_unless(numbers.audit, errno.ENOSYS), _step(_LOAD, _NUMBER)]
    if machine == "x86_64":
        steps += [_step(_AT_LEAST, _X32, 0, 1), _refuse(errno.ENOSYS)]
    for number in (*numbers.refused, *numbers.refused_everywhere):
        steps += [_step(_EQUAL, number, 0, 1), _refuse(errno.EPERM)]
    # Its flags lie in memory, where a filter cannot look; a libc falls back to clone.
    steps += [_step(_EQUAL, numbers.clone3, 0, 1), _refuse(errno.ENOSYS)]
    # Contexts of asynchronous I/O are counted for the whole machine; programs do without where the kernel has none.
    steps += [_step(_EQUAL, numbers.io_setup, 0, 1), _refuse(errno.ENOSYS)]
    for number in (numbers.clone, numbers.unshare):
        steps += _of(number, [_argument(0), _step(_HAS, _NEW_NAMESPACES, 0, 1), _refuse(errno.EPERM)])
    allowed = [part for family in families for part in (_step(_EQUAL, family, 0, 1), _step(_RETURN, _ALLOW))]
    steps += _of(numbers.socket, [_argument(0), *allowed, _refuse(errno.EAFNOSUPPORT)])
    typed = [part for word in (_TIOCSTI, _TIOCLINUX) for part in (_step(_EQUAL, word, 0, 1), _refuse(errno.EPERM))]
    steps += _of(numbers.ioctl, [_argument(1), *typed])
    steps += _of(numbers.setsockopt, _devices())
    steps += _of(numbers.fcntl, [_argument(1), _step(_EQUAL, _SETLEASE, 0, 1), _refuse(errno.EACCES)])
    return b"".join([*steps, _step(_RETURN, _ALLOW)])


def _devices() -> list[bytes]:
    """Refuses each option of `BOUND_TO_DEVICE` at its level."""
    steps = [_argument(1)]
    for level, options in BOUND_TO_DEVICE.items():
        refused = [part for option in options for part in (_step(_EQUAL, option, 0, 1), _refuse(errno.EPERM))]
        inner = [_argument(2), *refused, _step(_RETURN, _ALLOW)]
        steps += [_step(_EQUAL, level, 0, len(inner)), *inner]
    return steps


def _of(number: int, steps: list[bytes]) -> list[bytes]:
    """Steps for one call only. They end the filter, because the number is no longer at hand."""
    steps = [*steps, _step(_RETURN, _ALLOW)]
    return [_step(_EQUAL, number, 0, len(steps)), *steps]


def _unless(value: int, error: int) -> list[bytes]:
    return [_step(_EQUAL, value, 1, 0), _refuse(error)]


def _argument(index: int) -> bytes:
    """The low half of an argument, on the machines above."""
    return _step(_LOAD, _ARGUMENTS + 8 * index)


def _refuse(error: int) -> bytes:
    return _step(_RETURN, _REFUSE | error)


def _step(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)
