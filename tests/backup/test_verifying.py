"""An archive against the live tenant, and a tenant on two servers: what differs is counted, in every mode."""

from __future__ import annotations

import asyncio
import tracemalloc
from pathlib import Path

import pytest

from proxy.backup import archived as archived_rows
from proxy.backup.manifest import Manifest
from proxy.backup.refusal import Refused
from proxy.backup.verifying import Comparison, Unlike, with_archive, with_server
from proxy.tenancy.policy import Grant
from tests.backup.shelf import archived, checked, operators, sample_grant, small
from tests.backup.test_comparing import CHANGES, TABLES
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample, pristine

ROLE = "DO $$ BEGIN CREATE ROLE shelf_app; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"


def compared(cluster: Cluster, grant: Grant, path: Path) -> dict[str, Unlike]:
    """What differs from an archive."""
    return differing(
        asyncio.run(with_archive(operators(cluster, grant.server.database), grant, checked(path), str(path)))
    )


def differing(found: Comparison) -> dict[str, Unlike]:
    assert bool(found) is any(found.tables.values())
    return {name: one for name, one in found.tables.items() if one}


def test_an_archive_is_equal_to_the_tenant_until_a_row_changes(server: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pristine(load_sample(server)) as database:
        grant = sample_grant(server, database)
        archived(server, grant, path)
        assert compared(server, grant, path) == {}
        server.psql(
            database,
            "UPDATE orders SET note = 'x' WHERE tenant_id IN (1, 2) AND id IN (1, 2);"
            "DELETE FROM notes WHERE tenant = 'globex' AND id = 1;"
            "INSERT INTO metrics SELECT tenant_id, day + 90, name, value FROM metrics WHERE tenant_id = 2 LIMIT 1;"
            "DELETE FROM coupons WHERE tenant_id = 1",
        )
        found = compared(server, grant, path)
    assert found.pop("orders").changed == 2
    assert found.pop("audit_log").right == 2  # by a trigger
    assert found == {"notes": Unlike(left=1), "metrics": Unlike(right=1)}


def test_tables_and_columns_that_only_one_side_has_differ(postgres15: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with small(postgres15, TABLES) as grants:
        archived(postgres15, grants["acme"], path)
        postgres15.psql(
            grants["acme"].server.database,
            "ALTER TABLE keyed ADD note text; UPDATE keyed SET c1 = 'x' WHERE place = 'p1';"
            "ALTER TABLE keyless RENAME TO other; GRANT ALL ON other TO shelf_app",
        )
        assert compared(postgres15, grants["acme"], path) == {
            "keyed": Unlike(changed=1, columns=("note is only live",)),
            "keyless": Unlike(left=100, columns=("the table is only in the archive",)),
            "other": Unlike(right=100, columns=("the table is only live",)),
        }
        postgres15.psql(grants["acme"].server.database, "ALTER TABLE keyed DROP COLUMN note, DROP COLUMN c1")
        assert compared(postgres15, grants["acme"], path)["keyed"] == Unlike(columns=("c1 is only in the archive",))


def test_a_tenant_is_compared_on_two_servers(postgres15: Cluster, postgres18: Cluster) -> None:
    with small(postgres15, TABLES) as grants:
        grant = grants["acme"]
        name = grant.server.database
        postgres18.create_database(name)
        try:
            postgres18.psql(name, f"{ROLE} {TABLES}")
            left, right = operators(postgres15, name), operators(postgres18, name)
            same = asyncio.run(with_server(left, right, grant))
            assert (bool(same), [time.endswith("Z") for time, _ in same.moments]) == (False, [True, True])
            postgres18.psql(name, f"{CHANGES} CREATE TABLE more (tenant_id int NOT NULL); INSERT INTO more VALUES (1)")
            assert differing(asyncio.run(with_server(left, right, grant))) == {
                "keyed": Unlike(1, 1, 1),
                "keyless": Unlike(2, 2, 0),
                "more": Unlike(right=1, columns=("the table is only there",)),
            }
        finally:
            postgres18.drop_database(name)


def test_another_tenants_archive_is_not_compared(postgres15: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with small(postgres15, TABLES) as grants:
        manifest: Manifest = archived(postgres15, grants["acme"], path)
        place = operators(postgres15, grants["acme"].server.database)
        with pytest.raises(Refused, match="globex has other keys in the rules than in the archive"):
            asyncio.run(with_archive(place, grants["globex"], manifest, str(path)))
        with pytest.raises(Refused, match="the archive is of mode schema"):
            other = manifest.model_copy(update={"isolation": "schema"})
            asyncio.run(with_archive(place, grants["acme"], other, str(path)))


def test_memory_does_not_grow_with_the_rows(
    postgres15: Cluster, tmp_path: Path, effort: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them differ, which is the worst case; rows are sorted on disk."""
    monkeypatch.setattr(archived_rows, "RUN", 500)
    peaks = []
    made = "CREATE TABLE big (tenant_id int, id int, note text, PRIMARY KEY (tenant_id, id));"
    with small(postgres15, f"{made} GRANT ALL ON big TO shelf_app") as grants:
        grant = grants["acme"]
        for rows in (4000, 20_000 * effort):
            path = tmp_path / str(rows)
            filled = f"INSERT INTO big SELECT 1, n, repeat('x', 100) FROM generate_series(1, {rows}) n"
            postgres15.psql(grant.server.database, f"DELETE FROM big; {filled}")
            archived(postgres15, grant, path, piece=1 << 16)
            postgres15.psql(grant.server.database, "UPDATE big SET note = 'y'")
            tracemalloc.start()
            try:
                assert compared(postgres15, grant, path) == {"big": Unlike(changed=rows)}
                peaks.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5
