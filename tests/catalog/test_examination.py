"""What the doctor asks is what is there, as the role that serves tenants sees it."""

from __future__ import annotations

from tests.doctor.clinic import ROLE, clinic, patient
from tests.kit.postgres import Cluster

SQL = """
CREATE TABLE t (tenant_id int NOT NULL, a int, b int, PRIMARY KEY (tenant_id, a) INCLUDE (b));
CREATE INDEX part ON t (lower(a::text), b) WHERE b > 1;
CREATE TABLE c (tenant_id int, a int, CONSTRAINT c_fk FOREIGN KEY (tenant_id, a) REFERENCES t);
CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION theirs() FROM PUBLIC;
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER off BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g();
CREATE TRIGGER live BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g();
ALTER TABLE t DISABLE TRIGGER off;
CREATE EXTENSION pg_trgm
"""


async def test_privileges_indexes_functions_and_triggers_are_the_roles_view(server: Cluster) -> None:
    with clinic(server, SQL) as name:
        seen = await patient(server, name)
    found, table = seen.examination, seen.catalog.relations["public", "t"]
    assert (found.role, found.version) == (ROLE, seen.catalog.server_version)
    assert found.privileges[table.oid] == ("SELECT", "INSERT", "UPDATE", "DELETE")
    part, key = sorted(found.indexes[table.oid], key=lambda one: one.name)
    assert (part.name, part.columns, part.is_key, part.partial, part.method) == ("part", (0, 3), False, True, "btree")
    assert (key.name, key.columns, key.is_key, key.key) == (
        "t_pkey",
        (1, 2),
        True,
        "PRIMARY KEY (tenant_id, a) INCLUDE (b)",
    )
    assert [(one.kind, one.name) for one in found.actions[table.oid]] == [("TRIGGER", "live")]
    assert sorted(one.rpartition(".")[2] for one in found.functions.values()) == ["g()", "mine()"]  # no extension's
    other = seen.catalog.relations["public", "c"]
    assert found.foreign_keys[other.oid, "c_fk"].startswith("FOREIGN KEY (tenant_id, a) REFERENCES ")
