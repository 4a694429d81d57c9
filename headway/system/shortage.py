"""The table of system errors that mean a shortage of the machine. A shortage passes: callers wait, and no work fails.

An error outside of this table is a bug of ours, or a fault that waiting does not cure.
"""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from headway.domain.errors import Shortage

WAIT_S = 30.0
"""Seconds between two tries: long enough that many waiting agents do not keep a full disk full."""

_LACKING = {
    errno.ENOSPC: "the disk is full, or has no inodes left",
    errno.EDQUOT: "the disk quota is used up",
    errno.EIO: "the disk reports an input/output error",
    errno.EROFS: "the file system has become read-only",
    errno.EMFILE: "this process has too many open files",
    errno.ENFILE: "this machine has too many open files",
    errno.ENOLCK: "there are no file locks left",
    errno.ENOMEM: "there is no memory left",
    errno.EAGAIN: "no process or thread more may be started",
    errno.ESTALE: "the network folder is gone for now",
    errno.ENOTCONN: "the network folder is not connected",
}

_SQLITE = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EMFILE,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}
_UNNAMED = "the disk takes no more bytes: it is full or broken"
_PRIMARY = 0xFF
"""Mask that takes the primary result code out of an extended one (sqlite.org/rescode.html)."""

_TOLD_BY_PROGRAMS = {
    os.strerror(number): number for number in _LACKING if number not in {errno.ESTALE, errno.ENOTCONN, errno.ENOLCK}
}
"""Texts by which git and other programs report these errors on standard error; they run in the C locale."""

_GIVEN_NO_REASON = {
    "Out of diskspace": _LACKING[errno.ENOSPC],
    "unable to write file": _UNNAMED,
    "couldn't write '": _UNNAMED,
    "failed to write new configuration file": _UNNAMED,
    "unable to create directory for": _UNNAMED,
    "couldn't set '": _UNNAMED,
    "nable to write new index file": _UNNAMED,
}
"""Texts of git 2.39 that give no reason: an index, a pack, a checked-out file, a ref or a configuration could not be
written, synced or put in its place. These are the engine's own, so no right to them is missing."""


def lacking(error: BaseException) -> str | None:
    """The shortage in words, when `error` or one of its causes is a shortage; else None."""
    seen: BaseException | None = error
    while seen is not None:
        number = _number_of(seen)
        if number in _LACKING:
            return _LACKING[number]
        seen = seen.__cause__
    return None


def lacking_in(told: str) -> str | None:
    """The same as `lacking`, for the text that a program wrote to standard error."""
    said = [words for words in _TOLD_BY_PROGRAMS if words in told]
    # "Too many open files" is part of "Too many open files in system".
    if said:
        return _LACKING[_TOLD_BY_PROGRAMS[max(said, key=len)]]
    return next((words for text, words in _GIVEN_NO_REASON.items() if text in told), None)


def raise_if_short(error: BaseException, what: str) -> None:
    """Raise `Shortage` when `error` is one; else return. `what` names the failed action in a few words.

    Raises:
        Shortage: `error` is a shortage.
    """
    if (short := lacking(error)) is not None:
        raise Shortage(f"{what}: {short}", WAIT_S) from error


@contextmanager
def waited_for(what: str) -> Iterator[None]:
    """Turn a shortage that the block raises into `Shortage`. `what` names the failed action in a few words.

    Raises:
        Shortage: In place of the system's own error.
    """
    try:
        yield
    except (OSError, sqlite3.Error, MemoryError, RuntimeError) as error:
        raise_if_short(error, what)
        raise


def _number_of(error: BaseException) -> int | None:
    match error:
        case sqlite3.Error():
            code = getattr(error, "sqlite_errorcode", None)
            return None if code is None else _SQLITE.get(code & _PRIMARY)
        case OSError():
            return error.errno
        case MemoryError():
            return errno.ENOMEM
        case RuntimeError() if "can't start new thread" in str(error):
            return errno.EAGAIN
        case _:
            return None
