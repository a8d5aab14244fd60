"""COPY by the drivers' own means, both ways, as two tenants; and more of it than anybody would keep."""

from __future__ import annotations

import io
import os
import select
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psycopg
import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rls import WALLED, load_walled, provision_walls, rls_grants, rls_rules
from tests.kit.sample import pristine

TENANTS = (("acme_app", 1), ("globex_app", 2))
PLAIN = """CREATE TABLE plain (tenant_id int NOT NULL, n int, v text);
GRANT SELECT, INSERT, UPDATE, DELETE ON plain TO app;"""
LARGE = 24_000_000  # bytes of rows
KEPT = 12_000  # KB by which the proxy may grow meanwhile


@pytest.fixture(scope="module", params=["row", "rls"])
def proxy(shared_server: Cluster, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """Behind policies rows go in as INSERTs, which no driver notices."""
    if request.param == "rls":
        with pristine(load_walled(shared_server), WALLED) as database:
            shared_server.psql(database, PLAIN)
            provision_walls(shared_server, database, rls_grants(shared_server.port, database))
            rules = rls_rules(shared_server.port, database)
            with running_proxy(shared_server.port, database, rules=rules) as running:
                yield running
        return
    with pristine(shared_server) as database:
        shared_server.psql(database, PLAIN)
        with running_proxy(shared_server.port, database) as running:
            yield running


def peak(proxy: Proxy) -> int:
    """KB of memory that the proxy had at most (VmHWM of proc(5))."""
    lines = Path(f"/proc/{proxy.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("VmHWM:"))


@pytest.mark.parametrize("options", ["", "WITH (FORMAT csv)", "WITH (FORMAT binary)"])
def test_psycopg_copies_rows_both_ways(proxy: Proxy, options: str) -> None:
    rows = [(1, "a\tb\n"), (2, None), (3, "\\. \"é'")]
    for login, tenant in TENANTS:
        with psycopg.connect(proxy.dsn(login)) as connection, connection.cursor() as cursor:
            if "csv" in options:
                with cursor.copy(f"COPY plain (n, v) FROM STDIN {options}") as copy:
                    copy.write('1,"a\tb\n"\n2,\n3,"\\. ""é\'"\n')
            else:
                with cursor.copy(f"COPY plain (n, v) FROM STDIN {options}") as copy:
                    copy.set_types(["int4", "text"])
                    for row in rows:
                        copy.write_row(row)
            assert cursor.execute("SELECT tenant_id, n, v FROM plain ORDER BY n").fetchall() == [
                (tenant, *row) for row in rows
            ]
            if "csv" not in options:
                with cursor.copy(f"COPY plain TO STDOUT {options}") as copy:
                    copy.set_types(["int4", "int4", "text"])
                    assert sorted(copy.rows()) == [(tenant, *row) for row in rows]
            connection.rollback()


def test_psycopg_gives_up_and_goes_on(proxy: Proxy) -> None:
    with psycopg.connect(proxy.dsn("acme_app"), autocommit=True) as connection, connection.cursor() as cursor:
        with pytest.raises(ZeroDivisionError), cursor.copy("COPY plain (n, v) FROM STDIN") as copy:
            copy.write("1\tx\n")
            raise ZeroDivisionError
        with pytest.raises(psycopg.errors.InsufficientPrivilege), cursor.copy("COPY plain FROM STDIN") as copy:
            copy.write("2\t1\tx\n")
        assert cursor.execute("SELECT count(*) FROM plain").fetchone() == (0,)


async def test_asyncpg_copies_records_and_queries(proxy: Proxy) -> None:
    for login, tenant in TENANTS:
        connection = await asyncpg.connect(proxy.dsn(login))
        transaction = connection.transaction()
        await transaction.start()
        records = [(number, f"row {number}") for number in range(2000)]
        assert await connection.copy_records_to_table("plain", records=records, columns=["n", "v"]) == "COPY 2000"
        source = io.BytesIO(b"5000,x\n")
        await connection.copy_to_table("plain", source=source, columns=["n", "v"], format="csv")
        found = io.BytesIO()
        told = await connection.copy_from_query(
            "SELECT tenant_id, n FROM plain WHERE n >= $1 ORDER BY n", 1998, output=found
        )
        assert (told, found.getvalue()) == ("COPY 3", f"{tenant}\t1998\n{tenant}\t1999\n{tenant}\t5000\n".encode())
        found = io.BytesIO()
        assert await connection.copy_from_table("plain", output=found, format="csv") == "COPY 2001"
        await transaction.rollback()
        await connection.close()


def test_psql_copies_files_of_its_own(shared_server: Cluster, proxy: Proxy, tmp_path: Path) -> None:
    program = shared_server.binaries / "psql"
    into, out = tmp_path / "into.csv", tmp_path / "out.txt"
    into.write_text('n,v\n1,"two\nlines"\n2,\\.\n3,z\n', encoding="utf-8")
    script = f"""BEGIN;
\\copy plain (n, v) FROM '{into}' WITH (FORMAT csv, HEADER match)
COPY plain (n, v) FROM STDIN;
4\tfour
\\.
\\copy (SELECT tenant_id, n FROM plain ORDER BY n) TO '{out}'
ROLLBACK;
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    line = [str(program) if program.exists() else "psql", "-XAt", "-v", "ON_ERROR_STOP=1", proxy.dsn("acme_app")]
    done = subprocess.run(line, input=script, capture_output=True, text=True, check=False, env=environment, timeout=60)
    assert (done.stderr, done.stdout.splitlines()) == ("", ["BEGIN", "COPY 3", "COPY 1", "COPY 4", "ROLLBACK"])
    assert out.read_text(encoding="utf-8") == "1\t1\n1\t2\n1\t3\n1\t4\n"


def test_more_data_than_anybody_keeps_go_through_both_ways(proxy: Proxy) -> None:
    row = b"%d\t" + b"x" * 140 + b"\n"
    piece = b"".join(row % number for number in range(1000))
    with psycopg.connect(proxy.dsn("acme_app")) as connection, connection.cursor() as cursor:
        before = peak(proxy)
        with cursor.copy("COPY plain (n, v) FROM STDIN") as copy:
            for _ in range(LARGE // len(piece)):
                copy.write(piece)
        got = 0
        with cursor.copy("COPY plain (n, v) TO STDOUT") as copy:
            for one in copy:
                got += len(one)
        assert got == LARGE // len(piece) * len(piece)
        assert peak(proxy) - before < KEPT
        connection.rollback()


def test_data_that_come_before_the_server_wants_them_wait_outside(shared_server: Cluster, proxy: Proxy) -> None:
    rows = 7_000
    data = (b"1\t" + b"x" * 140 + b"\n") * rows
    messages = [b"Q" + struct.pack("!i", 33) + b"COPY plain (n, v) FROM STDIN\0"]
    messages += [b"d" + struct.pack("!i", len(data) + 4) + data] * 24
    with (
        psycopg.connect(shared_server.dsn("postgres", proxy.database)) as owner,
        proxy.connect("acme_app") as client,
    ):
        client.simple("BEGIN")
        owner.execute("LOCK TABLE plain")
        before = peak(proxy)
        sender = threading.Thread(target=client.socket.sendall, args=(b"".join([*messages, b"c\0\0\0\4"]),))
        sender.start()
        while select.select([], [client.socket], [], 0.5)[1]:  # until neither the proxy nor the kernel takes more
            pass
        owner.rollback()
        told = client.collect()
        sender.join()
        assert told.tags == [f"COPY {rows * 24}"]
        assert peak(proxy) - before < KEPT
        client.simple("ROLLBACK")
