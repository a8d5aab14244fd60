"""The scripted tour: two tenants ask the same things, an attack is refused, a quota is hit. Raises when the wall does
not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack

import asyncpg

from proxy.demo.sample import BURST, CONNECTIONS, RATE, TRY, Login, dsn

Print = Callable[[str], None]
MANY = 1000  # statements, which nobody sends in the time that the quota has them for

ATTACKS = (
    (
        "another tenant's value in an error text",
        "SELECT id FROM orders WHERE note IS NOT NULL AND pg_size_bytes(note) IS NULL",
    ),
    ("moving a row to another tenant", "UPDATE orders SET tenant_id = 2 WHERE id = 1"),
    ("SQL inside a function", "SELECT query_to_xml('SELECT * FROM orders', true, false, '')"),
    ("becoming somebody else", "SET ROLE postgres"),
)


class WallBroken(Exception):
    """The tour saw what it must not see."""


async def walk(logins: tuple[Login, ...], port: int, say: Print) -> None:
    """Runs every station of the tour through the proxy on `port`. WallBroken names the station that failed."""
    first, second, third = logins
    for login in (first, second):
        await _look_around(login, port, say)
    await _attack(first, second, port, say)
    await _hit_quota(third, port, say)
    await ask_too_often(third, port, say)


async def _look_around(login: Login, port: int, say: Print) -> None:
    connection = await asyncpg.connect(dsn(login, port))
    try:
        say(f"\nas {login.tenant}:")
        for why, statement in TRY:
            say(f"  {statement}   -- {why}")
            try:
                for row in await connection.fetch(statement):
                    say("    " + " | ".join(str(value) for value in row))
            except asyncpg.UndefinedTableError as error:
                say(f"    {error.sqlstate} {error}")
        keys = await connection.fetch("SELECT DISTINCT tenant_id FROM orders")
        if len(keys) != 1:
            raise WallBroken(f"{login.tenant} sees {len(keys)} tenants")
    finally:
        await connection.close()


async def _attack(attacker: Login, victim: Login, port: int, say: Print) -> None:
    connection = await asyncpg.connect(dsn(attacker, port))
    try:
        say(f"\n{attacker.tenant} attacks:")
        for why, statement in ATTACKS:
            say(f"  {statement}   -- {why}")
            try:
                answer = f"answered: {await connection.fetch(statement)}"
            except asyncpg.PostgresError as error:
                answer = f"{error.sqlstate} {error}"
            say(f"    {answer}")
            if victim.tenant in answer:
                raise WallBroken(f"{statement} told {attacker.tenant} of {victim.tenant}")
    finally:
        await connection.close()


async def ask_too_often(login: Login, port: int, say: Print) -> None:
    """Asks until the quota of statements says no. WallBroken when it does not."""
    say(f"\n{login.tenant} may send {RATE} statements a second, {BURST} at once:")
    connection = await asyncpg.connect(dsn(login, port))
    try:
        for number in range(MANY):
            try:
                await connection.fetchval("SELECT count(*) FROM orders")
            except asyncpg.ConfigurationLimitExceededError as error:
                say(f"  number {number + 1}: {error.sqlstate} {error}")
                return
    finally:
        await connection.close()
    raise WallBroken("a quota of statements was not enforced")


async def _hit_quota(login: Login, port: int, say: Print) -> None:
    say(f"\n{login.tenant} may have {CONNECTIONS} connections:")
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            connection = await asyncpg.connect(dsn(login, port))
            stack.push_async_callback(connection.close)
        try:
            connection = await asyncpg.connect(dsn(login, port))
        except asyncpg.TooManyConnectionsError as error:
            say(f"  the next one: {error.sqlstate} {error}")
            return
        await connection.close()
    raise WallBroken("a connection quota was not enforced")
