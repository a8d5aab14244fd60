"""What the source had at one moment is what the target has: copied once, and followed by keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import asyncpg
import pytest

from proxy.backup.journal import ARRIVING
from proxy.backup.mirroring import removed
from proxy.backup.refusal import Refused
from tests.backup.crossing import WRITES, Crossing, mirrored

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


async def test_rows_are_copied_as_they_are_and_followed_whatever_is_done_to_them(across: Crossing) -> None:
    """Keys that change, values that change places, cascades, rows without a key; no trigger fires a second time."""
    async with mirrored(across) as mirror:
        arrival = replace(mirror.move, phase=ARRIVING)
        count = await mirror.copy(arrival)
        assert (count, across.rows(True)) == (len(across.rows(False)), across.rows(False))
        before = across.rows(True, 1)
        across.sql(WRITES)
        followed, different = await mirror.follow()
        assert (followed > 10, different, across.rows(True)) == (True, [], across.rows(False))
        assert before == across.rows(True, 1) == []
        assert await mirror.follow(compare=True) == (0, [])
        across.sql("UPDATE bills SET sum = 0 WHERE tenant_id = 2", True)
        across.sql("DELETE FROM marks WHERE tenant_id = 2", True)
        told = (await mirror.follow(compare=True))[1]
        assert sorted(one.split(" has ")[0] for one in told) == ["bills", "marks"]
        assert "bills has other rows at the target" in told
        await removed(mirror.target, [one.target for one in mirror.passages], mirror.there)
        assert across.rows(True) == []


async def test_a_table_without_a_key_is_read_once_and_not_for_each_row_that_was_written(
    across: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: dict[str, list[str]] = {"marks": [], "bills": []}

    def explained(name: str) -> None:
        original = getattr(asyncpg.Connection, name)

        async def called(connection: CatalogConnection, query: str, *arguments: object, **named: object) -> object:
            table = next((one for one in plans if f'"public"."{one}" l' in query and " k " in query), None)
            if table is not None:
                plans[table].append("\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}")))
            return await original(connection, query, *arguments, **named)

        monkeypatch.setattr(asyncpg.Connection, name, called)

    async with mirrored(across) as mirror:
        await mirror.copy(replace(mirror.move, phase=ARRIVING))
        across.sql(WRITES)
        for name in ("execute", "fetchrow", "copy_from_query"):
            explained(name)
        assert (await mirror.follow())[1] == []
    assert [len(found) for found in plans.values()] == [4, 4]  # deleted, read, and compared at both ends
    assert [one for one in plans["marks"] if "Nested Loop" in one] == []
    assert [one for one in plans["bills"] if "Nested Loop" not in one] == []


async def test_what_is_written_by_settings_of_all_kinds_is_found_again(across: Crossing) -> None:
    async with mirrored(across) as mirror:
        await mirror.copy(replace(mirror.move, phase=ARRIVING))
        across.sql(
            "SET TimeZone = 'Asia/Kathmandu'; SET DateStyle = 'German'; SET extra_float_digits = -5;"
            " SET search_path = public; SET session_replication_role = replica;"
            " UPDATE marks SET said = 'other' WHERE tenant_id = 2"
        )
        assert (await mirror.follow())[1] == []
        assert across.rows(True) == across.rows(False)


async def test_a_place_where_the_tenant_has_rows_or_a_shared_one_is_missing_is_refused(across: Crossing) -> None:
    async with mirrored(across) as mirror:
        arrival = replace(mirror.move, phase=ARRIVING)
        across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)", True)
        with pytest.raises(Refused, match="globex has rows already in bills at the target"):
            await mirror.copy(arrival)
        across.sql("DELETE FROM bills; DELETE FROM kinds WHERE id = 1", True)
        with pytest.raises(Refused, match=r"parts needs rows of kinds that are not at the target: \(1\)"):
            await mirror.copy(arrival)
        across.sql("INSERT INTO kinds VALUES (1)", True)
        await mirror.copy(arrival)
        across.sql("INSERT INTO kinds VALUES (3); UPDATE parts SET kind = 3 WHERE tenant_id = 2 AND id = 5")
        with pytest.raises(Refused, match=r"parts needs rows of kinds that are not at the target: \(3\)"):
            await mirror.follow()
        across.sql("INSERT INTO kinds VALUES (3)", True)
        assert (await mirror.follow())[1] == []
        assert across.rows(True) == across.rows(False)


async def test_what_is_referenced_is_found_as_the_server_finds_it(across: Crossing) -> None:
    for there in (False, True):
        across.sql(
            "CREATE EXTENSION citext; CREATE TABLE names (tenant_id int, name citext, short char(2),"
            " PRIMARY KEY (tenant_id, name, short)); CREATE TABLE named (tenant_id int NOT NULL, id int PRIMARY KEY,"
            " name citext, short char(2), FOREIGN KEY (tenant_id, name, short) REFERENCES names)",
            there,
        )
    across.sql("INSERT INTO names VALUES (2, 'glad', 'ab'); INSERT INTO named VALUES (2, 1, 'Glad', 'ab')")
    async with mirrored(across) as mirror:
        await mirror.copy(replace(mirror.move, phase=ARRIVING))
        across.sql("SET session_replication_role = replica; UPDATE names SET short = 'ac' WHERE tenant_id = 2", True)
        across.sql("UPDATE named SET name = 'GLAD'")
        with pytest.raises(Refused, match=r"named needs rows of names that are not at the target: \(2,GLAD,ab\)"):
            await mirror.follow()
