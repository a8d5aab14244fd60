"""The tour is no show: before a database without a wall it fails, and names the station that failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proxy.demo.sample import DATABASE, TENANTS, Login
from proxy.demo.tour import WallBroken, ask_too_often, walk
from tests.kit.postgres import Cluster

LOGINS = [Login(tenant, f"{tenant}_app", "unused") for tenant in TENANTS]
SHOP = """
CREATE TABLE customers (tenant_id int, id int, city text);
CREATE TABLE orders (tenant_id int, id int, customer_id int, note text);
GRANT ALL ON customers, orders TO PUBLIC;
INSERT INTO orders VALUES (1, 1, 1, '1kB');
"""


@pytest.fixture
def bare(postgres15: Cluster) -> Iterator[Cluster]:
    """A database of the demo's name without any proxy before it; each login is a role that may do everything."""
    if DATABASE in postgres15.databases():
        postgres15.drop_database(DATABASE)
    postgres15.create_database(DATABASE)
    for login in LOGINS:
        postgres15.psql(
            sql=f"DO $$ BEGIN CREATE ROLE {login.name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    postgres15.psql(DATABASE, sql=SHOP)
    yield postgres15
    postgres15.drop_database(DATABASE)


async def tour(cluster: Cluster) -> list[str]:
    said: list[str] = []
    first, second, third = LOGINS
    await walk((first, second, third), cluster.port, said.append)
    return said


async def test_rows_of_two_tenants_at_once_break_the_tour(bare: Cluster) -> None:
    bare.psql(DATABASE, sql="INSERT INTO orders VALUES (2, 1, 1, NULL)")
    with pytest.raises(WallBroken, match="sees 2 tenants"):
        await tour(bare)


async def test_another_tenants_value_in_an_error_breaks_the_tour(bare: Cluster) -> None:
    bare.psql(DATABASE, sql="UPDATE orders SET note = 'secret of globex'")
    with pytest.raises(WallBroken, match="told acme of globex"):
        await tour(bare)


async def test_a_quota_that_nobody_enforces_breaks_the_tour(bare: Cluster) -> None:
    with pytest.raises(WallBroken, match="quota was not enforced"):
        await tour(bare)
    with pytest.raises(WallBroken, match="quota of statements was not enforced"):
        await ask_too_often(LOGINS[2], bare.port, print)
