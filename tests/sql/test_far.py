"""A schema that the tenant sees nothing of is replaced where a column is named with it, and no other is."""

from __future__ import annotations

import pytest

from proxy.sql.far import NOWHERE, send_nowhere
from proxy.sql.nodes import Nodes
from proxy.sql.parse import parse
from proxy.sql.world import World


def sent(text: str, world: World) -> str:
    (statement,) = parse(text.encode(), size_limit=1 << 16, server_major=15)
    return str(send_nowhere(Nodes(statement.tree), world))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT elsewhere.t.id",
        "SELECT elsewhere.t.*",
        "SELECT shared.elsewhere.t.id",
        "DELETE FROM o WHERE elsewhere.o.a = 1",
    ],
)
def test_a_hidden_or_absent_schema_is_one_that_nobody_can_have(text: str, world: World) -> None:
    assert NOWHERE in sent(text, world)
    assert "elsewhere" not in sent(text, world)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT public.orders.id",
        "SELECT pg_catalog.pg_class.oid",
        "SELECT pg_temp.t.id",
        "SELECT t.id",
        "SELECT other.elsewhere.t.id",
    ],
)
def test_every_other_schema_stays_as_it_was_written(text: str, world: World) -> None:
    assert NOWHERE not in sent(text, world)
