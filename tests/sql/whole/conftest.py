"""A database of a tenant's own, without a server: what is known of it, and plans of texts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.catalog.model import Catalog, Function, Type
from proxy.sql.plan import Plan, PlanContext
from proxy.sql.planner import Planner
from proxy.tenancy.policy import Policy

TYPES = (Type(23, "pg_catalog", "int4", "b", array=1007), Type(1007, "pg_catalog", "_int4", "b", element=23),
         Type(25, "pg_catalog", "text", "b"), Type(9001, "one", "mood", "e"), Type(9002, "two", "mood", "e"),
         Type(9003, "one", "colour", "e"))  # fmt: skip
POLICY = Policy("shop", "database", "", {}, explain="allowed", policy_class="own")


def own_catalog(*functions: Function) -> Catalog:
    """PostgreSQL 18, the database `shop_acme`, a few types, and these functions."""
    by_name: dict[str, tuple[Function, ...]] = {}
    for one in functions:
        by_name[one.name] = (*by_name.get(one.name, ()), one)
    return Catalog(1, 180000, "shop_acme", {}, {one.oid: one for one in TYPES}, by_name, {}, {}, {})


@pytest.fixture
def plans() -> Callable[..., tuple[Plan, ...]]:
    """The plans of a text."""

    def call(text: str, *functions: Function, extended: bool = False) -> tuple[Plan, ...]:
        return Planner(own_catalog(*functions), 0).plan(text.encode(), PlanContext(POLICY, 1), (), extended).plans

    return call
