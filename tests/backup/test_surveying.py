"""What is in the way of a move is seen before anything is done."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.backup.moving import tried
from proxy.backup.refusal import Refused
from tests.backup.crossing import SCHEMA, TABLES, crossing
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
