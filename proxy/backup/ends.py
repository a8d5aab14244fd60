"""Both ends of a move: where they are, and that they are what they are taken for before anything is done there.

Promises: the two are different databases, whatever they are called, or one where the rules have them in one; each is
the one that the rules name, whatever way the operator goes there; no other command moves the tenant meanwhile. The
proof is a lock that is held at each: of one database it cannot be had twice, and where it can still be had is another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused
from proxy.backup.snapshot import WRITING, opened
from proxy.catalog.connect import connect
from proxy.catalog.watch import FAILURES
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import Place

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

MOVING = WRITING | {"application_name": "partywall move", "lock_timeout": "10s", "synchronous_commit": "on"}
CLOSING = 5.0  # seconds
LOCK = "pg_catalog.hashtext('partywall.moves'), pg_catalog.hashtext($1)"
ONE = f"SELECT pg_catalog.pg_try_advisory_lock({LOCK})"
FREE = f"SELECT pg_catalog.pg_try_advisory_xact_lock({LOCK})"  # a pooler between would keep any other lock
DATABASE = """
SELECT c.system_identifier::pg_catalog.text || '/' || d.oid::pg_catalog.text
  FROM pg_catalog.pg_control_system() c, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
"""


@dataclass(frozen=True, slots=True)
class Ends:
    """Both places, as the operator goes there, and what the rules say of the tenant at each."""

    source: Place
    target: Place
    here: Grant
    there: Grant

    @property
    def tenant(self) -> str:
        return self.here.tenant

    @property
    def lock(self) -> str:
        """What nobody else holds at either place while the tenant is moved."""
        return f"{self.here.tenant} {self.here.database}"


def one_database(here: Grant, there: Grant) -> bool:
    """Do the rules have both places in one database?"""
    same = set(here.server.addresses) & set(there.server.addresses)
    return bool(same) and here.server.database == there.server.database


def check_ways(here: Grant, there: Grant) -> None:
    """Refused where a tenant cannot go from one place to the other."""
    if not one_database(here, there):
        return
    if here.home == there.home:
        raise Refused([f"{here.tenant} is at {here.home} already"])
    if here.policy.shares_tables and there.policy.shares_tables:
        raise Refused(["in one database modes row and rls have the same tables, and nothing moves: edit the rules"])
    if "database" in (here.policy.isolation, there.policy.isolation):
        raise Refused([f"a database of {here.tenant}'s own is nobody else's: its other place must be another database"])


@asynccontextmanager
async def both(ends: Ends) -> AsyncIterator[tuple[CatalogConnection, CatalogConnection]]:
    """A connection to each place, which hold the lock. Refused where the places are not what the rules say, or where
    those do not tell one from the other: what is taken away at one would be gone at the tenant's home."""
    if ends.here.home == ends.there.home:
        raise Refused([f"by the rules {ends.tenant} comes from {ends.here.home}, and goes to that very place"])
    source = await opened(ends.source, MOVING)
    try:
        target = await opened(ends.target, MOVING)
        try:
            together = one_database(ends.here, ends.there)
            if (await source.fetchval(DATABASE) == await target.fetchval(DATABASE)) != together:
                if together:
                    raise Refused(
                        ["the rules have both places in one database, and --server and --to-server lead to two"]
                    )
                raise Refused(["the source and the target are one and the same database, by two names"])
            for one in (source,) if together else (source, target):
                if not await one.fetchval(ONE, ends.lock):
                    raise Refused([f"another command is moving {ends.tenant}"])
            await _check_named(ends.here, ends.lock, "source", "--server")
            await _check_named(ends.there, ends.lock, "target", "--to-server")
            yield source, target
        finally:
            with suppress(*FAILURES):
                await target.close(timeout=CLOSING)
    finally:
        with suppress(*FAILURES):  # it may have been ended
            await source.close(timeout=CLOSING)


async def _check_named(grant: Grant, lock: str, end: str, option: str) -> None:
    """Refused unless the lock is held in the database where the rules send the tenant's clients."""
    place = f"{','.join(f'{host}:{port}' for host, port in grant.server.addresses)}/{grant.server.database}"
    try:
        connection = await connect(grant.server, grant.credentials)
        try:
            free = await connection.fetchval(FREE, lock)
        finally:
            await connection.close()
    except FAILURES as error:
        why = str(error) or type(error).__name__
        raise Refused([f"the {end} is not known to be {place}, as the rules have it: {why}"]) from None
    if free:
        raise Refused([f"{option} leads to another database than {place}, where the rules have the {end}"])
