"""A cache with a bound, for values that a process would otherwise keep for good: one for each run, model or file."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(eq=False)
class _Entry(Generic[V]):
    """A value and its users. `made` is empty until the value is made; `detached`: it is no longer in the cache."""

    users: int = 0
    made: list[V] = field(default_factory=list)
    making: threading.Lock = field(default_factory=threading.Lock)
    detached: bool = False


class BoundedCache(Generic[K, V]):
    """Keeps at most `most` values that are not in use, and closes the least recently used one beyond that.

    A value in use is never closed: when it leaves the cache, it is closed at the end of its last use. Safe for threads.

    Args:
        most: Number of unused values that are kept.
        close: Releases what a value holds, such as descriptors.
        is_busy: Tells that a value is needed although no `using` of it is open.
    """

    def __init__(
        self,
        most: int,
        *,
        close: Callable[[V], None] = lambda _: None,
        is_busy: Callable[[V], bool] = lambda _: False,
    ) -> None:
        self._most = most
        self._close = close
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()

    @contextmanager
    def using(self, key: K, make: Callable[[], V], *, is_valid: Callable[[V], bool] = lambda _: True) -> Iterator[V]:
        """The value of `key` for as long as the block runs. `make` makes it if there is none, or none that is valid.

        Raises:
            Exception: `make` raised it; nothing is kept then.
        """
        while True:
            entry = self._enter(key)
            try:
                with entry.making:
                    if not entry.made:
                        entry.made.append(make())
                        stale = False
                    else:
                        stale = not is_valid(entry.made[0])
                if not stale:
                    yield entry.made[0]
                    return
                self._detach(key, entry)
            finally:
                self._leave(key, entry)

    def get(self, key: K) -> V | None:
        """The value of `key`, which counts as used just now; for values that need no closing."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not entry.made:
                return None
            self._entries.move_to_end(key)
            return entry.made[0]

    def put(self, key: K, value: V) -> None:
        """Keep `value` in place of the value that was kept."""
        self.drop(key)
        with self._lock:
            self._entries[key] = _Entry(made=[value])
        self.trim()

    def drop(self, key: K) -> None:
        """Give a value back: it is closed, now or at the end of its last use."""
        with self._lock:
            entry = self._entries.get(key)
        if entry is not None:
            self._detach(key, entry)

    def values(self) -> list[V]:
        """All values that are kept or in use, the least recently used first."""
        with self._lock:
            return [value for entry in self._entries.values() for value in entry.made]

    def trim(self) -> None:
        """Close the values beyond the bound. The owner calls this also when values are no longer busy."""
        with self._lock:
            if len(self._entries) <= self._most:
                return
            unused = [
                (key, entry)
                for key, entry in self._entries.items()
                if not entry.users and not any(map(self._is_busy, entry.made))
            ]
            for key, entry in unused[: max(0, len(unused) - self._most)]:
                del self._entries[key]
                entry.detached = True
        for _, entry in unused:
            self._close_if_over(entry)

    def close(self) -> None:
        """Give everything back."""
        for key in list(self._entries):
            self.drop(key)

    def abandon(self) -> list[V]:
        """Forget all values without closing them, as a fork has to, and make the locks anew. Returns the values."""
        found = [value for entry in self._entries.values() for value in entry.made]
        self._lock = threading.Lock()
        self._entries = OrderedDict()
        return found

    def __contains__(self, key: K) -> bool:
        with self._lock:
            return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def _enter(self, key: K) -> _Entry[V]:
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            entry.users += 1
            return entry

    def _leave(self, key: K, entry: _Entry[V]) -> None:
        with self._lock:
            entry.users -= 1
            if not entry.made and not entry.users and self._entries.get(key) is entry:
                del self._entries[key]  # it could not be made
        self._close_if_over(entry)
        self.trim()

    def _detach(self, key: K, entry: _Entry[V]) -> None:
        with self._lock:
            if self._entries.get(key) is entry:
                del self._entries[key]
                entry.detached = True
        self._close_if_over(entry)

    def _close_if_over(self, entry: _Entry[V]) -> None:
        with self._lock:
            over = [entry.made.pop()] if entry.detached and not entry.users and entry.made else []
        for value in over:
            self._close(value)
