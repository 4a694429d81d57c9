"""Room on a disk that is taken before it is needed, for what must not be lost once it is there."""

import ctypes
import errno
import os
import sys

_KEEP_SIZE = 1
_UNKNOWN = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_SPARE = 1 << 20
"""Where room cannot be taken it is only looked for, and others may take it meanwhile: so much more has to be free."""


def take_room(descriptor: int, start: int, nbytes: int) -> None:
    """Take `nbytes` of disk for a file from byte `start` on; its size stays. Writing there cannot find a full disk.

    On a file system that takes no room ahead, such as exFAT, it is only made sure of that so much is free.

    Raises:
        OSError: ENOSPC or EDQUOT: there is not so much room.
    """
    number = _fallocate(descriptor, start, nbytes)
    if number in _UNKNOWN:
        found = os.fstatvfs(descriptor)
        number = errno.ENOSPC if found.f_bavail * found.f_frsize < nbytes + _SPARE else 0
    if number:
        raise OSError(number, os.strerror(number))


def give_room_back(descriptor: int, size: int) -> None:
    """Give back what was taken past the end of a file that is `size` bytes long; nothing else may write to it."""
    os.ftruncate(descriptor, size)


def _fallocate(descriptor: int, start: int, nbytes: int) -> int:
    """The error number; 0 when it is done."""
    if sys.platform != "linux":
        return errno.ENOSYS
    library = ctypes.CDLL(None, use_errno=True)
    call = library.fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while call(descriptor, _KEEP_SIZE, start, nbytes):
        if (number := ctypes.get_errno()) != errno.EINTR:
            return number
    return 0
