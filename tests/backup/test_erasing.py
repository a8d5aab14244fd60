"""After an erasure nothing of the tenant is left in the tables, everything of the others is, or nothing was done."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from proxy.backup import erasing
from proxy.backup.erasing import Erased, erase
from proxy.backup.refusal import Refused
from proxy.tenancy.policy import Grant
from tests.backup.shelf import book_of, checksums, operators, sample_grant, small
from tests.backup.test_restoring import GLOBEX, others
from tests.backup.test_tying import LOOSE
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rls import WALLED, load_walled, rls_grants
from tests.kit.rules import own_rules
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import load_schemas, schema_rules


def erased(cluster: Cluster, grant: Grant, dry_run: bool = False, keep: bool = False, triggers: bool = True) -> Erased:
    """An erasure as the superuser."""
    place = operators(cluster, grant.server.database)
    return asyncio.run(erase(place, grant, dry_run, keep, triggers))


def test_a_tenants_rows_are_gone_and_the_others_are_not_touched(server: Cluster, pristine_shared: str) -> None:
    grant = sample_grant(server, pristine_shared)
    before = checksums(server, pristine_shared)
    would = erased(server, grant, dry_run=True)
    assert checksums(server, pristine_shared) == before
    assert (would.lsn, would.seen, would.tables["public.orders"]) == ("", "", 22)
    done = erased(server, grant)
    assert checksums(server, pristine_shared) == others(before, *GLOBEX)
    assert done.tables == would.tables
    assert (done.role, done.database, done.registered) == (SUPERUSER, pristine_shared, ())
    assert done.system == server.psql("postgres", "SELECT system_identifier FROM pg_control_system()").strip()
    at_the_end = server.psql(pristine_shared, f"SELECT '{done.lsn}'::pg_lsn <= pg_current_wal_lsn()").strip()
    assert (at_the_end, done.time < done.seen, int(done.transaction) > 0) == ("t", True, True)
    again = erased(server, grant)
    assert set(again.tables.values()) == {0}


def test_a_registration_can_be_kept(postgres18: Cluster) -> None:
    with pristine(load_sample(postgres18)) as database:
        before = checksums(postgres18, database)
        done = erased(postgres18, sample_grant(postgres18, database), keep=True)
        assert done.registered == ("public.tenants",)
        left = others(before, *GLOBEX) | {"tenants 2": before["tenants 2"]}
        assert checksums(postgres18, database) == left


def test_a_wall_of_policies_hides_nothing_from_an_erasure(postgres18: Cluster) -> None:
    load_walled(postgres18)
    postgres18.create_database("walled_erased", f"template_{WALLED}")
    try:
        before = checksums(postgres18, "walled_erased")
        (grant,) = [one for one in rls_grants(postgres18.port, "walled_erased") if one.tenant == "globex"][:1]
        erased(postgres18, grant, triggers=False)  # one writes as its owner, who is no tenant
        assert checksums(postgres18, "walled_erased") == others(before, *GLOBEX)
    finally:
        postgres18.drop_database("walled_erased")


RINGS = """
CREATE TABLE a (tenant_id int NOT NULL, id int NOT NULL, b int NOT NULL, up int, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, up) REFERENCES a ON DELETE RESTRICT);
CREATE TABLE b (tenant_id int NOT NULL, id int NOT NULL, a int NOT NULL, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, a) REFERENCES a ON DELETE RESTRICT);
CREATE TABLE c (tenant_id int NOT NULL, b int NOT NULL, FOREIGN KEY (tenant_id, b) REFERENCES b ON DELETE RESTRICT);
WITH x AS (INSERT INTO a SELECT t, n, n, 1 FROM generate_series(1, 3) t, generate_series(1, 3) n)
INSERT INTO b SELECT t, n, n FROM generate_series(1, 3) t, generate_series(1, 3) n;
INSERT INTO c SELECT tenant_id, id FROM b;
ALTER TABLE a ADD FOREIGN KEY (tenant_id, b) REFERENCES b ON DELETE RESTRICT;
"""


def test_rows_that_reference_each_other_in_a_ring_go_together(server: Cluster) -> None:
    with small(server, RINGS) as grants:
        before = checksums(server, grants["globex"].server.database)
        done = erased(server, grants["globex"])
        assert done.tables == {"public.a": 3, "public.b": 3, "public.c": 3}
        assert checksums(server, grants["globex"].server.database) == others(before, "2")


REFERENCED = """
CREATE TABLE parents (tenant_id int NOT NULL, id int PRIMARY KEY);
CREATE TABLE children (tenant_id int NOT NULL, id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE);
CREATE TABLE strangers (parent int REFERENCES parents ON DELETE SET NULL);
INSERT INTO parents VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO children VALUES (1, 1, 2), (2, 2, 2), (3, 3, NULL);
INSERT INTO strangers VALUES (1), (2), (2);
"""


def test_what_the_rows_of_others_reference_is_not_erased(postgres18: Cluster) -> None:
    with small(postgres18, REFERENCED) as grants:
        database = grants["globex"].server.database
        before = checksums(postgres18, database)
        for dry_run in (True, False):
            with pytest.raises(Refused) as refused:
                erased(postgres18, grants["globex"], dry_run)
            assert refused.value.problems == [
                "1 rows of public.children that the rules do not give to globex reference its rows of public.parents",
                "2 rows of public.strangers that the rules do not give to globex reference its rows of public.parents",
            ]
        assert checksums(postgres18, database) == before
        assert erased(postgres18, grants["initech"]).tables == {"public.parents": 1, "public.children": 1}


def test_a_row_that_references_one_in_other_letters_or_digits_is_seen_before_a_cascade_takes_it(
    postgres18: Cluster,
) -> None:
    with small(postgres18, LOOSE) as grants:
        before = checksums(postgres18, grants["globex"].server.database)
        with pytest.raises(Refused) as refused:
            erased(postgres18, grants["globex"])
        assert [one.split(" that ")[0] for one in refused.value.problems] == [
            "1 rows of public.of_codes",
            "1 rows of public.of_names",
            "1 rows of public.of_prices",
            "1 rows of public.of_shorts",
        ]
        assert checksums(postgres18, grants["globex"].server.database) == before


def test_where_no_table_is_the_tenants_there_is_nothing_to_sign_for(postgres18: Cluster) -> None:
    made = "CREATE TABLE a (tenant_id int NOT NULL); INSERT INTO a VALUES (2)"
    with small(postgres18, made, "a: {hidden: true}") as grants:
        for dry_run in (True, False):
            with pytest.raises(Refused, match="no table has rows of globex by the rules"):
                erased(postgres18, grants["globex"], dry_run)


def test_two_tables_never_share_a_name_in_a_receipt(postgres18: Cluster) -> None:
    made = """CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE TABLE a."b.c" (tenant_id int NOT NULL);
      CREATE TABLE "a.b".c (tenant_id int NOT NULL); INSERT INTO a."b.c" VALUES (2), (2);
      INSERT INTO "a.b".c VALUES (2);
      GRANT USAGE ON SCHEMA a, "a.b" TO PUBLIC"""
    with small(postgres18, made) as grants:
        assert erased(postgres18, grants["globex"]).tables == {'a."b.c"': 2, '"a.b".c': 1}


TRIGGERS = """
CREATE TABLE t (tenant_id int NOT NULL, id int); INSERT INTO t VALUES (2, 1), (1, 1);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER keep BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION keep();
"""


def test_a_trigger_that_keeps_rows_is_a_reason_to_do_nothing_and_can_be_off(postgres18: Cluster) -> None:
    with small(postgres18, TRIGGERS) as grants:
        database = grants["globex"].server.database
        with pytest.raises(Refused, match=r"triggers keep or write rows of public\.t; try --triggers off"):
            erased(postgres18, grants["globex"])
        assert erased(postgres18, grants["globex"], triggers=False).tables == {"public.t": 1}
        left = "SELECT tenant_id, (SELECT tgenabled FROM pg_trigger WHERE tgname = 'keep') FROM t"
        assert postgres18.psql(database, left).strip() == "1|O"


def test_a_row_that_comes_after_is_found_by_the_second_look(
    postgres18: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = erasing._looked

    async def late(place, *rest):  # type: ignore[no-untyped-def]  # as the function that it stands for
        async with await psycopg.AsyncConnection.connect(
            postgres18.dsn(database=place[0].database), autocommit=True
        ) as other:
            await other.execute("INSERT INTO a VALUES (2)")
        return await look(place, *rest)

    monkeypatch.setattr(erasing, "_looked", late)
    again = r"transaction \d+ erased it, and then: there are rows again, in public\.a; erase once more, for a receipt"
    with small(postgres18, "CREATE TABLE a (tenant_id int NOT NULL)") as grants, pytest.raises(Refused, match=again):
        erased(postgres18, grants["globex"])


def test_a_second_look_at_another_server_is_none(postgres18: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses another one may answer by then."""
    look = erasing._looked

    async def elsewhere(place, begun, keep, lsn, server):  # type: ignore[no-untyped-def]  # as the function it stands for
        return await look(place, begun, keep, lsn, {**server, "system": "1"})

    monkeypatch.setattr(erasing, "_looked", elsewhere)
    why = r"erased it, and then: the second look would be at another server; erase once more"
    with small(postgres18, "CREATE TABLE a (tenant_id int NOT NULL)") as grants, pytest.raises(Refused, match=why):
        erased(postgres18, grants["globex"])


