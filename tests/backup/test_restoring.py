"""A tenant's rows come back as they were, in place or as another's, and nobody else's change."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from proxy.backup.archive import writing
from proxy.backup.refusal import Refused
from proxy.backup.restoring import restore
from proxy.backup.selection import Kept
from proxy.backup.snapshot import WRITING, lock, opened, taken
from proxy.backup.taking import back_up
from proxy.backup.writing import Difference
from proxy.tenancy.policy import Grant
from tests.backup.shelf import (
    UNDER,
    archived,
    book_of,
    checked,
    checksums,
    mended,
    operators,
    put_back,
    sample_grant,
    small,
)
from tests.kit.books import eventually
from tests.kit.postgres import Cluster, PostgresError
from tests.kit.rls import WALLED, load_walled, rls_grants
from tests.kit.rules import sample_rules
from tests.kit.sample import load_sample, pristine

CHANGES = """
UPDATE orders SET note = 'changed', amount = amount + 1 WHERE tenant_id = 2 AND id % 2 = 0;
DELETE FROM order_items WHERE tenant_id = 2 AND order_id < 5;
DELETE FROM orders WHERE tenant_id = 2 AND id < 3;
INSERT INTO customers VALUES (2, 99, 'new');
UPDATE orders SET customer_id = 99 WHERE tenant_id = 2 AND id = 7;
UPDATE users SET email = 'x' || email, manager_id = NULL WHERE tenant_id = 2;
DELETE FROM events WHERE tenant_id = 2 AND id < 5;
UPDATE events SET kind = 'z', at = at + interval '1 year' WHERE tenant_id = 2 AND id = 9;
INSERT INTO events SELECT * FROM events WHERE tenant_id = 2 AND id = 10;
DELETE FROM vehicles WHERE tenant_id = 2;
UPDATE tenants SET name = 'Other' WHERE id = 2;
DELETE FROM metrics WHERE tenant_id = 2;
UPDATE notes SET body = '' WHERE tenant = 'globex';
DELETE FROM documents WHERE tenant_uid = '00000000-0000-4000-8000-000000000002';
UPDATE transfers SET amount = 1 WHERE tenant_id = 2;
DELETE FROM coupons WHERE tenant_id = 2;
INSERT INTO bookings VALUES (2, 77, '[7000,7001)');
"""


def others(sums: dict[str, str], *keys: str) -> dict[str, str]:
    """Without the rows that have these keys."""
    return {name: digest for name, digest in sums.items() if name.rsplit(" ", 1)[1] not in keys}


GLOBEX = ("2", "globex", "00000000-0000-4000-8000-000000000002")


@pytest.mark.parametrize("schema", ["as it came", "after the doctor"])
def test_what_was_changed_and_deleted_comes_back_and_others_do_not_change(
    server: Cluster, pristine_shared: str, tmp_path: Path, schema: str
) -> None:
    if schema == "after the doctor":
        mended(server, pristine_shared, ("server.", "trigger."))
    before = checksums(server, pristine_shared)
    grant = sample_grant(server, pristine_shared)
    archived(server, grant, tmp_path / "a")
    server.psql(pristine_shared, CHANGES)
    changed = checksums(server, pristine_shared)
    assert len({name for name in before if before[name] != changed.get(name)}) > 10
    would = put_back(server, grant, tmp_path / "a", dry_run=True)
    assert checksums(server, pristine_shared) == changed
    assert would.tables["orders"] == Difference(2, 11, 0)
    assert would.tables["metrics"] == Difference(20, 0, 0)
    assert would.tables["bookings"] == Difference(0, 0, 1)
    assert would.tables["accounts"] == Difference()
    assert put_back(server, grant, tmp_path / "a") == would
    assert checksums(server, pristine_shared) == before
    assert not any(put_back(server, grant, tmp_path / "a").tables.values())


def test_the_others_write_meanwhile_and_lose_nothing(server: Cluster, pristine_shared: str, tmp_path: Path) -> None:
    grant = sample_grant(server, pristine_shared)
    before = checksums(server, pristine_shared)
    stop, written = threading.Event(), {1: 0, 3: 0}

    def write(tenant: int) -> None:
        with psycopg.connect(server.dsn(database=pristine_shared), autocommit=True) as connection:
            while not stop.is_set():
                connection.execute("UPDATE orders SET version = version + 1 WHERE tenant_id = %s AND id = 1", [tenant])
                written[tenant] += 1

    threads = [threading.Thread(target=write, args=[tenant]) for tenant in written]
    for one in threads:
        one.start()
    try:
        archived(server, grant, tmp_path / "a")
        server.psql(pristine_shared, CHANGES)
        put_back(server, grant, tmp_path / "a")
    finally:
        stop.set()
        for one in threads:
            one.join()
    after = checksums(server, pristine_shared)
    busy = {f"{table} {tenant}" for table in ("orders", "audit_log") for tenant in written}
    assert {name: one for name, one in after.items() if name not in busy} == {
        name: one for name, one in before.items() if name not in busy
    }
    for tenant, count in written.items():
        assert count > 0
        version = server.psql(pristine_shared, f"SELECT version FROM orders WHERE tenant_id = {tenant} AND id = 1")
        assert int(version) == 1 + count


def newcomer(cluster: Cluster, database: str) -> Grant:
    """A tenant that has no rows yet, and partitions where tables are parted by tenant."""
    cluster.psql(
        database,
        "CREATE TABLE metrics_t9 PARTITION OF metrics FOR VALUES IN (9);"
        " CREATE TABLE listed_t9 PARTITION OF listed FOR VALUES IN (9);",
    )
    text = (
        f"{sample_rules(cluster.port, database)}---\ntenant: newco\ndatabases: [{database}]\n"
        "keys: {default: 9, slug: newco, uid: 00000000-0000-4000-8000-000000000009}\n"
    )
    return book_of(text).grants["newco", database, False]


@pytest.mark.parametrize("triggers", [True, False])
def test_another_tenant_gets_the_rows_with_its_own_keys_and_references_hold(
    server: Cluster, pristine_shared: str, tmp_path: Path, triggers: bool
) -> None:
    """In the schema as it came, keys of accounts, transfers and the audit log are everybody's."""
    server.psql(pristine_shared, "ALTER TABLE coupons DROP CONSTRAINT coupons_pkey, ADD PRIMARY KEY (tenant_id, code)")
    # The server cannot put two rows with such ranges into one index; the sample set made them by an UPDATE.
    server.psql(pristine_shared, "ALTER TABLE bookings DROP CONSTRAINT bookings_during_excl; DROP INDEX odd_nr")
    before = checksums(server, pristine_shared)
    archived(server, sample_grant(server, pristine_shared), tmp_path / "a")
    grant = newcomer(server, pristine_shared)
    done = put_back(server, grant, tmp_path / "a", "into-empty", triggers=triggers)
    assert done.renumbered == {"accounts.id": 4, "audit_log.id": 5, "transfers.id": 3}
    after = checksums(server, pristine_shared)
    newco = ("9", "newco", "00000000-0000-4000-8000-000000000009")
    assert others(after, *newco) == before
    counts = {name: one.insert for name, one in done.tables.items()}
    assert server.psql(pristine_shared, "SELECT count(*) FROM audit_log WHERE tenant_id = 9").strip() == "5"
    assert (counts["orders"], counts["users"], counts["notes"], counts["tenants"]) == (22, 6, 5, 1)
    assert server.psql(pristine_shared, "SELECT id, slug, uid FROM tenants WHERE id = 9").strip() == "|".join(newco)
    pairs = (
        "SELECT f.owner, t.owner, x.amount FROM transfers x JOIN accounts f ON f.id = x.from_id"
        " JOIN accounts t ON t.id = x.to_id WHERE x.tenant_id = {0} AND f.tenant_id = {0} AND t.tenant_id = {0}"
        " ORDER BY 3"
    )
    assert server.psql(pristine_shared, pairs.format(9)) == server.psql(pristine_shared, pairs.format(2))
    assert len(server.psql(pristine_shared, pairs.format(9)).splitlines()) == 3
    with pytest.raises(Refused, match="newco has rows already in "):
        put_back(server, grant, tmp_path / "a", "into-empty")
    assert checksums(server, pristine_shared) == after


