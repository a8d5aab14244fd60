"""Every probe sees something where nothing confines it, so that it can tell a hole; quoting survives odd names."""

from __future__ import annotations

import psycopg
import pytest

from proxy.doctor.probes import SHAPES, probes
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample
from tests.sql.worlds import sample_catalog, sample_policy


@pytest.fixture(scope="module")
def world(postgres15: Cluster) -> World:
    return World(sample_policy(), sample_catalog(load_sample(postgres15).port))


def test_every_shape_is_made_for_many_relations_and_never_for_what_is_shared_or_hidden(world: World) -> None:
    made = probes(world)
    assert {one.shape for one in made} == set(SHAPES)
    relations = {one.relation for one in made}
    assert {'"public"."orders"', '"public"."Order Details"', '"public"."notes"'} <= relations
    assert not {'"public"."products"', '"public"."payroll_secrets"'} & relations


def test_a_tenant_without_a_wall_would_be_told_by_every_shape(world: World, postgres15: Cluster) -> None:
    orders = [one for one in probes(world) if one.relation == '"public"."orders"']
    silent = []
    with psycopg.connect(
        host="127.0.0.1", port=postgres15.port, user="app", dbname="shared", autocommit=True
    ) as direct:
        for probe in orders:
            try:
                rows = direct.execute(probe.text.encode()).fetchall()
            except psycopg.Error as problem:
                if (problem.sqlstate or "")[:2] not in {"21", "22"}:
                    silent.append((probe.shape, problem.sqlstate))
                continue
            if len(rows) <= 1 and all(value in (None, 0) for row in rows for value in row):
                silent.append((probe.shape, None))
    assert silent == []
    assert len(orders) == len(SHAPES)
