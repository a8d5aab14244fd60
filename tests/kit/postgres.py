"""A real PostgreSQL for tests: the cluster that `partywall demo` uses, so that tests and demo start the same thing.

The statements that tests run by `psql` are sent by libpq from here and answered in psql's form: the suite has
thousands of them, and a process for each would take longer than most statements do.
"""

from __future__ import annotations

import atexit
import select
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from psycopg import OperationalError, pq
from psycopg.conninfo import make_conninfo

from proxy.demo import cluster as demo
from proxy.demo.cluster import (
    SUPERUSER,
    Auth,
    PostgresError,
    find_binaries,
    free_port,
    major_of,
    quote_identifier,
)

__all__ = [
    "SUPERUSER",
    "Cluster",
    "PostgresError",
    "find_binaries",
    "free_port",
    "lasting",
    "major_of",
    "quote_identifier",
    "running",
]

OK, ROWS, OUT = pq.ConnStatus.OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COPY_OUT


class Cluster(demo.Cluster):
    """The demo's, with a shorter way for statements."""

    __slots__ = ()

    def leave(self) -> None:
        """Stop, and have everything deleted by a process that nobody waits for."""
        self.stop()
        directory, self.directory, self.port = self.directory, Path(), 0
        atexit.unregister(self.remove)
        subprocess.run(["sh", "-c", 'rm -rf "$0" </dev/null >/dev/null 2>&1 &', str(directory)], check=True, timeout=60)

    def psql(
        self,
        database: str = "postgres",
        sql: str | None = None,
        *,
        file: Path | None = None,
        options: str = "",
        user: str = SUPERUSER,
    ) -> str:
        """As psql does it: one message, one transaction unless the text says otherwise, what every statement returns
        unaligned. A file is psql's own business, which reads it statement by statement.
        """
        if sql is None:
            return super().psql(database, file=file, options=options, user=user)
        asked = make_conninfo(
            host=str(self.socket_directory), port=self.port, user=user, dbname=database, options=options,
            client_encoding="UTF8", application_name="psql",
        )  # fmt: skip
        connection = pq.PGconn.connect(asked.encode())
        try:
            if connection.status != OK:
                raise PostgresError(f"psql failed (2): {connection.error_message.decode()}")
            return "".join(_printed(connection, sql))
        except OperationalError as error:  # the server hung up
            raise PostgresError(f"psql failed (2): {error}") from error
        finally:
            connection.finish()


def _printed(connection: pq.abc.PGconn, sql: str) -> Iterator[str]:
    """Line by line; PostgresError at the first error. Other threads go on meanwhile."""
    connection.send_query(sql.encode())
    refused = ""
    while True:
        while connection.is_busy():
            select.select([connection.socket], [], [])
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            break
        if result.status == ROWS:
            for row in range(result.ntuples):
                values = (result.get_value(row, column) or b"" for column in range(result.nfields))
                yield b"|".join(values).decode() + "\n"
        elif result.status == OUT:
            while (got := connection.get_copy_data(0))[0] > 0:
                yield bytes(got[1]).decode()
        elif result.status == pq.ExecStatus.FATAL_ERROR:
            refused += result.error_message.decode()
    if refused:
        raise PostgresError(f"psql failed (1): {refused}")


@contextmanager
def running(
    major: int | None = None, *, auth: Auth = "trust", settings: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """A started cluster of this major version for the length of a `with`; PostgresError when there is none."""
    with Cluster(find_binaries(major), auth=auth, settings=settings or {}) as cluster:
        yield cluster


@contextmanager
def lasting(major: int) -> Iterator[Cluster]:
    """The same for all of a session, in which it comes to hold tens of thousands of files."""
    with running(major) as cluster:
        yield cluster
        cluster.leave()
