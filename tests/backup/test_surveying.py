"""What is in the way of a move is seen before anything is done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from proxy.backup import sequences
from proxy.backup.ends import MOVING
from proxy.backup.moving import tried
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import opened
from proxy.backup.surveying import drawn, tables_of
from proxy.catalog.introspect import introspect
from tests.backup.crossing import SCHEMA, TABLES, crossing
from tests.backup.modes import OWN_ROLE, Spot, between, spots
from tests.backup.shelf import operators
from tests.kit.postgres import Cluster


def test_tables_sequences_roles_and_triggers_are_looked_at(postgres15: Cluster) -> None:
    with crossing(postgres15) as across:
        assert {one.title for one in asyncio.run(tried(across.ends))} == set(TABLES)
        across.sql("ALTER TABLE parts ENABLE ALWAYS TRIGGER mark; ALTER TABLE bills ALTER id DROP DEFAULT", True)
        across.sql("DROP SEQUENCE bills_id_seq CASCADE", True)
        with pytest.raises(Refused) as refused:
            asyncio.run(tried(across.ends))
        assert refused.value.problems == [
            "the trigger mark of public.parts at the target fires for rows that are replicated",
            'the sequence "public"."bills_id_seq" is not there at the target',
        ]
        across.sql("GRANT pg_read_all_data, pg_write_all_data TO shelf_app")
        server, credentials = across.ends.source
        ends = replace(across.ends, source=(replace(server, role="shelf_app"), credentials))
        with pytest.raises(Refused, match="the operator's role at the source is no superuser"):
            asyncio.run(tried(ends))
        across.sql("REVOKE pg_read_all_data, pg_write_all_data FROM shelf_app")


def test_a_trigger_that_only_a_partition_has_so_is_told(server: Cluster) -> None:
    """PostgreSQL 14 calls what a partition has of its parent's internal."""
    parts = "PARTITION BY LIST (tenant_id); CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);"
    with crossing(server, SCHEMA.replace("ON DELETE CASCADE);", f"ON DELETE CASCADE) {parts}")) as across:
        assert {one.title for one in asyncio.run(tried(across.ends))} == set(TABLES)
        across.sql("ALTER TABLE parts_2 ENABLE ALWAYS TRIGGER mark", True)
        with pytest.raises(Refused) as refused:
            asyncio.run(tried(across.ends))
        problem = "the trigger mark of public.parts_2 at the target fires for rows that are replicated"
        assert refused.value.problems == [problem]


def test_a_table_that_is_not_there_is_told(postgres15: Cluster) -> None:
    missing = pytest.raises(Refused, match=r"marks. is no table of the tenant at the target")
    with crossing(postgres15, SCHEMA + "DROP TABLE marks;") as across, missing:
        asyncio.run(tried(across.ends))


def test_a_sequence_that_counts_down_is_told(postgres15: Cluster) -> None:
    down = SCHEMA + "ALTER SEQUENCE bills_id_seq INCREMENT -1 MINVALUE -9 START 1;"
    with crossing(postgres15, down) as across, pytest.raises(Refused, match="counts down, and is not followed"):
        asyncio.run(tried(across.ends))


def test_what_a_tenant_defined_is_missed_at_the_target(postgres15: Cluster) -> None:
    with spots(postgres15, "schema", "database") as (here, there):
        both = "CREATE VIEW seen AS SELECT 1 AS a; CREATE FUNCTION one(int) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        here.sql(both, OWN_ROLE)
        here.sql("CREATE TYPE size AS (w int, h int); CREATE DOMAIN short AS text; CREATE FUNCTION one() RETURNS int"
                 " LANGUAGE sql AS 'SELECT 1'; CREATE MATERIALIZED VIEW kept AS SELECT 1 AS a", OWN_ROLE)  # fmt: skip
        there.sql(both, OWN_ROLE)
        with pytest.raises(Refused) as refused:
            asyncio.run(tried(between(here, there)))
        assert refused.value.problems == [
            f"the {one} is in globex, and not at the target: make it there, or drop it"
            for one in ("function one of 0 arguments", "materialized view kept", "type short", "type size")
        ]


