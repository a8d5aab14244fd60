"""Calm: the verifier lets stand without a guard what the planner cannot make throw on statistics, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.sql.parse import parse
from proxy.sql.verify.calm import calm
from proxy.sql.verify.harmless import Harmless
from proxy.sql.world import World


def where(sql: str) -> Any:
    (one,) = parse(f"SELECT 1 FROM x WHERE {sql}".encode(), size_limit=10_000, server_major=15)
    return one.tree["SelectStmt"]["whereClause"]


@pytest.mark.parametrize(
    ("sql", "verdict"),
    [
        ("x.a = 1", True),
        ("f(x.a) >= g(x.b)", True),
        ("x.a IS NULL", True),
        ("f(x.a) IS NOT NULL AND NOT (x.a OPERATOR(pg_catalog.<) x.b OR x.c)", True),
        ("EXISTS (SELECT 1)", True),
        ("'a' ~ 'x'", True),
        ("f(1) ~ 'x'", False),
        ("CASE WHEN (SELECT true) THEN x.a ~ 'a' END", True),
        ("CASE WHEN (SELECT true FROM t) THEN x.a ~ 'a' END", False),
        ("CASE WHEN (SELECT false) THEN x.a ~ 'a' END", False),
        ("CASE WHEN true THEN x.a ~ 'a' END", False),
        ("CASE WHEN (SELECT true) THEN x.a ~ 'a' ELSE x.a ~ 'b' END", False),
        ("x.a LIKE 'a'", False),
        ("x.a ~ 'a'", False),
        ("(x.a ~ 'a') IS TRUE", False),
        ("x.a = 1 AND (x.b = 1 OR x.a ~ 'a')", False),
        ("x.a OPERATOR(public.=) 1", False),
        ("starts_with(x.a, 'a')", False),
        ("x.a = ANY (ARRAY[1])", False),
        ("x.a IN (SELECT 1)", False),
    ],
)
def test_only_comparisons_may_be_tried_out(world: World, sql: str, verdict: bool) -> None:
    assert calm(where(sql), Harmless(world.catalog, lambda fields: None)) is verdict
