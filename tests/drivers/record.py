"""Records one session of each driver against a real server: `python -m tests.drivers.record [NAME ...]`.

Another driver is one more entry of SCRIPTS: a name, and what to run; see tests/kit/recorder.py for the rest. The texts
keep semicolons for between statements, because the planner of the replay knows no other.
"""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import asyncpg
import psycopg
import psycopg2
import sqlalchemy as sa

from tests.drivers.test_jdbc import DRIVER
from tests.drivers.test_node import packages
from tests.kit.postgres import Cluster, running
from tests.kit.recorder import recording_before

HERE = Path(__file__).parent
FOLDER = HERE / "recorded"
DATABASE = "recorded"
SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, body text, at timestamptz, kind int);
INSERT INTO notes SELECT n, 'note ' || n, '2026-01-01', n % 3 FROM generate_series(1, 40) n;
"""
COMMANDS = r"""
SELECT id, body FROM notes WHERE id < 4;
SELECT 1; SELECT 2;
BEGIN;
INSERT INTO notes (id, body) VALUES (100, 'psql');
SAVEPOINT here;
INSERT INTO notes (id, body) VALUES (100, 'again');
ROLLBACK TO here;
UPDATE notes SET body = 'changed' WHERE id = 100;
COMMIT;
SELECT nothing;
SET work_mem = '8MB';
SHOW work_mem;
\d notes
COPY notes (id, body) FROM STDIN;
201	one
202	two
\.
COPY (SELECT id, body FROM notes WHERE id > 200) TO STDOUT;
DELETE FROM notes WHERE id >= 100;
"""
PGBENCH = """\\set id random(1, 40)
BEGIN;
UPDATE notes SET kind = 1 WHERE id = :id;
SELECT body FROM notes WHERE id = :id;
END;
"""


def program(cluster: Cluster, name: str) -> str:
    """A program of the server's major, or the machine's."""
    there = cluster.binaries / name
    return str(there) if there.exists() else name


def run(command: list[str], port: int, text: str | None = None) -> None:
    """A program of PostgreSQL's against the recorder; what it says of errors is meant."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGDATABASE": DATABASE}
    environment |= {"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"}
    subprocess.run(command, input=text, text=True, env=environment, check=False, capture_output=True, timeout=60)


def psql(cluster: Cluster, port: int) -> None:
    """Statements, an error, a copy both ways, a backslash command."""
    run([program(cluster, "psql"), "-X"], port, COMMANDS)


