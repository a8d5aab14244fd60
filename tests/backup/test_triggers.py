"""Triggers are off inside the block, and afterwards as they were."""

from __future__ import annotations

import pytest

from proxy.backup.neighbours import Around
from proxy.backup.selection import selected
from proxy.backup.snapshot import WRITING
from proxy.backup.triggers import ENABLED, silenced
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from tests.backup.shelf import operators, small
from tests.kit.postgres import Cluster

SQL = """
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TABLE parted (tenant_id int NOT NULL) PARTITION BY LIST (tenant_id);
CREATE TABLE below_2 PARTITION OF parted FOR VALUES IN (2);
CREATE TABLE parted_4 PARTITION OF parted FOR VALUES IN (4);
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE other (id int);
CREATE TRIGGER whole AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER "Part" AFTER INSERT ON below_2 FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER always AFTER INSERT ON below_2 FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE below_2 ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER never AFTER INSERT ON below_2 FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE below_2 DISABLE TRIGGER never;
ALTER TABLE below_2 ENABLE REPLICA TRIGGER whole;
ALTER TABLE parted_4 DISABLE TRIGGER whole;
CREATE TRIGGER off AFTER INSERT ON parted FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE ONLY parted DISABLE TRIGGER off;
ALTER TABLE parted ADD FOREIGN KEY (tenant_id) REFERENCES kinds;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON parted DEFERRABLE FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER elsewhere AFTER INSERT ON other FOR EACH ROW EXECUTE FUNCTION nothing();
"""
STATES = "SELECT tgrelid::regclass::text, tgname, tgenabled::text FROM pg_trigger ORDER BY 1, 2"


async def test_those_of_the_tables_and_their_partitions_are_off_and_then_as_before(server: Cluster) -> None:
    with small(server, SQL) as grants:
        grant = grants["globex"]
        connection = await connect(*operators(server, grant.server.database), settings=WRITING)
        try:
            (kept,) = selected(await introspect(connection, 1), grant, Around())
            before = [tuple(row) for row in await connection.fetch(STATES)]
            order = [row["relation"] for row in await connection.fetch(ENABLED, [kept.relation.oid])]
            assert order == sorted(order, key="public.parted".__ne__)  # locked as by who writes: the parent first
            async with connection.transaction(), silenced(connection, [kept]) as count:
                assert count == 9
                on = {row["tgname"] for row in await connection.fetch(STATES) if row["tgenabled"] != "D"}
                assert {one for one in on if not one.startswith("RI_")} == {"elsewhere"} != on
            assert [tuple(row) for row in await connection.fetch(STATES)] == before
            with pytest.raises(ZeroDivisionError):
                async with connection.transaction(), silenced(connection, [kept]):
                    raise ZeroDivisionError
            assert [tuple(row) for row in await connection.fetch(STATES)] == before
        finally:
            await connection.close()
