"""A view that a rule calls verified and that mixes tenants is told of, and shows what others have until it is shut."""

from __future__ import annotations

import pytest

from proxy.doctor.views import verified_findings
from tests.doctor.clinic import ROLE, Relations, clinic, patient
from tests.kit.attacks import outcome, tried
from tests.kit.postgres import Cluster

TABLE = "CREATE TABLE t (tenant_id int NOT NULL, a int, b int); INSERT INTO t VALUES (1, 5, 2), (2, 7, 1);"
RULES: Relations = {"v": ("view", "tenant_id")}
OWN = {"'own'": "1"}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT tenant_id, a FROM t WHERE a > 1",
        "SELECT a, x.tenant_id FROM t x JOIN t y USING (tenant_id, a)",
        "SELECT tenant_id, sum(a) AS a FROM t GROUP BY tenant_id",
        "SELECT DISTINCT tenant_id, a FROM t",
        "SELECT DISTINCT ON (tenant_id) tenant_id, a FROM t ORDER BY tenant_id, a",
        "SELECT tenant_id, rank() OVER (PARTITION BY tenant_id ORDER BY a) FROM t",
        "SELECT tenant_id, sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b, tenant_id)",
        "SELECT tenant_id, a FROM t UNION ALL SELECT tenant_id, b FROM t",
    ],
)
async def test_a_view_that_keeps_tenants_apart_is_no_finding(postgres18: Cluster, query: str) -> None:
    with clinic(postgres18, f"{TABLE} CREATE VIEW v AS {query}") as name:
        assert list(verified_findings(await patient(postgres18, name, (), RULES))) == []


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT 1 AS tenant_id, a FROM t ORDER BY a", "is not that of a table"),
        ("SELECT b AS tenant_id, a FROM t", "is not that of a table"),
        ("SELECT min(tenant_id) AS tenant_id, sum(a) AS a FROM t", "is not that of a table"),
        ("SELECT tenant_id, a FROM t UNION ALL SELECT 1, a FROM t", "is not that of a table"),
        ("SELECT tenant_id, a FROM t ORDER BY a DESC LIMIT 1", "LIMIT or OFFSET"),
        (
            "(SELECT tenant_id, a FROM t) UNION ALL (SELECT tenant_id, a FROM t ORDER BY a DESC OFFSET 1)",
            "LIMIT or OFFSET",
        ),
        ("SELECT DISTINCT ON (a > 0) tenant_id, a FROM t ORDER BY a > 0, a DESC", "DISTINCT ON"),
        ("SELECT tenant_id, rank() OVER (ORDER BY a DESC) FROM t", "a window"),
        ("SELECT tenant_id, sum(a) OVER w FROM t WINDOW w AS (PARTITION BY a > 0)", "a window"),
    ],
)
async def test_what_others_have_shows_in_it_until_the_remedy_is_run(server: Cluster, query: str, why: str) -> None:
    with clinic(server, f"{TABLE} CREATE VIEW v AS {query}") as name:
        (found,) = verified_findings(await patient(server, name, (), RULES))
        assert (found.name, found.severity) == ("view.v", "warning")
        assert why in found.text
        seen = tried(server, name, ROLE, found.attack, OWN)
        server.psql(name, "DELETE FROM t WHERE tenant_id = 2")
        assert tried(server, name, ROLE, found.attack, OWN) != seen  # than where the tenant is alone
        server.psql(name, found.remedy)
        assert tried(server, name, ROLE, found.attack, OWN) == "42501"
        assert list(verified_findings(await patient(server, name, (), RULES))) == []


async def test_a_materialized_view_is_looked_at_as_well(postgres18: Cluster) -> None:
    with clinic(postgres18, f"{TABLE} CREATE MATERIALIZED VIEW v AS SELECT 1 AS tenant_id, a FROM t") as name:
        (found,) = verified_findings(await patient(postgres18, name, (), RULES))
        assert outcome(postgres18, name, ROLE, "SELECT count(*) FROM v") == [(2,)]
        assert found.name == "view.v"
