"""SHOW ALL: PostgreSQL's rows for the settings on the list, and no others."""

from __future__ import annotations

from proxy.sql.plan import Forward, PlanContext, StatementKind
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.sql.settings import showable
from proxy.sql.show_all import show_all
from proxy.sql.world import World
from proxy.tenancy.derived import APPLICATION
from tests.kit.postgres import Cluster
from tests.kit.rawclient import RawClient
from tests.sql.worlds import keys_of, sample_policy


def test_show_all_is_planned_as_a_query_and_tagged_as_show(world: World) -> None:
    planned = Planner(world.catalog, 0).plan(
        b"SHOW ALL", PlanContext(sample_policy(), world.catalog.version, role="app")
    )
    (plan,) = planned.plans
    assert isinstance(plan, Forward)
    assert (plan.kind, plan.tag, plan.rewritten) == (StatementKind.SHOW, "SHOW", True)
    sent = fill(plan.template, keys_of(1), ()).decode()
    assert "pg_catalog.pg_settings" in sent
    assert "OFFSET 0" in sent


def test_the_tree_is_made_once() -> None:
    assert show_all() is show_all()


def test_the_rows_are_postgresqls_own(shared_server: Cluster, world: World) -> None:
    """Of what is on the list: the same names, values and descriptions in the same order."""
    plan = Planner(world.catalog, 0).plan(b"SHOW ALL", PlanContext(sample_policy(), world.catalog.version, role="app"))
    (found,) = plan.plans
    assert isinstance(found, Forward)
    with RawClient("127.0.0.1", shared_server.port, "app", "shared") as client:
        whole = client.simple("SHOW ALL")
        ours = client.simple(fill(found.template, {**keys_of(1), APPLICATION: ""}, ()))
    names = [row[0] for row in ours.rows]
    assert [row for row in whole.rows if row[0] in names] == ours.rows
    listed = {row[0] for row in whole.rows if row[0] is not None and showable(row[0].decode())}
    assert set(names) == listed
    assert b"shared_buffers" not in names
    assert next(m.body for m in whole.messages if m.tag == "T").count(b"setting") == 1