def pgbench(cluster: Cluster, port: int, mode: str) -> None:
    """A few transactions in one mode of the protocol."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(PGBENCH)
        script.flush()
        command = [program(cluster, "pgbench"), "-n", "-M", mode, "-c", "1", "-t", "5", "--random-seed=1"]
        run([*command, "-f", script.name], port)


def pg_dump(cluster: Cluster, port: int) -> None:
    """The data of one table, as a tenant may dump it."""
    run([program(cluster, "pg_dump"), "--data-only", "-t", "notes"], port)


def with_psycopg(cluster: Cluster, port: int) -> None:
    """Parameters, a prepared statement, binary results, a pipeline with an error, copies, a cursor, a failed block."""
    conninfo = f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE} sslmode=disable gssencmode=disable"
    with psycopg.connect(conninfo, prepare_threshold=2) as connection:
        for number in range(4):
            connection.execute("SELECT body FROM notes WHERE id = %s", (number,)).fetchall()
        connection.commit()
        connection.execute("SELECT id, at FROM notes WHERE id = ANY(%s)", ([1, 2, 3],), binary=True).fetchall()
        connection.rollback()
        try:
            with connection.pipeline():
                connection.execute("SELECT 1")
                connection.execute("SELECT nothing FROM notes")
                connection.execute("SELECT 2")
        except psycopg.Error:
            connection.rollback()
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO notes (id, body) VALUES (%s, %s)", [(301, "a"), (302, "b"), (303, None)])
            with cursor.copy("COPY notes (id, body) FROM STDIN") as copy:
                copy.write_row((304, "copied"))
            with cursor.copy("COPY (SELECT id FROM notes WHERE id > 300) TO STDOUT") as copy:
                list(copy.rows())
        with connection.cursor("named") as cursor:
            cursor.execute("SELECT id FROM notes ORDER BY id")
            cursor.fetchmany(5)
        connection.rollback()


def with_asyncpg(cluster: Cluster, port: int) -> None:
    """Simple and prepared statements, a transaction in a transaction, a cursor, an error, the reset of a pool."""

    async def work() -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="postgres", password="", database=DATABASE, ssl=False
        )
        await connection.execute("SET application_name = 'asyncpg'")
        for number in range(3):
            await connection.fetch("SELECT id, body, at FROM notes WHERE id = $1", number)
        prepared = await connection.prepare("SELECT count(*) FROM notes WHERE kind = $1")
        await prepared.fetchval(1)
        async with connection.transaction():
            await connection.execute("UPDATE notes SET body = $1 WHERE id = $2", "asyncpg", 1)
            try:
                async with connection.transaction():
                    await connection.execute("SELECT 1 / $1::int", 0)
            except asyncpg.DivisionByZeroError:
                await connection.fetchval("SELECT 1")
            async for _ in connection.cursor("SELECT id FROM notes ORDER BY id", prefetch=7):
                continue
        await connection.executemany("UPDATE notes SET kind = $2 WHERE id = $1", [(1, 1), (2, 2), (3, 0)])
        await connection.reset()
        await connection.close()

    asyncio.run(work())


def with_psycopg2(cluster: Cluster, port: int) -> None:
    """Everything by the simple protocol: values in the text, a copy, a cursor, an error in a block."""
    where = f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE} sslmode=disable gssencmode=disable"
    connection = psycopg2.connect(where)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT id, body, at FROM notes WHERE id = ANY(%s)", ([1, 2, 3],))
        cursor.execute("SAVEPOINT here")
        with suppress(psycopg2.Error):
            cursor.execute("SELECT nothing FROM notes")
        cursor.execute("ROLLBACK TO here")
        cursor.copy_expert("COPY notes (id, body) FROM STDIN", io.StringIO("601\ta\n602\tb\n"))
        cursor.copy_expert("COPY (SELECT id FROM notes WHERE id > 600) TO STDOUT", io.StringIO())
        cursor.execute("DELETE FROM notes WHERE id > 600")
    with connection.cursor("named") as cursor:
        cursor.itersize = 16
        cursor.execute("SELECT id FROM notes ORDER BY id")
        list(cursor)
    connection.rollback()
    connection.close()


def with_sqlalchemy(cluster: Cluster, port: int) -> None:
    """Reflection, Core, a savepoint, over psycopg."""
    engine = sa.create_engine(
        f"postgresql+psycopg://postgres@127.0.0.1:{port}/{DATABASE}?sslmode=disable&gssencmode=disable"
    )
    with engine.begin() as connection:
        notes = sa.Table("notes", sa.MetaData(), autoload_with=connection)
        connection.execute(sa.select(notes).where(notes.c.id.in_([1, 2, 3]))).all()
        with suppress(sa.exc.IntegrityError), connection.begin_nested():
            connection.execute(sa.insert(notes), [{"id": 701, "body": "a"}, {"id": 1, "body": "again"}])
        connection.execute(sa.update(notes).where(notes.c.id == 1).values(kind=2))
    engine.dispose()


def with_django(cluster: Cluster, port: int) -> None:
    """The ORM: reads, a cursor WITH HOLD, an error in an inner transaction. It is configured once a process."""
    command = [sys.executable, "-m", "tests.drivers.recorded_django", "127.0.0.1", str(port), DATABASE]
    subprocess.run(command, check=True, timeout=60)


def node(cluster: Cluster, port: int, script: str) -> None:
    """A script in node/ against the recorder."""
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(packages())}
    dsn = f"postgresql://postgres@127.0.0.1:{port}/{DATABASE}"
    subprocess.run(["node", HERE / "node" / script, dsn], env=environment, check=True, timeout=60)


def jdbc(cluster: Cluster, port: int) -> None:
    """Prepared statements past the threshold, a batch, a savepoint, rows in pieces."""
    url = f"jdbc:postgresql://127.0.0.1:{port}/{DATABASE}?sslmode=disable"
    command = ["java", "-cp", str(DRIVER), str(HERE / "java" / "Recorded.java"), url, "postgres", "x"]
    subprocess.run(command, check=True, timeout=60)


SCRIPTS: dict[str, Callable[[Cluster, int], None]] = {
    "psql": psql,
    "pgbench-simple": lambda cluster, port: pgbench(cluster, port, "simple"),
    "pgbench-extended": lambda cluster, port: pgbench(cluster, port, "extended"),
    "pgbench-prepared": lambda cluster, port: pgbench(cluster, port, "prepared"),
    "pg_dump": pg_dump,
    "psycopg": with_psycopg,
    "asyncpg": with_asyncpg,
    "psycopg2": with_psycopg2,
    "sqlalchemy": with_sqlalchemy,
    "django": with_django,
    "node-postgres": lambda cluster, port: node(cluster, port, "recorded_pg.js"),
    "postgres-js": lambda cluster, port: node(cluster, port, "recorded_postgres_js.js"),
    "jdbc": jdbc,
}


def main(names: list[str]) -> None:
    """Records these, or all of them; of several connections the one that said most is kept."""
    with running(15) as cluster:
        for name in names or SCRIPTS:
            cluster.create_database(DATABASE)
            cluster.psql(DATABASE, SCHEMA)
            with recording_before(cluster.port) as recorder:
                SCRIPTS[name](cluster, recorder.port)
                said = [one.without_log_in() for one in recorder.recordings]
            FOLDER.mkdir(exist_ok=True)
            longest = max(said, key=lambda one: sum(len(data) for _, data in one.chunks))
            longest = longest.begun()
            longest.save(FOLDER / f"{name}.jsonl")
            print(name, sum(len(data) for _, data in longest.chunks), "bytes")
            cluster.drop_database(DATABASE)


if __name__ == "__main__":
    main(sys.argv[1:])
