"""Each hole in the wall of policies shows a tenant's role what is others', until its remedy is run or `partywall
provision` has run again; then it is no finding any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from proxy.catalog.finding import Finding
from proxy.doctor.survey import survey
from tests.kit.attacks import Outcome, filled, outcome
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rls import load_walled, provision_walls, rls_grants
from tests.kit.sample import pristine

COUNTED = {"SELECT *": "SELECT count(*)"}
ALL = {**COUNTED, "a_table": "orders"}
GROUP = "partywall_tenants"
FUNCTION = (
    "CREATE OR REPLACE FUNCTION partywall.tenant_key(kind text) RETURNS text LANGUAGE plpgsql STABLE"
    " SECURITY DEFINER AS $$ BEGIN RETURN 2; END $$"
)
LATER = "CREATE TABLE later (tenant_id int NOT NULL); INSERT INTO later VALUES (1), (2);"
KEY = "UPDATE partywall.tenant_keys SET value = {} WHERE role = '{}_rls' AND kind = 'default';"


# What opens a hole, the finding, its blanks, and how its attack ends before the remedy and after.
CHANGES = [
    ("ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "rls.orders", COUNTED, [(66,)], [(21,)]),
    ("CREATE POLICY more ON orders USING (true)", "rls.orders", COUNTED, [(66,)], [(21,)]),
    (
        "DROP POLICY partywall ON orders; CREATE POLICY other ON orders USING (true)",
        "rls.orders", COUNTED, [(66,)], [(21,)],
    ),
    ("ALTER TABLE events_2023 DISABLE ROW LEVEL SECURITY", "rls.events_2023", COUNTED, [(9,)], [(3,)]),
    (f"{LATER} GRANT SELECT ON later TO {GROUP}", "rls.later", COUNTED, [(2,)], [(1,)]),
    (
        f"ALTER VIEW open_orders OWNER TO {SUPERUSER}; ALTER VIEW open_orders RESET (security_invoker)",
        "rls.open_orders", COUNTED, [(33,)], [(11,)],
    ),
    (f"GRANT TRUNCATE ON notes TO {GROUP}", "rls.grants.notes", {}, [], "42501"),
    ("GRANT DELETE ON products TO PUBLIC", "rls.grants.products", {}, "23503", "42501"),  # they are referenced
    ("GRANT UPDATE (name) ON products TO acme_rls", "rls.grants.products", {"…": "name = ''"}, [], "42501"),
    ("GRANT SELECT ON mv_order_stats TO PUBLIC", "rls.grants.mv_order_stats", COUNTED, [(12,)], "42501"),
    (
        f"ALTER FUNCTION order_secret(int) OWNER TO {SUPERUSER}; GRANT EXECUTE ON FUNCTION order_secret TO PUBLIC",
        "rls.definer.order_secret", {"…": "3", "SELECT": "SELECT count(*) FROM"}, [(3,)], "42501",
    ),
    ("ALTER ROLE acme_rls BYPASSRLS", "rls.bypass", ALL, [(66,)], [(21,)]),
    (FUNCTION, "rls.function", ALL, [(22,)], [(21,)]),
    ("DROP FUNCTION partywall.tenant_key CASCADE", "rls.missing", ALL, [(0,)], [(21,)]),
    ("REVOKE EXECUTE ON FUNCTION partywall.tenant_key FROM PUBLIC", "rls.role", ALL, "42501", [(21,)]),
    (KEY.format(4, "globex") + KEY.format(2, "acme"), "rls.key", ALL, [(22,)], [(21,)]),
    # Whoever may do this may do it one by one, too, where no two are the same.
    ("GRANT UPDATE ON partywall.tenant_keys TO acme_rls", "rls.keys", {}, "23505", "42501"),
    ("ALTER TABLE partywall.tenant_keys OWNER TO acme_rls", "rls.owner", {}, "23505", "42501"),
]  # fmt: skip


@pytest.fixture
def database(server: Cluster) -> Iterator[str]:
    with pristine(load_walled(server), "walled") as name:
        yield name


def found(cluster: Cluster, database: str) -> list[Finding]:
    """What is wrong with the tenant acme's role and tables, of the wall."""
    ((each, *_),) = asyncio.run(survey(one for one in rls_grants(cluster.port, database) if one.tenant == "acme"))
    return [one for one in each.report.open if one.name.startswith("rls.")]


@pytest.mark.parametrize(("change", "name", "blanks", "before", "after"), CHANGES)
def test_the_hole_is_open_until_the_remedy_is_run(
    server: Cluster, database: str, change: str, name: str, blanks: dict[str, str], before: Outcome, after: Outcome
) -> None:
    assert found(server, database) == []
    server.psql(database, change)
    shown = next(one for one in found(server, database) if one.name == name)
    attack = filled(shown.attack, blanks)
    assert outcome(server, database, "acme_rls", attack) == before
    if ";" in shown.remedy:
        server.psql(database, shown.remedy.replace("a_superuser", SUPERUSER))
    provision_walls(server, database, rls_grants(server.port, database))
    assert outcome(server, database, "acme_rls", attack) == after
    assert found(server, database) == []
