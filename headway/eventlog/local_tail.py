"""Reading a log in a file again and again, each time only the part that was added."""

import os
from collections.abc import Callable
from pathlib import Path

from headway.eventlog.codec import Codec, lines_of
from headway.eventlog.store import ViewT


class LocalTail:
    """One log, read up to some byte. A crash may cut its unsynced end; then it is read anew.

    A large run has thousands, of which few change between two looks: the others cost a question for their size.
    """

    def __init__(self, path: Path, codec: Codec) -> None:
        self._path = path
        self._codec = codec
        self._seen: tuple[int, int, int] | None = None
        self._begin(0)

    def _begin(self, inode: int) -> None:
        self._inode, self._end, self._count = inode, 0, 0
        self._last, self._last_at = b"", 0

    def catch_up(self, view: ViewT, begin: Callable[[], ViewT]) -> ViewT:
        """See `Tail.catch_up`."""
        try:
            found = self._path.stat()
            if self._seen == (found.st_ino, found.st_size, found.st_mtime_ns):
                return view
            fd = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return view
        try:
            found = os.fstat(fd)
            if found.st_ino != self._inode or not self._goes_on(fd):
                if self._count:
                    view = begin()
                self._begin(found.st_ino)
            for each in self._codec.events_in(lines_of(fd, self._end), first=self._count):
                view.apply(each.event)
                self._count, self._end, self._last_at = self._count + 1, each.end, each.start
            self._last = os.pread(fd, self._end - self._last_at, self._last_at)
            self._seen = (found.st_ino, found.st_size, found.st_mtime_ns)
            return view
        finally:
            os.close(fd)

    def _goes_on(self, fd: int) -> bool:
        """True if the last line that was taken in still stands at its place."""
        return os.pread(fd, len(self._last), self._end - len(self._last)) == self._last
