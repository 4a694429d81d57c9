"""Values that take long to read, for callers that must not wait: a thread reads them, and the newest one is given."""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from headway.system.steady import steady

K = TypeVar("K")
V = TypeVar("V")

FRESH_S = 5.0
WAIT_S = 0.5


@dataclass
class _Entry(Generic[V]):
    value: V | None = None
    at: float = float("-inf")
    reading: Future[None] | None = field(default=None, repr=False)


class Latest(Generic[K, V]):
    """The newest value of each of a few keys. Safe for threads.

    Args:
        read: Reads a value; None where there is none. An exception of it counts as none read.
        keep: Keys that are remembered; the one that was asked for longest ago is forgotten.
        fresh_s: Age in seconds up to which a value is given as it is.
        wait_s: Longest time that a caller waits for a fresher one. If that is not enough, it gets the one before.
    """

    def __init__(
        self, read: Callable[[K], V | None], *, keep: int = 8, fresh_s: float = FRESH_S, wait_s: float = WAIT_S
    ) -> None:
        self._read = read
        self._keep = keep
        self._fresh_s = fresh_s
        self._wait_s = wait_s
        self._known: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="latest")

    def get(self, key: K) -> V | None:
        """The value, at most `fresh_s` old where `wait_s` is enough to read it; None where there is none yet."""
        with self._lock:
            entry = self._entry(key)
            if steady() - entry.at < self._fresh_s:
                return entry.value
            if entry.reading is None or entry.reading.done():
                entry.reading = self._pool.submit(self._refresh, key, entry)
            reading = entry.reading
        with contextlib.suppress(TimeoutError):
            reading.exception(self._wait_s)
        return entry.value

    def prepare(self, key: K) -> None:
        """Begin to read a value that was never read, for a caller to come. Returns at once."""
        with self._lock:
            entry = self._entry(key)
            if entry.reading is None:
                entry.reading = self._pool.submit(self._refresh, key, entry)

    def _entry(self, key: K) -> _Entry[V]:
        entry = self._known.setdefault(key, _Entry())
        self._known.move_to_end(key)
        while len(self._known) > self._keep:
            self._known.popitem(last=False)
        return entry

    def _refresh(self, key: K, entry: _Entry[V]) -> None:
        value = self._read(key)
        entry.value, entry.at = value, steady()
