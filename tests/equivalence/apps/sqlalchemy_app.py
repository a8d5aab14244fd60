"""The same shop on SQLAlchemy: the ORM's unit of work, and Core's statements."""

from __future__ import annotations

import datetime as dt
import sys

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    joinedload,
    mapped_column,
    relationship,
    selectinload,
    subqueryload,
)


class Model(DeclarativeBase):
    """What the application maps."""


class Customer(Model):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city: Mapped[str | None]
    credit: Mapped[float] = mapped_column(sa.Numeric(12, 2), server_default=sa.text("0"))
    orders: Mapped[list[Order]] = relationship(back_populates="customer", order_by="Order.id")


class Order(Model):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(sa.ForeignKey("customers.id"))
    amount: Mapped[float] = mapped_column(sa.Numeric(12, 2), server_default=sa.text("0"))
    qty: Mapped[int] = mapped_column(server_default=sa.text("1"))
    note: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default=sa.text("1"))
    placed_at: Mapped[dt.datetime] = mapped_column(
        sa.DateTime(timezone=True), server_default=sa.text("'2024-05-05 00:00+00'")
    )
    customer: Mapped[Customer] = relationship(back_populates="orders")
    __mapper_args__ = {"version_id_col": version}


class Item(Model):
    __tablename__ = "order_items"
    order_id: Mapped[int] = mapped_column(sa.ForeignKey("orders.id"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[int]
    price: Mapped[float] = mapped_column(sa.Numeric(10, 2))


def read(session: Session) -> None:
    """Loading strategies, joins, set operations, windows, WITH."""
    every = sa.select(Customer).order_by(Customer.id)
    for load in (selectinload, joinedload, subqueryload):
        session.scalars(every.options(load(Customer.orders))).unique().all()
        session.expunge_all()
    session.get(Customer, 3)
    session.execute(
        sa.select(Customer.id, sa.func.count(Order.id)).outerjoin(Order).group_by(Customer.id).order_by(Customer.id)
    ).all()
    total = sa.select(Order.customer_id, sa.func.sum(Order.amount).label("t")).group_by(Order.customer_id).cte("total")
    session.execute(
        sa.select(Customer.name, total.c.t).join(total, total.c.customer_id == Customer.id).order_by(Customer.id)
    ).all()
    rank = sa.func.rank().over(partition_by=Order.customer_id, order_by=Order.amount.desc())
    session.execute(sa.select(Order.id, rank).order_by(Order.id)).all()
    other = aliased(Order)
    session.execute(
        sa.select(Order.id, other.id)
        .join(other, sa.and_(other.customer_id == Order.customer_id, other.id > Order.id))
        .order_by(Order.id, other.id)
        .limit(9)
    ).all()
    session.execute(
        sa.union_all(sa.select(Customer.id).where(Customer.id < 3), sa.select(Order.id).where(Order.qty > 3)).order_by(
            sa.text("1")
        )
    ).all()
    session.execute(
        sa.select(Customer.id)
        .where(sa.exists().where(Order.customer_id == Customer.id, Order.note.is_not(None)))
        .order_by(Customer.id)
    ).all()
    session.execute(
        sa.select(Customer.id).where(Customer.id.in_([1, 2, 5])).where(Customer.name.ilike("%o%")).order_by(Customer.id)
    ).all()
    newest = (
        sa.select(Order.id, Order.amount)
        .where(Order.customer_id == Customer.id)
        .order_by(Order.placed_at.desc(), Order.id)
        .limit(2)
        .lateral()
    )
    session.execute(
        sa.select(Customer.id, newest.c.amount).join(newest, sa.true()).order_by(Customer.id, newest.c.id)
    ).all()
    session.execute(
        sa.select(sa.func.coalesce(sa.func.sum(Item.price * 2), 0), sa.case((sa.func.count() > 3, "many"), else_="few"))
    ).all()
    session.execute(
        sa.select(sa.extract("month", Order.placed_at).label("m"), sa.func.count())
        .group_by(sa.text("m"))
        .order_by(sa.text("m"))
    ).all()
    step = sa.select(sa.literal(1).label("n")).cte("step", recursive=True)
    step = step.union_all(sa.select(step.c.n + 1).where(step.c.n < 4))
    session.execute(sa.select(step.c.n, Customer.name).join(Customer, Customer.id == step.c.n).order_by(step.c.n)).all()
    session.execute(
        sa.text("SELECT status, count(*) FROM orders WHERE qty > :q GROUP BY ROLLUP (status) ORDER BY status"), {"q": 1}
    ).all()
    session.scalars(sa.select(Order).where(Order.id == 3).with_for_update()).one()


def write(session: Session) -> None:
    """The unit of work, savepoints, upserts, RETURNING."""
    made = [Customer(id=700 + at, name=f"c{at}", orders=[Order(id=800 + at, note="x")]) for at in range(3)]
    session.add_all(made)
    session.flush()
    made[0].orders[0].note = "changed"
    made[1].credit = 5
    with session.begin_nested():
        session.delete(made[2].orders[0])
    session.commit()
    upsert = insert(Customer).values([{"id": 700, "name": "again"}, {"id": 705, "name": "new"}])
    session.execute(upsert.on_conflict_do_nothing())
    session.execute(
        sa.update(Order).where(Order.id >= 800).values(qty=Order.qty + 1).returning(Order.id, Order.qty)
    ).all()
    session.execute(sa.update(Customer).where(Customer.id == Order.customer_id, Order.id == 800).values(city="Oslo"))
    session.execute(sa.insert(Item), [{"order_id": 800, "line": at, "product_id": 1, "price": at} for at in (1, 2)])
    session.execute(sa.delete(Item).where(Item.order_id.in_(sa.select(Order.id).where(Order.id >= 800))))
    session.rollback()
    try:
        session.add(Customer(id=700, name="twice"))
        session.commit()
    except sa.exc.IntegrityError:
        session.rollback()
    session.execute(sa.delete(Order).where(Order.id >= 800))
    session.execute(sa.delete(Customer).where(Customer.id >= 700).returning(Customer.id)).all()
    session.commit()


engine = sa.create_engine(sys.argv[1].replace("postgresql://", "postgresql+psycopg://"), poolclass=sa.NullPool)
with Session(engine) as session:
    read(session)
    session.rollback()
    write(session)
