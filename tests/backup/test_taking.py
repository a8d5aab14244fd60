"""A backup has the tenant's rows of one moment, all of them and no others, in few bytes of memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from proxy.backup.archive import members, unpacked, writing
from proxy.backup.manifest import Manifest
from proxy.backup.progress import Progress
from proxy.backup.taking import back_up
from tests.backup.shelf import UNDER, archived, checked, operators, sample_grant
from tests.kit.postgres import SUPERUSER, Cluster


def rows_in(path: Path, manifest: Manifest, table: str) -> list[str]:
    """The rows of a table as COPY writes them."""
    wanted = {one.name for relation in manifest.relations if relation.name == table for one in relation.members}
    plain = b"".join(unpacked(name, stored) for name, stored in members(str(path)) if name in wanted)
    return plain.decode().splitlines()


def test_every_table_has_the_tenants_rows_as_copy_writes_them(shared_server: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "globex.partywall"
    manifest = archived(shared_server, sample_grant(shared_server), path)
    assert checked(path) == manifest
    assert (manifest.tenant, manifest.database, manifest.isolation) == ("globex", "shared", "row")
    assert manifest.keys == {"default": "2", "slug": "globex", "uid": "00000000-0000-4000-8000-000000000002"}
    with psycopg.connect(shared_server.dsn(database="shared"), autocommit=True) as connection:
        connection.execute("SET timezone = 'UTC'; SET datestyle = 'ISO, YMD'")
        for relation in manifest.relations:
            names = ", ".join(f'"{one.name}"' for one in relation.columns)
            only = "" if relation.name in {"events", "metrics", "listed"} else "ONLY "
            where = f"\"{relation.tenant_column}\"::text = '{manifest.keys[relation.key or '']}'"
            query = f'COPY (SELECT {names} FROM {only}"{relation.name}" WHERE {where}) TO STDOUT'
            with connection.cursor().copy(query) as copy:
                wanted = b"".join(bytes(one) for one in copy).decode().splitlines()
            assert sorted(rows_in(path, manifest, relation.name)) == sorted(wanted), relation.name
            assert relation.rows == len(wanted)
    types = {one.name: one.type for one in next(r for r in manifest.relations if r.name == "orders").columns}
    assert (types["status"], types["amount"]) == ("public.order_status", "numeric(12,2)")


def test_rows_of_the_moment_are_taken_while_others_write(server: Cluster, pristine_shared: str, tmp_path: Path) -> None:
    """Each table is changed once the reading has begun, and nothing of it is in the archive."""
    grant = sample_grant(server, pristine_shared)
    changed = False

    def change(progress: Progress) -> None:
        nonlocal changed
        if not changed:
            changed = True
            server.psql(
                pristine_shared,
                "UPDATE orders SET note = 'later'; DELETE FROM order_items; UPDATE users SET name = 'x'",
            )

    path = tmp_path / "a"
    with writing(str(path)) as sink:
        manifest = asyncio.run(back_up(operators(server, pristine_shared), grant, UNDER, sink, 1, change))
    assert changed
    assert sum("later" in one for one in rows_in(path, manifest, "orders")) == 0
    counts = {one.name: one.rows for one in manifest.relations}
    assert (counts["order_items"], counts["orders"]) == (44, 22)


def test_a_large_table_is_many_members_and_large_values_are_whole(
    server: Cluster, pristine_shared: str, tmp_path: Path
) -> None:
    server.psql(
        pristine_shared,
        "INSERT INTO orders (tenant_id, id, customer_id, note) SELECT 2, g, 1, repeat('x', 300)"
        " FROM generate_series(100, 3100) g; UPDATE orders SET note = repeat(E'\\\\ \\t\\n', 1000000) WHERE id = 100",
    )
    path = tmp_path / "a"
    manifest = archived(server, sample_grant(server, pristine_shared), path, piece=100_000, jobs=4)
    orders = next(one for one in manifest.relations if one.name == "orders")
    assert len(orders.members) > 4
    assert orders.rows == 3023
    assert max(one.bytes for one in orders.members) > 6_000_000
    assert checked(path) == manifest


def test_a_role_that_may_not_read_is_an_error_and_no_archive(
    server: Cluster, pristine_shared: str, tmp_path: Path
) -> None:
    server.psql(pristine_shared, "REVOKE SELECT ON coupons FROM app")
    grant = sample_grant(server, pristine_shared)
    path = tmp_path / "a"
    with pytest.raises(Exception, match="permission denied for table coupons"), writing(str(path)) as sink:
        asyncio.run(back_up((grant.server, grant.credentials), grant, UNDER, sink))
    assert list(tmp_path.iterdir()) == []


MEASURED = """
import asyncio, sys
from pathlib import Path
from tests.backup.shelf import *
from tests.kit.rules import sample_rules
from proxy.tenancy.servers import place_of

def most():
    (line,) = [one for one in open("/proc/self/status") if one.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

port, database, path, role = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
grant = book_of(sample_rules(port, database)).grants["globex", database, False]
place = place_of(f"postgresql://{role}@127.0.0.1:{port}/{database}?sslmode=disable", None)
before = most()
with writing(path) as sink:
    manifest = asyncio.run(back_up(place, grant, UNDER, sink, 2, piece=1 << 20))
after = most()
asyncio.run(restore(place, grant, checked(Path(path)), path))
print(sum(one.bytes for one in manifest.members), after - before, most() - after)
"""


def test_memory_does_not_grow_with_the_size(postgres15: Cluster, tmp_path: Path) -> None:
    """Sixty megabytes pass out and in through a process that grows by less than a third of that, either time."""
    postgres15.create_database("large")
    try:
        postgres15.psql(
            "large",
            "CREATE TABLE orders (tenant_id int NOT NULL, id int NOT NULL, note text, PRIMARY KEY (tenant_id, id));"
            " INSERT INTO orders SELECT 2, g, repeat(md5(g::text), 10) FROM generate_series(1, 190000) g",
        )
        arguments = [str(postgres15.port), "large", str(tmp_path / "a"), SUPERUSER]
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        size, out, back = map(int, done.stdout.split())
        assert size > 60_000_000
        assert max(out, back) < 20_000_000
    finally:
        postgres15.drop_database("large")
