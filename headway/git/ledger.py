"""The ledger of a trunk: which submission became which commit, so that no process walks a long history to find out.

It is made from the trailers of the trunk, which alone count. An entry that it lacks, such as of a landing whose holder
was killed before it wrote here, is read from the trunk. So the file may be deleted at any time.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from headway.domain.ids import AgentId, Oid
from headway.git.landed import Mark, marks_since
from headway.git.repo import Repo

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS landed (number INTEGER PRIMARY KEY, oid TEXT, task TEXT, mark TEXT);
CREATE INDEX IF NOT EXISTS by_mark ON landed (mark);
CREATE INDEX IF NOT EXISTS by_task ON landed (task);
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT);
"""
_BUSY_S = 30.0
_PRIMARY = 0xFF
"""The part of a result code that names its subject (sqlite.org/rescode.html)."""


@dataclass(frozen=True)
class MaintenanceNote:
    """The ledger's note of the hub's maintenance: number of landings at its last start, and its time (s since 1970)."""

    landings: int
    at: float


class LandingLedger:
    """The ledger of the hub in `folder`, whose trunk began at `base`.

    Only the holder of the trunk's lock adds to it; others open it for `reading`.
    """

    def __init__(self, folder: Path, base: Oid, *, reading: bool = False) -> None:
        self._path = folder / "landings.db"
        self._repo = Repo(folder)
        self._base = base
        if not reading:
            self._connect()
            return
        self._db = sqlite3.connect(self._path if self._path.exists() else ":memory:", timeout=_BUSY_S)
        if not self._is_one():
            # Nothing has landed yet, or a crash of the machine tore it; the next landing repairs it.
            self.close()
            self._db = sqlite3.connect(":memory:")
            self._db.executescript(_TABLES)

    def _is_one(self) -> bool:
        try:
            return self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'fact'").fetchone() is not None
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            return False

    def _connect(self) -> None:
        try:
            self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            self.mend()

    def mend(self) -> None:
        """Begin anew after a crash of the machine that left a file which is no database any more."""
        self.close()
        for end in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + end).unlink(missing_ok=True)
        self._open()

    def _open(self) -> None:
        self._db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        # SQLite itself does not wait where a file's journal is changed, as when two make the file at once.
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                self._db.executescript(_TABLES)
                break
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                    raise
                time.sleep(0.01)
        self._db.execute("INSERT OR IGNORE INTO fact VALUES ('upkeep', ?)", (f"0 {time.time()}",))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def find(self, task: AgentId, mark: str) -> Oid | None:
        """The commit by which a submission landed, as far as the ledger goes."""
        row = self._db.execute("SELECT oid FROM landed WHERE mark = ? AND task = ?", (mark, task)).fetchone()
        return Oid(row[0]) if row else None

    def of_task(self, task: AgentId) -> list[Oid]:
        """The landings of a task, oldest first, as far as the ledger goes."""
        rows = self._db.execute("SELECT oid FROM landed WHERE task = ? ORDER BY number", (task,))
        return [Oid(oid) for (oid,) in rows]

    def missing(self, tip: Oid) -> tuple[list[Mark], bool]:
        """The landings up to `tip` that the ledger lacks, and True if its entries belong to that trunk at all."""
        upto = self.tip()
        if upto == tip:
            return [], True
        ours = upto == self._base or self._repo.run("merge-base", "--is-ancestor", upto, tip, ok=None).code == 0
        return marks_since(self._repo, upto if ours else self._base, tip), ours

    def catch_up(self, tip: Oid) -> None:
        """Add the missing landings up to `tip`."""
        news, ours = self.missing(tip)
        if self.tip() != tip:
            self.add(news, tip, anew=not ours)

    def add(self, landed: Iterable[Mark], tip: Oid, *, anew: bool = False) -> None:
        """Add landings, oldest first; the ledger goes up to `tip` then. `anew`: forget everything before."""
        rows = [(mark.oid, mark.task, mark.mark) for mark in landed]
        self._db.execute("BEGIN IMMEDIATE")
        try:
            if anew:
                self._db.execute("DELETE FROM landed")
            self._db.executemany("INSERT INTO landed (oid, task, mark) VALUES (?, ?, ?)", rows)
            self._db.execute("INSERT OR REPLACE INTO fact VALUES ('tip', ?)", (tip,))
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def tip(self) -> Oid:
        """Up to where the ledger goes."""
        return Oid(self._fact("tip") or self._base)

    def count(self) -> int:
        """Number of landings in the ledger."""
        (count,) = self._db.execute("SELECT coalesce(max(number), 0) FROM landed").fetchone()
        return int(count)

    def maintenance_note(self) -> MaintenanceNote:
        """The note of the hub's last maintenance."""
        said: Sequence[str] = (self._fact("upkeep") or "0 0").split()
        return MaintenanceNote(int(said[0]), float(said[1]))

    def note_maintenance(self, done: MaintenanceNote) -> None:
        """Note that the hub is being tidied."""
        value = f"{done.landings} {done.at}"
        self._db.execute("INSERT OR REPLACE INTO fact VALUES ('upkeep', ?)", (value,))

    def _fact(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None