def test_a_chosen_key_that_another_tenant_has_is_refused(server: Cluster, pristine_shared: str, tmp_path: Path) -> None:
    archived(server, sample_grant(server, pristine_shared), tmp_path / "a")
    grant = newcomer(server, pristine_shared)
    before = checksums(server, pristine_shared)
    with pytest.raises(Refused, match=r"2 rows of coupons have a value of \(code\) that another tenant has"):
        put_back(server, grant, tmp_path / "a", "into-empty")
    assert checksums(server, pristine_shared) == before


def test_a_tenant_that_was_registered_keeps_its_registration(server: Cluster, tmp_path: Path) -> None:
    sql = (
        "CREATE TABLE tenants (id int PRIMARY KEY, name text UNIQUE); INSERT INTO tenants VALUES (1, 'Acme'), (2, 'G');"
        " CREATE TABLE items (tenant_id int NOT NULL REFERENCES tenants, id int, PRIMARY KEY (tenant_id, id));"
        " INSERT INTO items VALUES (1, 1), (1, 2)"
    )
    with small(server, sql, "tenants: {tenant_column: id}") as grants:
        database = grants["acme"].server.database
        archived(server, grants["acme"], tmp_path / "a")
        done = put_back(server, grants["globex"], tmp_path / "a", "into-empty")
        assert done.tables == {"tenants": Difference(), "items": Difference(2, 0, 0)}
        assert server.psql(database, "SELECT * FROM tenants ORDER BY 1").split() == ["1|Acme", "2|G"]
        with pytest.raises(Refused, match=r"tenants have a value of \(name\) that another tenant has"):
            put_back(server, grants["globex"], tmp_path / "a", "merge")
        assert server.psql(database, "SELECT count(*) FROM items").strip() == "4"


