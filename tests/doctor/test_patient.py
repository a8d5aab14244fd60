"""What the doctor looks at: relations that are somebody's, by how tenants see them."""

from __future__ import annotations

from proxy.doctor.patient import columns_of, full, short
from tests.doctor.clinic import clinic, patient
from tests.kit.postgres import Cluster

SQL = """
CREATE TABLE t (tenant_id int NOT NULL, "a b" int);
CREATE TABLE hidden (a int);
CREATE SCHEMA partywall; CREATE TABLE partywall.tenants (tenant_id int NOT NULL)
"""


async def test_relations_are_the_schemas_own_and_not_the_servers_or_the_proxys(postgres18: Cluster) -> None:
    with clinic(postgres18, SQL) as name:
        seen = await patient(postgres18, name)
        assert [(one.name, how is not None) for one, how in seen.relations()] == [("hidden", False), ("t", True)]
        ((table, column),) = seen.confined()
        assert (table.name, column.name) == ("t", "tenant_id")
        assert seen.may(table) == ("SELECT", "INSERT", "UPDATE", "DELETE")
        assert seen.may(table, "TRUNCATE", "SELECT") == ("SELECT",)
        assert columns_of(table, (2, 0, 1)) == ('"a b"', '"tenant_id"')
        assert (full(table), seen.role) == ('"public"."t"', '"clinic_app"')


def test_names_of_findings_leave_the_usual_schema_out() -> None:
    assert (short("public", "t"), short("s", "t")) == ("t", "s.t")
