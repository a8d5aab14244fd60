"""SQLAlchemy as two tenants: reflection, Core statements, the ORM's inserts with RETURNING, rolled back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy


@pytest.mark.parametrize(("login", "tenant"), [("acme_app", 1), ("globex_app", 2)])
def test_reflected_tables_answer_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, login: str, tenant: int
) -> None:
    seen = sa.create_engine(proxy.dsn(login, "postgresql+psycopg"))
    private = sa.create_engine(
        shared_server.dsn("app", f"private{tenant}").replace("postgresql:", "postgresql+psycopg:")
    )
    answers = []
    for engine in (seen, private):
        tables = sa.MetaData()
        tables.reflect(engine, only=["orders", "customers"])
        orders, customers = tables.tables["orders"], tables.tables["customers"]
        with engine.connect() as connection:
            answers.append((
                [(column.name, str(column.type), column.nullable) for column in orders.columns],
                sorted(str(key.target_fullname) for key in orders.foreign_keys),
                connection.execute(sa.select(orders).order_by(orders.c.id)).all(),
                connection.execute(
                    sa.select(customers.c.name, sa.func.count())
                    .join(orders, orders.c.customer_id == customers.c.id)
                    .group_by(customers.c.name)
                    .order_by(customers.c.name)
                ).all(),
            ))  # fmt: skip
        engine.dispose()
    assert answers[0] == answers[1]


def test_the_table_names_are_those_that_policy_shows(proxy: Proxy) -> None:
    engine = sa.create_engine(proxy.dsn("acme_app", "postgresql+psycopg"))
    names = sa.inspect(engine).get_table_names()
    engine.dispose()
    assert "orders" in names
    assert "leaky_stats" not in names