def test_merging_adds_and_changes_and_deletes_nothing(server: Cluster, pristine_shared: str, tmp_path: Path) -> None:
    grant = sample_grant(server, pristine_shared)
    archived(server, grant, tmp_path / "a")
    server.psql(
        pristine_shared,
        "INSERT INTO customers VALUES (2, 99, 'new'); UPDATE customers SET name = 'x' WHERE tenant_id = 2 AND id < 3;"
        " DELETE FROM notes WHERE tenant = 'globex'; INSERT INTO events VALUES (2, 777, 'k', '{}', '2024-01-01');"
        " DELETE FROM events WHERE tenant_id = 2 AND id = 3",
    )
    done = put_back(server, grant, tmp_path / "a", "merge")
    assert done.tables["customers"] == Difference(0, 2, 0)
    assert done.tables["notes"] == Difference(5, 0, 0)
    assert done.tables["events"] == Difference(1, 0, 0)
    assert server.psql(pristine_shared, "SELECT name FROM customers WHERE tenant_id = 2 AND id = 99").strip() == "new"
    assert server.psql(pristine_shared, "SELECT count(*) FROM events WHERE tenant_id = 2").strip() == "21"


def test_rows_of_shared_tables_must_be_there(server: Cluster, pristine_shared: str, tmp_path: Path) -> None:
    grant = sample_grant(server, pristine_shared)
    archived(server, grant, tmp_path / "a")
    server.psql(pristine_shared, "DELETE FROM order_items; DELETE FROM products WHERE id IN (3, 4)")
    before = checksums(server, pristine_shared)
    with pytest.raises(Refused, match=r"order_items needs rows of products that are not there: \(id\) = \(3\), \(4\)"):
        put_back(server, grant, tmp_path / "a")
    assert checksums(server, pristine_shared) == before


def test_somebody_who_writes_the_tenants_rows_beside_makes_it_fail(
    server: Cluster, pristine_shared: str, tmp_path: Path
) -> None:
    """The row is locked by a transaction that commits once the restore waits for it."""
    grant = sample_grant(server, pristine_shared)
    archived(server, grant, tmp_path / "a")
    server.psql(pristine_shared, "UPDATE customers SET name = 'x' WHERE tenant_id = 2")
    with (
        psycopg.connect(server.dsn(database=pristine_shared)) as other,
        psycopg.connect(server.dsn(database=pristine_shared), autocommit=True) as watching,
    ):
        other.execute("UPDATE customers SET name = 'y' WHERE tenant_id = 2 AND id = 1")

        def commit() -> None:
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"
            eventually(lambda: watching.execute(waits).fetchone() != (0,), 60)
            other.commit()

        thread = threading.Thread(target=commit)
        thread.start()
        with pytest.raises(Exception, match="could not serialize access"):
            put_back(server, grant, tmp_path / "a")
        thread.join()
    names = server.psql(pristine_shared, "SELECT DISTINCT name FROM customers WHERE tenant_id = 2 ORDER BY 1").split()
    assert names == ["x", "y"]


