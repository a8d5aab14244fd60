"""SQLAlchemy as two tenants: reflection, Core statements, and an ORM's session, over psycopg and over asyncpg."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy


class Model(DeclarativeBase):
    """Neither knows of tenants."""


class Customer(Model):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    credit: Mapped[int] = mapped_column(sa.Numeric(12, 2), server_default=sa.text("0"))
    orders: Mapped[list[Order]] = relationship(back_populates="customer", order_by="Order.id")


class Order(Model):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default=sa.text("1"))
    customer: Mapped[Customer] = relationship(back_populates="orders")


def used(session: Session) -> list[Any]:
    """What a little application finds while it reads and writes; the caller rolls back."""
    every = sa.select(Customer).options(selectinload(Customer.orders)).order_by(Customer.id)
    found: list[Any] = [
        (one.id, one.name, [(order.id, order.note) for order in one.orders]) for one in session.scalars(every)
    ]
    made = [Customer(id=number, name=f"c{number}", orders=[Order(id=number, note="x")]) for number in (901, 902, 903)]
    session.add_all(made)
    session.flush()
    found += [(one.credit, one.orders[0].version) for one in made]  # by RETURNING
    made[0].orders[0].note = "changed"
    with session.begin_nested():
        session.delete(made[1].orders[0])
    found.append(session.execute(sa.update(Customer).where(Customer.id > 900).values(credit=5)).rowcount)  # type: ignore[attr-defined]  # of a CursorResult
    found.append(session.execute(sa.select(Order.id, Order.note).where(Order.id > 900).order_by(Order.id)).all())
    found.append(session.scalar(sa.text("SELECT array_agg(DISTINCT tenant_id) FROM orders")))
    session.rollback()
    found.append(session.scalar(sa.select(sa.func.count()).where(Customer.id > 900)))
    return found


@pytest.mark.parametrize(("login", "tenant"), [("acme_app", 1), ("globex_app", 2)])
def test_an_orm_reads_and_writes_as_on_a_private_database(
    shared_server: Cluster, proxy: Proxy, login: str, tenant: int
) -> None:
    private = shared_server.dsn("app", f"private{tenant}").partition(":")[2]

    async def over_asyncpg(url: str) -> list[Any]:
        engine = create_async_engine(url)
        async with engine.connect() as connection:
            found = await connection.run_sync(lambda sync: used(Session(sync)))
        await engine.dispose()
        return found

    expected = asyncio.run(over_asyncpg(f"postgresql+asyncpg:{private}"))
    assert asyncio.run(over_asyncpg(proxy.dsn(login, "postgresql+asyncpg"))) == expected
    engine = sa.create_engine(proxy.dsn(login, "postgresql+psycopg"))
    with Session(engine) as session:
        for _ in range(6):  # past psycopg's threshold for server-side preparation
            assert used(session) == expected
            session.rollback()
            session.expunge_all()
    engine.dispose()
    assert expected[-2] == [tenant]


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