def test_tables_of_a_schema_that_the_serving_role_cannot_use_are_anothers(postgres15: Cluster) -> None:
    with spots(postgres15, "row", "row") as (here, there):
        here.sql("CREATE SCHEMA acme; CREATE TABLE acme.things (tenant_id int NOT NULL, id int PRIMARY KEY)")
        assert len(asyncio.run(tried(between(here, there)))) == 3
        here.sql("GRANT USAGE ON SCHEMA acme TO PUBLIC")
        with pytest.raises(Refused, match=r"things. is no table of the tenant at the target"):
            asyncio.run(tried(between(here, there)))


def test_a_key_that_is_looked_at_by_a_trigger_does_not_hold_for_what_arrives(postgres15: Cluster) -> None:
    deferred = SCHEMA + "ALTER TABLE bills DROP CONSTRAINT bills_pkey, ADD PRIMARY KEY (id) DEFERRABLE;"
    with (
        crossing(postgres15, deferred) as across,
        pytest.raises(Refused, match=r"the key public.bills_pkey of public.bills at"),
    ):
        asyncio.run(tried(across.ends))


def last_numbers(spot: Spot) -> dict[str, int]:
    async def read() -> dict[str, int]:
        connection = await opened(operators(spot.cluster, spot.database), MOVING)
        try:
            kept = await tables_of(connection, spot.grant, spot.grant, await introspect(connection, 1))
            return {one.name: one.value for one in await drawn(connection, spot.grant, kept)}
        finally:
            await connection.close()

    return asyncio.run(read())


FRESH = "CREATE SEQUENCE side.fresh START 5; CREATE TABLE drawing (id int DEFAULT nextval('side.fresh'))"


def test_a_name_stands_for_no_other_sequence_until_that_is_read(
    postgres15: Cluster, postgres18: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    read = sequences.position
    with spots(postgres15, "schema") as (one,), spots(postgres18, "schema") as (other,):
        for spot in (one, other):
            own = f"ALTER SCHEMA globex OWNER TO {OWN_ROLE}; GRANT CREATE ON DATABASE {spot.database} TO {OWN_ROLE}"
            spot.sql(f"{own}; CREATE SCHEMA side AUTHORIZATION {OWN_ROLE}; CREATE TABLE public.canary (who text)")
            spot.sql("CREATE FUNCTION sing() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.canary VALUES"
                     " (current_user); RETURN 1; END'; CREATE FUNCTION evil(bigint) RETURNS int IMMUTABLE LANGUAGE"
                     " plpgsql AS 'BEGIN RETURN globex.sing(); END'", OWN_ROLE)  # fmt: skip
            spot.sql(FRESH, OWN_ROLE)

        async def swapped(connection: Any, place: str) -> tuple[int, bool]:
            looked.append(place)
            schema = place.partition(".")[0]
            with psycopg.connect(one.cluster.dsn(database=one.database, user=OWN_ROLE), autocommit=True) as tenant:
                tenant.execute("SET lock_timeout = '50ms'")
                for text in (
                    f"ALTER SEQUENCE {place} RENAME TO other; CREATE TABLE {place} (last_value bigint, is_called bool);"
                    f" CREATE INDEX ON {place} (last_value) WHERE globex.evil(3::bigint) = 1",
                    f"ALTER SEQUENCE {place} SET SCHEMA public",
                    f"ALTER SCHEMA {schema} RENAME TO another",
                    f"DROP SEQUENCE {place} CASCADE",
                ):
                    with pytest.raises(psycopg.errors.LockNotAvailable):
                        tenant.execute(text)
            return await read(connection, place)

        monkeypatch.setattr(sequences, "position", swapped)
        for spot in (one, other):
            assert last_numbers(spot) == {"bills_id_seq": 1, "fresh": 5}
            assert spot.sql("SELECT count(*) FROM public.canary") == "0"
        assert sorted(looked) == ['"globex"."bills_id_seq"', '"side"."fresh"']  # from 18 on none is read by its name


def test_a_sequence_in_a_schema_of_somebody_elses_is_not_set_on(postgres15: Cluster) -> None:
    with spots(postgres15, "database", "row") as (here, there):
        here.sql("CREATE SCHEMA acme; CREATE SEQUENCE acme.numbers; SELECT nextval('acme.numbers')")
        there.sql("CREATE SCHEMA acme; CREATE SEQUENCE acme.numbers")
        with pytest.raises(Refused, match=r"numbers. is in a schema that is not the tenant's at the target"):
            asyncio.run(tried(between(here, there)))
