"""A table of tenants is read by who cannot write it, and its changes are noticed without reading it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from proxy.catalog.tenants import RETRY, TenantRow, TenantWatch, holding, rewrite_tenant, tenant_row, tenants_of
from proxy.catalog.watch import FAILURES
from proxy.errors import ConfigurationError
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.tables import ROLE, document, statements, table_at, tenant_table, write

Watches = Callable[..., TenantWatch]


@pytest.fixture
def control(postgres15: Cluster) -> Iterator[str]:
    with tenant_table(postgres15) as name:
        yield name


async def read(cluster: Cluster, database: str) -> tuple[list[Any], str]:
    table = table_at(cluster, database)
    found = await tenants_of(table.server, table.credentials)
    return [(name, json.loads(text)) for name, text in found.rows], found.mark


def reader_of(cluster: Cluster, database: str) -> tuple[Server, Credentials]:
    """Where the table is, and as whom it is read."""
    table = table_at(cluster, database)
    return table.server, table.credentials


async def test_rows_are_documents_in_the_order_of_their_names(postgres15: Cluster, control: str) -> None:
    assert (await read(postgres15, control))[0] == []
    write(postgres15, control, document("globex", 2), document("acme", 1))
    rows, _ = await read(postgres15, control)
    assert rows == [("acme", document("acme", 1)), ("globex", document("globex", 2))]


async def test_the_row_of_the_page_is_a_tenant(postgres15: Cluster, control: str) -> None:
    postgres15.psql(control, statements("INSERT INTO partywall.tenants"))
    ((name, text),) = (await read(postgres15, control))[0]
    assert (name, text["databases"]) == ("umbrella", ["shop"])


async def test_one_row_tells_its_own_version_and_that_of_all_others(postgres15: Cluster, control: str) -> None:
    write(postgres15, control, document("acme", 1), document("globex", 2))
    place = reader_of(postgres15, control)
    before = await tenant_row(*place, "acme")
    assert before is not None
    assert before.document is not None
    assert (json.loads(before.document), before.mark) == (document("acme", 1), (await read(postgres15, control))[1])
    write(postgres15, control, document("acme", 3))
    own = await tenant_row(*place, "acme")
    write(postgres15, control, document("globex", 2))
    other = await tenant_row(*place, "acme")
    assert own is not None
    assert other is not None
    assert (own.others == before.others, own.mark == before.mark) == (True, False)
    assert (other.others == own.others, other.mark == (await read(postgres15, control))[1]) == (False, True)
    assert await tenant_row(*place, "initech") == TenantRow(None, other.mark, other.mark)


async def test_a_table_is_known_by_the_lock_that_is_held_there_and_by_nothing_else(
    postgres15: Cluster, control: str
) -> None:
    place = reader_of(postgres15, control)
    assert await tenant_row(*place, "acme", 7) is None
    async with holding(*place, 7):
        found = await tenant_row(*place, "acme", 7)
        assert found is not None
        assert await tenant_row(*place, "acme", 8) is None
        server, credentials = place
        assert await tenant_row(replace(server, database="postgres"), credentials, "acme", 7) is None


async def test_a_row_is_rewritten_by_one_at_a_time_after_it_was_looked_at(postgres15: Cluster, control: str) -> None:
    write(postgres15, control, document("acme", 1))
    place = (replace(table_at(postgres15, control).server, role=SUPERUSER), Credentials(tls="disable"))
    seen: list[str] = []

    def decide(now: str) -> str | None:
        seen.append(now)
        waiting = "SELECT count(*) FROM pg_locks WHERE relation = 'partywall.tenants'::regclass AND granted AND mode ="
        assert postgres15.psql(control, f"{waiting} 'ShareRowExclusiveLock'").strip() == "1"
        return json.dumps(document("acme", 5)) if len(seen) == 1 else None

    for _ in range(2):
        assert json.loads(await rewrite_tenant(*place, "acme", decide)) == document("acme", 5)
    assert [json.loads(one)["key"] for one in seen] == [1, 5]
    assert (await read(postgres15, control))[0] == [("acme", document("acme", 5))]
    with pytest.raises(ConfigurationError, match="there is no tenant globex in the table"):
        await rewrite_tenant(*place, "globex", decide)
    with pytest.raises(FAILURES, match="permission denied"):
        await rewrite_tenant(*reader_of(postgres15, control), "acme", decide)


@pytest.mark.parametrize("wrong", ["{}", "[]", "3", '{"tenant": null}'])
def test_a_document_without_a_name_does_not_even_get_in(postgres15: Cluster, control: str, wrong: str) -> None:
    with pytest.raises(Exception, match="null value in column"):
        postgres15.psql(control, f"INSERT INTO partywall.tenants (document) VALUES ('{wrong}')")


async def test_every_change_has_another_mark_and_looking_has_not(postgres15: Cluster, control: str) -> None:
    marks = [(await read(postgres15, control))[1]]
    for change in (
        lambda: write(postgres15, control, document("acme", 1)),
        lambda: write(postgres15, control, document("acme", 2)),
        lambda: write(postgres15, control, document("acme", 2)),  # the same again, by another transaction
        lambda: write(postgres15, control, document("globex", 3)),
        lambda: postgres15.psql(control, "DELETE FROM partywall.tenants WHERE name = 'acme'"),
        lambda: postgres15.psql(control, "TRUNCATE partywall.tenants"),
    ):
        change()
        marks.append((await read(postgres15, control))[1])
        assert (await read(postgres15, control))[1] == marks[-1]
    assert len(set(marks)) == len(marks) - 1  # empty at both ends


@pytest.mark.parametrize(
    "privilege",
    [
        f"GRANT INSERT ON partywall.tenants TO {ROLE}", f"GRANT UPDATE (document) ON partywall.tenants TO {ROLE}",
        "GRANT DELETE ON partywall.tenants TO PUBLIC", f"ALTER TABLE partywall.tenants OWNER TO {ROLE}",
        f"GRANT TRUNCATE ON partywall.tenants TO {ROLE}", f"GRANT pg_write_all_data TO {ROLE}",
    ],
)  # fmt: skip
async def test_who_could_write_it_does_not_read_it(postgres15: Cluster, control: str, privilege: str) -> None:
    postgres15.psql(control, privilege)
    with pytest.raises(ConfigurationError, match=r"may write partywall\.tenants.*Remedy: REVOKE"):
        await read(postgres15, control)


async def test_a_table_that_is_not_there_or_not_granted_is_an_error(postgres15: Cluster, control: str) -> None:
    postgres15.psql(control, f"REVOKE SELECT ON partywall.tenants FROM {ROLE}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await read(postgres15, control)
    postgres15.psql(control, "DROP TABLE partywall.tenants")
    with pytest.raises(asyncpg.UndefinedTableError):
        await read(postgres15, control)
    postgres15.psql(control, f"REVOKE CONNECT ON DATABASE {control} FROM PUBLIC")
    with pytest.raises(FAILURES):
        await read(postgres15, control)


class Told:
    """What a watch tells."""

    def __init__(self) -> None:
        self.changes = 0
        self.away: list[str] = []
        self.event = asyncio.Event()

    def changed(self) -> None:
        self.changes += 1
        self.event.set()

    def report(self, why: str) -> None:
        self.away.append(why)
        self.event.set()

    async def wait(self) -> None:
        """Until something was told."""
        async with asyncio.timeout(20):
            await self.event.wait()
        self.event.clear()


@pytest.fixture
async def told() -> Told:
    return Told()


@pytest.fixture
async def watches(postgres15: Cluster, control: str, told: Told) -> AsyncIterator[Watches]:
    made: list[TenantWatch] = []

    def build(mark: str, interval: float, clock: Callable[[], float] = lambda: 0.0) -> TenantWatch:
        table = table_at(postgres15, control)
        watch = TenantWatch(
            table.server, table.credentials, mark, told.changed, told.report,
            interval=interval, spacing=0.01, clock=clock,
        )  # fmt: skip
        made.append(watch)
        watch.start()
        return watch

    yield build
    for one in made:
        await one.close()


async def looks(watch: TenantWatch, more: int) -> None:
    """Until it has looked so many more times."""
    wanted = watch.statistics().looks + more
    deadline = asyncio.get_running_loop().time() + 20
    while watch.statistics().looks < wanted:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)  # a poll, bounded by the deadline


async def test_other_rows_are_told_once_until_they_are_taken(
    postgres15: Cluster, control: str, watches: Watches, told: Told
) -> None:
    now = [0.0]
    watch = watches((await read(postgres15, control))[1], 0.02, lambda: now[0])
    await looks(watch, 2)
    assert told.changes == 0
    write(postgres15, control, document("acme", 1))
    await told.wait()
    await looks(watch, 3)
    assert told.changes == 1
    now[0] = RETRY  # they were refused, perhaps for something that has been mended elsewhere
    await told.wait()
    await looks(watch, 3)
    assert told.changes == 2
    watch.took((await read(postgres15, control))[1])
    now[0] = 9 * RETRY
    await looks(watch, 3)
    assert told.changes == 2


async def test_the_trigger_of_the_page_tells_at_once(
    postgres15: Cluster, control: str, watches: Watches, told: Told
) -> None:
    watch = watches((await read(postgres15, control))[1], 3600.0)
    await looks(watch, 1)  # from now on it listens
    write(postgres15, control, document("acme", 1))
    await told.wait()
    assert told.changes == 1


async def test_a_table_that_is_away_is_told_once_and_watched_again(
    postgres15: Cluster, control: str, watches: Watches, told: Told
) -> None:
    watch = watches((await read(postgres15, control))[1], 0.02)
    postgres15.psql(control, "ALTER TABLE partywall.tenants RENAME TO gone")
    await told.wait()
    await looks(watch, 3)
    assert len(told.away) == 1
    assert watch.statistics().failures >= 3
    postgres15.psql(control, "ALTER TABLE partywall.gone RENAME TO tenants")
    write(postgres15, control, document("acme", 1))
    await told.wait()
    assert told.changes == 1
