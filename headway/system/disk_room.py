"""Allocates disk space ahead of a write that must not fail for a full disk."""

import ctypes
import errno
import os
import sys

_KEEP_SIZE = 1
_UNKNOWN = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
_SPARE = 1 << 20
"""Bytes that must be free beyond the request where space cannot be allocated ahead: other writers may use some."""


def take_room(descriptor: int, start: int, nbytes: int) -> None:
    """Allocate `nbytes` of disk for a file from byte `start` on. Its size stays; a later write there cannot fail for
    a full disk.

    A file system such as exFAT cannot allocate ahead. There this only checks that the space is free.

    Raises:
        OSError: ENOSPC or EDQUOT: less space is free.
    """
    number = _fallocate(descriptor, start, nbytes)
    if number in _UNKNOWN:
        found = os.fstatvfs(descriptor)
        number = errno.ENOSPC if found.f_bavail * found.f_frsize < nbytes + _SPARE else 0
    if number:
        raise OSError(number, os.strerror(number))


def give_room_back(descriptor: int, size: int) -> None:
    """Free the space allocated past the end of a file that is `size` bytes long. The caller is its only writer."""
    os.ftruncate(descriptor, size)


def _fallocate(descriptor: int, start: int, nbytes: int) -> int:
    """Call `fallocate` and return the error number; 0 for success."""
    if sys.platform != "linux":
        return errno.ENOSYS
    library = ctypes.CDLL(None, use_errno=True)
    call = library.fallocate
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while call(descriptor, _KEEP_SIZE, start, nbytes):
        if (number := ctypes.get_errno()) != errno.EINTR:
            return number
    return 0
