"""Harmless is what cannot throw, whatever the row; everything else is not."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.catalog.model import Column
from proxy.sql.parse import parse
from proxy.sql.verify.harmless import Harmless
from proxy.sql.world import World


def expression(text: str) -> Any:
    tree = parse(f"SELECT {text}".encode(), size_limit=1000, server_major=15)[0].tree
    return tree["SelectStmt"]["targetList"][0]["ResTarget"]["val"]


@pytest.fixture(scope="module")
def harmless(world: World) -> Harmless:
    relation = world.catalog.relations["public", "orders"]

    def find(fields: list[str]) -> Column | None:
        return relation.column(fields[-1])

    return Harmless(world.catalog, find)


@pytest.mark.parametrize(
    "text",
    ["id", "1", "'x'", "NULL", "id = 3", "id IS NULL", "note IS NOT NULL AND id < 4", "NOT id > 3", "id IN (1, 2)"],
)
def test_what_cannot_throw_is_harmless(harmless: Harmless, text: str) -> None:
    assert harmless(expression(text))


@pytest.mark.parametrize(
    "text",
    [
        "1 / id", "id + 1", "note::int", "note LIKE '%\\'", "note ~ 'x'",
        "(SELECT 1) = id", "order_secret(id) = 1", "id OPERATOR(public.=) 3", "CASE WHEN id = 1 THEN 1 / id END = 1",
        "id = ANY (note::int[])", "B'2'",
    ],
)  # fmt: skip
def test_what_may_throw_is_not(harmless: Harmless, text: str) -> None:
    assert not harmless(expression(text))