def test_a_schema_of_ones_own_is_dropped_unless_others_depend_on_it(postgres18: Cluster) -> None:
    load_schemas(postgres18)
    postgres18.create_database("beside_erased", "template_beside")
    try:
        grant = book_of(schema_rules(postgres18.port, "beside_erased")).grants["acme", "shared", False]
        schemas = "SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspname !~ '^(pg_|info)'"
        postgres18.psql("beside_erased", "CREATE VIEW reference.leak AS SELECT id FROM acme.orders")
        with pytest.raises(Refused, match=r"outside the schema acme there depends on what is in it: .*leak"):
            erased(postgres18, grant)
        postgres18.psql("beside_erased", "DROP VIEW reference.leak")
        counts = "SELECT count(*) FROM globex.orders"
        before = postgres18.psql("beside_erased", counts)
        done = erased(postgres18, grant)
        assert done.tables["acme.orders"] == 21
        assert postgres18.psql("beside_erased", schemas).split() == ["globex", "initech", "public", "reference"]
        assert postgres18.psql("beside_erased", counts) == before
        assert [one.where for one in done.remains if one.what == "role"] == [("acme_rw",)]
    finally:
        postgres18.drop_database("beside_erased")


def test_the_tables_of_a_database_of_ones_own_are_emptied(postgres18: Cluster) -> None:
    with pristine(load_sample(postgres18), "private1") as database:
        grant = book_of(own_rules(postgres18.port, database)).grants["acme", "shared", False]
        done = erased(postgres18, grant)
        assert done.tables["public.orders"] == 21
        assert checksums(postgres18, database) == {}
        assert [one.until for one in done.remains if one.what == "definitions"] == ["DROP DATABASE"]
