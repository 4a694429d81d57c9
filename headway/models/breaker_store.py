"""The knowledge of one model at one address, shared by every process of this machine.

A SQLite file holds the flow, and the parts that the server does not take. Permits are locks on small files next to it,
so that the kernel gives back those of a process that died.
"""

import contextlib
import fcntl
import hashlib
import math
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from headway.domain.errors import TransientError
from headway.models.breaker_state import BreakerState
from headway.system.boot import boot_id
from headway.system.steady import steady

BUSY_S = 10.0
TRIED_AT_ONCE = 64
FORGET_S = 7 * 24 * 3600.0
"""After a week a server may have learnt to take the parts that it refused; one request finds out."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS flow (one INTEGER PRIMARY KEY CHECK (one = 1), state BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (name TEXT PRIMARY KEY, why TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS about (address TEXT NOT NULL, model TEXT NOT NULL);
"""


class BreakerStore:
    """One file and its permits. Reads are for the event loop; writes wait for other processes and belong in a thread.

    Args:
        folder: Folder of all these files.
        address: Without credentials, for people.
        account: The key, which tells breakers of one address apart; only a digest of it is kept.
    """

    def __init__(self, folder: Path, address: str, model: str, account: str = "") -> None:
        with _named():
            self._open(folder, address, model, account)

    def _open(self, folder: Path, address: str, model: str, account: str) -> None:
        path = path_of(folder, address, model, account)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._slots = path.with_suffix(".permits")
        self._slots.mkdir(exist_ok=True, mode=0o700)
        with _alone(folder):
            # Two processes that make the same file at once would find it locked, however long they would wait.
            self._reader = _opened_or_new(path)
            self._writer = _opened(path)
        self._writing = threading.Lock()
        self._raw = b""
        self._flow = BreakerState()
        self._describe(address, model)

    def state(self) -> BreakerState:
        """The state as some process last left it.

        Raises:
            TransientError: The file cannot be read.
        """
        with _named():
            row = self._reader.execute("SELECT state FROM flow").fetchone()
        if row is not None and row[0] != self._raw:
            self._raw, self._flow = row[0], _state_in(row[0])
        return self._flow

    def change(self, step: Callable[[BreakerState], BreakerState]) -> BreakerState:
        """The state after `step`, which no other process comes between.

        Raises:
            TransientError: The file cannot be written.
        """
        with self._transaction() as database:
            row = database.execute("SELECT state FROM flow").fetchone()
            before = _state_in(row[0]) if row is not None else BreakerState()
            after = step(before)
            if after != before:
                database.execute("INSERT OR REPLACE INTO flow VALUES (1, ?)", (_bytes_of(after),))
            return after

    def dropped(self) -> frozenset[str]:
        """Names of the parts that the server does not take."""
        with _named():
            now = time.time()
            # One of the future was noted by a clock that was ahead: it may be as old as any.
            rows = self._reader.execute("SELECT name FROM dropped WHERE at > ? AND at <= ?", (now - FORGET_S, now))
            return frozenset(row[0] for row in rows)

    def refused_parts(self) -> dict[str, str]:
        """The same, each with the server's words."""
        known = self.dropped()
        with _named():
            rows = self._reader.execute("SELECT name, why FROM dropped ORDER BY at, name").fetchall()
        return {name: why for name, why in rows if name in known}

    def drop(self, name: str, why: str) -> bool:
        """Remember that the server does not take this. False when that was known.

        Raises:
            TransientError: The file cannot be written.
        """
        with self._transaction() as database:
            known = database.execute("SELECT at FROM dropped WHERE name = ?", (name,)).fetchone()
            database.execute("INSERT OR REPLACE INTO dropped VALUES (?, ?, ?)", (name, why, time.time()))
            return known is None or not 0 <= time.time() - known[0] < FORGET_S

    def take_back(self, name: str) -> None:
        """Forget what was remembered of a part.

        Raises:
            TransientError: The file cannot be written.
        """
        with self._transaction() as database:
            database.execute("DELETE FROM dropped WHERE name = ?", (name,))

    def take(self, permits: float) -> int | None:
        """Take one of the first `permits` permits, as an open file for the caller to close; None without a free one."""
        count = int(permits)
        start = random.randrange(count)  # noqa: S311 - so that processes do not all try the same ones
        for step in range(min(count, TRIED_AT_ONCE)):
            name = self._slots / str((start + step) % count)
            with _named():
                handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
            else:
                return handle
        return None

    def close(self) -> None:
        """Close the file. Waits for a thread that writes: it outlives the cancellation of its caller."""
        with self._writing:
            self._reader.close()
            self._writer.close()

    def _describe(self, address: str, model: str) -> None:
        if self._reader.execute("SELECT 1 FROM about").fetchone() is None:
            with self._transaction() as database:
                database.execute("INSERT INTO about VALUES (?, ?)", (address, model))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _named(), self._writing:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
            self._writer.execute("COMMIT")


def path_of(folder: Path, address: str, model: str, account: str = "") -> Path:
    """The place of a model's file, which is there once the model was asked."""
    digest = hashlib.sha256(f"{address}\0{model}\0{account}".encode()).hexdigest()[:24]
    return folder / f"{digest}.db"


def open_breakers(folder: Path) -> list[tuple[str, str, BreakerState]]:
    """Every way of this machine that is closed, with its address and model, for a view from outside."""
    found = []
    for path in sorted(folder.glob("*.db")):
        database = _opened(path)
        try:
            about = database.execute("SELECT address, model FROM about").fetchone()
            row = database.execute("SELECT state FROM flow").fetchone()
        finally:
            database.close()
        if about is not None and row is not None and (flow := _state_in(row[0])).closed:
            found.append((about[0], about[1], flow))
    return found


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """A full disk or too many open files pass; no agent fails for them."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise TransientError(f"this machine's notes on its models cannot be read or written: {error}") from error


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder / "open.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _opened_or_new(path: Path) -> sqlite3.Connection:
    """The file, or a new one where a crash of the machine left one that is none: all in it is learnt again."""
    try:
        return _opened(path)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        for left in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            left.unlink(missing_ok=True)
        return _opened(path)


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    # A crash of the machine may lose some of it; the first refusal teaches it again.
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.executescript(_SCHEMA)
    return database


def _bytes_of(flow: BreakerState) -> bytes:
    # JSON knows no infinity.
    told = {name: None if value == math.inf else value for name, value in asdict(flow).items()}
    return orjson.dumps(told | {"boot": boot_id()})


def _state_in(raw: bytes) -> BreakerState:
    known: dict[str, Any] = {name: math.inf if value is None else value for name, value in orjson.loads(raw).items()}
    if known.pop("boot", "") != boot_id():
        # Its times are of another boot, and say nothing in this one: the way is tried now.
        known["since"] = known["until"] = steady()
    return BreakerState(**known)
