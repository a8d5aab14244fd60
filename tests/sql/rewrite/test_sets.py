"""Sets: the tenant column in grouping sets, sorted above them, where the server would sort it wrongly."""

from __future__ import annotations

import dataclasses

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.sql.worlds import sample_policy, text_of


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT tenant_id, id FROM orders GROUP BY CUBE (tenant_id, id) ORDER BY 1",
        "SELECT tenant_id AS t FROM orders GROUP BY ROLLUP (t) ORDER BY t",
        "SELECT DISTINCT tenant_id FROM orders GROUP BY GROUPING SETS ((1, id), ())",
        "SELECT rank() OVER (ORDER BY tenant_id) FROM orders GROUP BY CUBE (tenant_id)",
        "SELECT 1 FROM orders o JOIN customers c USING (tenant_id) GROUP BY CUBE (tenant_id, o.id) ORDER BY count(*)",
    ],
)
def test_the_tenant_column_above_grouping_sets_is_not_sorted_before_18(world: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported, match="GROUPING SETS"):
        text_of(world, sql)
    newer = World(sample_policy(), dataclasses.replace(world.catalog, server_version=180000))
    assert "KEY" in text_of(newer, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT status, count(*) FROM orders GROUP BY ROLLUP (status) ORDER BY 1",
        "SELECT tenant_id, count(*) FROM orders GROUP BY CUBE (tenant_id)",
        "SELECT tenant_id, count(*) FROM orders GROUP BY tenant_id ORDER BY 1",
    ],
)
def test_other_groups_are_sorted(world: World, sql: str) -> None:
    assert "KEY" in text_of(world, sql)


def test_the_server_does_sort_it_wrongly(server: Cluster) -> None:
    values = "(VALUES (1, 2), (1, 3)) AS t (a, b)"
    groups = f"SELECT DISTINCT a FROM {values} WHERE a = 1 GROUP BY CUBE (a, b)"
    distinct = f"SELECT DISTINCT coalesce(a::text, 'none') FROM ({groups}) s"
    found = set(server.psql(sql=distinct).split())
    assert found == ({"1", "none"} if server.major >= 18 else {"none"})
