"""What makes, drops or indexes a table is proved to be about the session's own, whatever the planner thought of it."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.plan import PlanContext, Temporary
from proxy.sql.verify import verify
from proxy.sql.world import World
from tests.sql.verify.conftest import Doubt
from tests.sql.worlds import keys_of


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TEMP TABLE t (id serial PRIMARY KEY, a text DEFAULT lower('X') CHECK (a <> ''))",
        "CREATE TEMP TABLE IF NOT EXISTS t (a int UNIQUE) ON COMMIT DROP",
        "DROP TABLE pg_temp.t, nothing",
        "CREATE INDEX ON pg_temp.t (lower(a)) WHERE a > 'x'",
    ],
)
def test_the_sessions_own_is_proved(doubt: Doubt, text: str) -> None:
    assert doubt(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a int)",
        "CREATE TEMP TABLE pg_temp.t (a int)",
        "CREATE TEMP TABLE t (LIKE orders)",
        "CREATE TEMP TABLE t () INHERITS (orders)",
        "CREATE TEMP TABLE t PARTITION OF events DEFAULT",
        "CREATE TEMP TABLE t (a int REFERENCES orders)",
        "CREATE TEMP TABLE t (a int CHECK (a > (SELECT 1)))",
        "CREATE TEMP TABLE t (a text DEFAULT pg_read_file('x'))",
        "DROP TABLE orders",
        "DROP TABLE public.orders",
        "DROP TABLE pg_temp.t, orders",
        "DROP VIEW nothing",
        "CREATE INDEX ON orders (id)",
        "CREATE INDEX ON public.orders (id)",
        "CREATE INDEX ON pg_temp.t (pg_read_file(a))",
        "ALTER TABLE pg_temp.t ADD COLUMN b int",
        "SELECT * FROM pg_temp.t",
    ],
)
def test_anything_else_is_not(doubt: Doubt, text: str) -> None:
    assert doubt(text) != ""


def test_a_temporary_table_is_shown_to_the_session_that_has_it_only(world: World) -> None:
    text = "INSERT INTO pg_temp.mine SELECT products.id FROM public.products ON CONFLICT DO NOTHING"
    without = PlanContext(world.policy, world.catalog.version, role="app")
    having = PlanContext(world.policy, world.catalog.version, role="app", temporary=(Temporary("mine", None),))
    verify(text, having, world.catalog, keys_of(1))
    with pytest.raises(FeatureNotSupported):
        verify(text, without, world.catalog, keys_of(1))
    with pytest.raises(FeatureNotSupported):
        verify("INSERT INTO pg_temp.mine SELECT orders.id FROM public.orders", having, world.catalog, keys_of(1))