def test_an_archive_of_another_kind_and_a_migration_in_between_are_refused(postgres15: Cluster, tmp_path: Path) -> None:
    with pristine(load_sample(postgres15)) as database:
        grant = sample_grant(postgres15, database)
        archived(postgres15, grant, tmp_path / "a")
        postgres15.psql(database, "ALTER TABLE coupons DROP COLUMN uses, ADD COLUMN must int NOT NULL DEFAULT 1")
        postgres15.psql(database, "ALTER TABLE coupons ALTER COLUMN must DROP DEFAULT, ALTER COLUMN pct TYPE bigint")
        with pytest.raises(Refused) as refused:
            put_back(postgres15, grant, tmp_path / "a")
        assert sorted(refused.value.problems) == [
            "coupons has no column uses there that could be given a value",
            "coupons.must must have a value there, and the archive has none",
            "coupons.pct is bigint there, integer here",
        ]
        assert checked(tmp_path / "a").rows == 197


def test_behind_policies_a_tenants_own_role_backs_nothing_up_and_the_operator_restores(
    server: Cluster, tmp_path: Path
) -> None:
    load_walled(server)
    with pristine(server, WALLED) as database:
        grant = next(one for one in rls_grants(server.port, database) if one.tenant == "globex")
        place = (grant.server, grant.credentials)
        with pytest.raises(Exception, match="row-level security"), writing(str(tmp_path / "none")) as sink:
            asyncio.run(back_up(place, grant, UNDER, sink))
        before = checksums(server, database)
        manifest = archived(server, grant, tmp_path / "a")
        assert (manifest.isolation, manifest.rows) == ("rls", 197)
        quiet = "ALTER TABLE orders {} TRIGGER USER;"  # it writes as its owner, who is no tenant
        server.psql(database, f"{quiet.format('DISABLE')} {CHANGES} {quiet.format('ENABLE')}")
        with pytest.raises(Exception, match="row-level security"):
            put_back(server, grant, tmp_path / "a")
        assert put_back(server, grant, tmp_path / "a", triggers=False).tables["metrics"] == Difference(20, 0, 0)
        assert checksums(server, database) == before


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE customers ADD COLUMN more int",
        "CREATE TABLE bills (tenant int, who int, FOREIGN KEY (tenant, who) REFERENCES customers ON DELETE CASCADE)",
    ],
)
def test_a_migration_between_the_look_and_the_writing_is_noticed(
    server: Cluster, pristine_shared: str, tmp_path: Path, migration: str
) -> None:
    grant = sample_grant(server, pristine_shared)
    manifest = archived(server, grant, tmp_path / "a")
    server.psql(pristine_shared, CHANGES)
    before = checksums(server, pristine_shared)

    @asynccontextmanager
    async def migrated() -> AsyncIterator[None]:
        server.psql(pristine_shared, migration)
        yield

    with pytest.raises(Refused, match="the tables were altered meanwhile"):
        place = operators(server, pristine_shared)
        asyncio.run(restore(place, grant, manifest, str(tmp_path / "a"), mode="replace", quiet=migrated))
    if "bills" in migration:
        assert checksums(server, pristine_shared) == before


async def test_no_foreign_key_is_made_while_rows_are_written_and_others_write(
    server: Cluster, pristine_shared: str
) -> None:
    async with taken(
        operators(server, pristine_shared), sample_grant(server, pristine_shared), lambda *_: ()
    ) as snapshot:
        (orders,) = (
            Kept(one, ())
            for one in snapshot.catalog.relations.values()
            if (one.schema, one.name) == ("public", "orders")
        )
        connection = await opened(operators(server, pristine_shared), WRITING)
        try:
            async with connection.transaction():
                await lock(connection, [orders], mode="ROW EXCLUSIVE")
                made = "SET lock_timeout = 100; CREATE TABLE x (a int, b int, FOREIGN KEY (a, b) REFERENCES orders)"
                with pytest.raises(PostgresError, match="lock timeout"):
                    server.psql(pristine_shared, made)
                server.psql(pristine_shared, "SET lock_timeout = 100; UPDATE orders SET note = 'x' WHERE tenant_id = 1")
        finally:
            await connection.close()


def test_rows_of_one_version_come_back_on_another(postgres15: Cluster, postgres18: Cluster, tmp_path: Path) -> None:
    with pristine(load_sample(postgres15)) as old, pristine(load_sample(postgres18)) as new:
        archived(postgres15, sample_grant(postgres15, old), tmp_path / "a")
        before = checksums(postgres18, new)
        postgres18.psql(new, CHANGES)
        put_back(postgres18, sample_grant(postgres18, new), tmp_path / "a")
        assert checksums(postgres18, new) == before
        archived(postgres18, sample_grant(postgres18, new), tmp_path / "b")
        put_back(postgres15, sample_grant(postgres15, old), tmp_path / "b")
        assert checksums(postgres15, old) == before
