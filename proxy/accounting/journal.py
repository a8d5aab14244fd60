"""Journal: usage on disk, one SQLite file for all processes of a host. Blocking: it is called from a thread of its own.

There is one row for each hour, tenant, login and process, and differences are added to it in one transaction with the
number of their batch; a number that was written is not written again, so a batch whose outcome nobody knows may simply
be tried once more. What is written is on the disk when `write` returns (WAL, synchronous=FULL). Hours that were closed
for export take nothing more: what comes late is put into the first hour that is open.
sqlite3.Error and OSError mean that nothing is known to be written; the next call opens the file anew, as it does when
somebody has put the file away.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from proxy.accounting.hours import SECONDS
from proxy.accounting.pending import Batch
from proxy.quota.usage import Usage

NAME = "usage.sqlite"  # in state_directory
VERSION = 1
BUSY = 5.0  # seconds to wait for another process
SCHEMA = (
    f"""CREATE TABLE usage (
        hour INTEGER NOT NULL, tenant TEXT NOT NULL, login TEXT NOT NULL, process INTEGER NOT NULL,
        {", ".join(f"{one} INTEGER NOT NULL" for one in Usage._fields)},
        PRIMARY KEY (hour, tenant, login, process)
    ) WITHOUT ROWID""",
    "CREATE TABLE processes (process INTEGER PRIMARY KEY, batch INTEGER NOT NULL, taken REAL NOT NULL)",
    "CREATE TABLE hours (closed INTEGER NOT NULL, exported INTEGER NOT NULL)",
    "INSERT INTO hours VALUES (0, 0)",
    f"PRAGMA user_version = {VERSION}",
)
ADD = f"""
INSERT INTO usage VALUES (?, ?, ?, ?, {", ".join("?" * len(Usage._fields))})
ON CONFLICT (hour, tenant, login, process) DO UPDATE SET
    {", ".join(f"{one} = {one} + excluded.{one}" for one in Usage._fields)}
"""  # noqa: S608  made of constants

Connect = Callable[..., sqlite3.Connection]


class Journal:
    """One file, as one process writes it. `process`: a number that no other process has."""

    def __init__(self, path: Path, process: int, connect: Connect = sqlite3.connect) -> None:
        self._path = path
        self._process = process
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._file = 0  # its inode

    def begin(self) -> None:
        """Makes the file where there is none."""
        with self._transaction():
            pass

    def write(self, batch: Batch) -> None:
        """Adds a batch, unless it was added before."""
        with self._transaction() as connection:
            last = connection.execute("SELECT batch FROM processes WHERE process = ?", (self._process,)).fetchone()
            if last is not None and last[0] >= batch.number:
                return
            (closed,) = connection.execute("SELECT closed FROM hours").fetchone()
            rows = [
                (max(hour, closed), tenant, login, self._process, *usage)
                for (hour, tenant, login), usage in batch.rows.items()
            ]
            connection.executemany(ADD, rows)
            connection.execute(
                "INSERT OR REPLACE INTO processes VALUES (?, ?, ?)", (self._process, batch.number, batch.taken)
            )

    def close_hours(self, before: int) -> list[int]:
        """Those before this one take nothing more. The closed hours that are not exported yet and hold something."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE hours SET closed = max(closed, (SELECT coalesce(max(hour) + 1, 0) FROM usage WHERE hour < ?))",
                (before,),
            )
            found = connection.execute(
                "SELECT DISTINCT hour FROM usage, hours WHERE hour >= exported AND hour < closed ORDER BY hour"
            )
            return [hour for (hour,) in found]

    def hour(self, hour: int) -> list[tuple[str, str, Usage]]:
        """Tenant, login and usage of one hour, of all processes together."""
        sums = ", ".join(f"sum({one})" for one in Usage._fields)
        with self._transaction() as connection:
            found = connection.execute(
                f"SELECT tenant, login, {sums} FROM usage WHERE hour = ? GROUP BY 1, 2 ORDER BY 1, 2",  # noqa: S608
                (hour,),
            )
            return [(tenant, login, Usage._make(figures)) for tenant, login, *figures in found]

    def exported(self, hour: int) -> None:
        """Its file is whole."""
        with self._transaction() as connection:
            connection.execute("UPDATE hours SET exported = max(exported, ?)", (hour + 1,))

    def forget(self, before: int, only_exported: bool) -> None:
        """Drops the hours before this one; only_exported: of those the ones that are exported."""
        with self._transaction() as connection:
            (exported,) = connection.execute("SELECT exported FROM hours").fetchone()
            limit = min(before, exported) if only_exported else before
            connection.execute("DELETE FROM usage WHERE hour < ?", (limit,))
            gone = (limit * SECONDS, self._process)
            connection.execute("DELETE FROM processes WHERE taken < ? AND process <> ?", gone)

    def close(self) -> None:
        """Ends it; what is open is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self.close()  # rolls back
            raise

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None:
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == self._file:
                    return self._connection
            self.close()  # somebody has put the file away
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._connection = self._connect(self._path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        _keep_a_log(self._connection)
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("BEGIN IMMEDIATE")  # another process may be making the tables
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in {0, VERSION}:
            raise sqlite3.DatabaseError(f"{self._path} has version {version}, which this program does not know")
        for statement in SCHEMA if version == 0 else ():
            self._connection.execute(statement)
        self._connection.execute("COMMIT")
        self._file = self._path.stat().st_ino
        return self._connection


def _keep_a_log(connection: sqlite3.Connection) -> None:
    """Write-ahead logging, which stays with the file. Where two processes ask for it at once in a new one, SQLite tells
    the later at once that the file is locked: its busy timeout does not hold for this (https://sqlite.org/wal.html).
    """
    end = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY or time.monotonic() >= end:
                raise
            time.sleep(0.01)
