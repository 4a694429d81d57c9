"""Spending of one run on this machine in an hour: one small file, shared by every process.

Reading and setting aside are one step that no other process comes between. The reservations of a process that died
count for an hour, as the server may have done the work.
"""

import contextlib
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headway.domain.errors import TransientError
from headway.domain.model_outage import ModelOutage
from headway.domain.state.budget import MICRO
from headway.system.boot import boot_id

HOUR_S = 3600.0
PARTS = 360
"""An hour is counted in so many parts, each of which counts until all of it is an hour ago."""
BUSY_S = 10.0
TOLD_AGAIN_S = 60.0
"""A run is told of another time to go on at when it is so much later."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS part (number INTEGER PRIMARY KEY, paid INTEGER NOT NULL, aside INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS parking (
    one INTEGER PRIMARY KEY CHECK (one = 1), generation INTEGER, parked INTEGER, since REAL, until REAL, cap INTEGER
);
CREATE TABLE IF NOT EXISTS boot (one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT, at REAL, wall REAL);
INSERT OR IGNORE INTO parking VALUES (1, 0, 0, 0, 0, 0);
"""


@dataclass(frozen=True, slots=True)
class Aside:
    """The reservation of one call: micro-dollars, and the part of time to which they belong."""

    part: int
    amount: int


class SpendingLedger:
    """Spending of one run on this machine in the last hour.

    Moments are by a clock that is never set (`headway.system.steady`). It begins anew at a boot: a note of an earlier
    boot becomes as old as it was, plus the time between by the wall clock, which is taken for nothing where that clock
    went back.

    Args:
        hour_s: Length of an hour in seconds, for tests.
    """

    def __init__(self, path: Path, hour_s: float = HOUR_S) -> None:
        self._part_s = hour_s / PARTS
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _named():
            self._database = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            # Two processes that make the file at once would find it locked, however long they would wait.
            self._patiently("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._patiently(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
            self._path, self._inode = path, path.stat().st_ino

    def set_aside(self, amount: int, limit: int, now: float) -> Aside | float:
        """Set aside the worst case of a call. Without room, return the time of room, by certain payments.

        Other calls' reservations are ignored when the wait is estimated, because most are refunded. A call that is
        beyond the limit by itself leaves when nothing else counts.
        """
        part = int(now / self._part_s)
        with self._transaction() as database:
            self._take_over(now)
            database.execute("DELETE FROM part WHERE number < ?", (part - PARTS,))
            rows: list[tuple[int, int, int]] = database.execute(
                "SELECT number, paid, aside FROM part ORDER BY number"
            ).fetchall()
            counted = sum(paid + aside for _, paid, aside in rows)
            if counted == 0 or counted + amount <= limit:
                self._add(part, 0, amount)
                # A small call may fit where others wait on; but under another limit no call waits any more.
                database.execute(
                    "UPDATE parking SET parked = 0, since = ?1 WHERE parked = 1 AND (until <= ?1 OR cap <> ?2)",
                    (now, limit),
                )
                return Aside(part, amount)
        return self._room_at(rows, amount, limit, now)

    def settle(self, aside: Aside, paid: int, now: float) -> None:
        """Book the cost of a call in place of its reservation."""
        with self._transaction():
            self._take_over(now)
            self._add(aside.part, 0, -aside.amount)
            self._add(int(now / self._part_s), paid, 0)

    def park(self, until: float, limit: int, now: float) -> None:
        """Note that agents wait, for the run to be told."""
        with self._transaction() as database:
            self._take_over(now)
            database.execute(
                "UPDATE parking SET generation = generation + 1, since = CASE parked WHEN 1 THEN since ELSE ?1 END,"
                " parked = 1, until = ?2, cap = ?3 WHERE parked = 0 OR until < ?2 - ?4 OR cap <> ?3",
                (now, until, limit, TOLD_AGAIN_S),
            )

    def parking(self, wall: Callable[[float], float]) -> ModelOutage | None:
        """The run's wait on this machine, with `wall` applied to its times; None when it never waited."""
        with _named(), self._lock:
            row = self._database.execute("SELECT generation, parked, since, until, cap FROM parking").fetchone()
        generation, parked, since, until, cap = row
        if not generation:
            return None
        return ModelOutage(
            endpoint=socket.gethostname(),
            model="",
            generation=generation,
            parked=bool(parked),
            since=wall(since),
            until=wall(until),
            why=words_of(cap),
        )

    @property
    def is_there(self) -> bool:
        """True if the file is still at its place: a removed run takes it away."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _room_at(self, rows: list[tuple[int, int, int]], amount: int, limit: int, now: float) -> float:
        left = sum(paid for _, paid, _ in rows)
        for number, paid, _ in rows:
            if left == 0 or left + amount <= limit:
                break
            left -= paid
            now = max(now, (number + PARTS + 1) * self._part_s)
        return now

    def _take_over(self, now: float) -> None:
        """Bring the notes to the clock of now: after another boot, and where a note is of a moment in the future."""
        row = self._database.execute("SELECT id, at, wall FROM boot").fetchone()
        before, at, wall = row or (boot_id(), now, time.time())
        if before != boot_id():
            moved = int((now - at - max(0.0, time.time() - wall)) / self._part_s)
            self._move(self._database.execute("SELECT * FROM part").fetchall(), lambda number: number + moved)
            self._database.execute("UPDATE parking SET parked = 0, since = ?1, until = ?1", (now,))
        # Another process may have booked while this one waited for the file: up to that wait it is ahead of our `now`.
        part, latest = int(now / self._part_s), int((now + 2 * BUSY_S) / self._part_s)
        ahead = self._database.execute("SELECT * FROM part WHERE number > ?", (latest,)).fetchall()
        self._move(ahead, lambda _: part)
        self._database.execute("INSERT OR REPLACE INTO boot VALUES (1, ?, ?, ?)", (boot_id(), now, time.time()))

    def _move(self, rows: list[tuple[int, int, int]], to: Callable[[int], int]) -> None:
        self._database.executemany("DELETE FROM part WHERE number = ?", [(number,) for number, _, _ in rows])
        for number, paid, aside in rows:
            self._add(to(number), paid, aside)

    def _add(self, part: int, paid: int, aside: int) -> None:
        self._database.execute(
            "INSERT INTO part VALUES (?, ?, max(0, ?)) ON CONFLICT (number)"
            " DO UPDATE SET paid = paid + excluded.paid, aside = max(0, aside + ?)",
            (part, paid, aside, aside),
        )

    def _patiently(self, script: str) -> None:
        until = time.monotonic() + BUSY_S
        while True:
            try:
                self._database.executescript(script)
            except sqlite3.OperationalError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.01)
            else:
                return

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _named(), self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")


def words_of(limit: int) -> str:
    """The limit on a run's spending, for people."""
    return f"spends ${limit / MICRO:,.2f} an hour at most"


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """A full disk or too many open files pass; no agent fails for them."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise TransientError(f"this run's recent spending cannot be read or written: {error}") from error
