"""What is in the way of a move is seen before anything is done."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.backup.moving import tried
from proxy.backup.refusal import Refused
from tests.backup.crossing import SCHEMA, TABLES, crossing
from tests.backup.modes import OWN_ROLE, between, spots
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
