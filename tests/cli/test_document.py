"""A tenant's document is replaced where it stands, in the place of a text that was known and of no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.catalog.tenants import tenant_row
from proxy.cli.document import Document, InFile, InRow, file_of, written_table
from proxy.errors import ConfigurationError
from proxy.fleet.control import Prepare, PrepareRow
from tests.kit.postgres import SUPERUSER, Cluster, free_port
from tests.kit.tables import document, table_rules, tenant_table, write

FILE = """\
database: shop
server: postgresql://app@db/shop
tenant_column: tenant_id
---
tenant: acme  # the first
key: 1
databases: [shop]
"""
TO = "postgresql://app@db2/shop"


def in_file(tmp_path: Path) -> InFile:
    (tmp_path / "some").mkdir(exist_ok=True)
    file = tmp_path / "some" / "shop.yaml"
    file.write_text(FILE, "utf-8")
    return InFile(tmp_path, file, "acme", {"server": TO}, "c0ffee")


async def check_replaced(document: Document) -> None:
    before = await document.read()
    after = document.edited(before)
    assert (before != after, document.edited(after)) == (True, after)
    assert await document.replace(after, ("unknown",)) == before
    assert await document.read() == before
    assert await document.replace(after, (before, after)) == after
    assert await document.replace(after, (before, after)) == after
    assert await document.replace(before, (before, after)) == before
    assert (await document.book(before)).grants["acme", "shop", False].server.host == "db"
    assert (await document.book(after)).grants["acme", "shop", False].server.host == "db2"
    assert await document.read() == before


async def test_a_file_is_replaced_where_it_has_what_was_known(tmp_path: Path) -> None:
    shop = in_file(tmp_path)
    assert shop.edited(FILE) == FILE.replace("the first\n", f'the first\nserver: "{TO}"\n')
    await check_replaced(shop)


async def test_the_draft_of_a_file_lies_beside_it_until_it_is_forgotten(tmp_path: Path) -> None:
    shop = in_file(tmp_path)
    draft = tmp_path / "some" / ".shop.yaml.c0ffee"
    async with shop.drafted("to come") as request:
        assert request == Prepare("some/shop.yaml", shop.draft) == Prepare("some/shop.yaml", "some/.shop.yaml.c0ffee")
    assert draft.read_text("utf-8") == "to come"
    for _ in range(2):
        shop.forget()
    assert not draft.exists()


async def test_what_a_hand_must_change_is_told_with_its_file(tmp_path: Path) -> None:
    shop = in_file(tmp_path)
    with pytest.raises(ConfigurationError, match=r"shop.yaml: the document cannot be changed safely"):
        shop.edited("tenant: globex\n")


@pytest.fixture
def in_row(postgres15: Cluster, tmp_path: Path) -> Iterator[InRow]:
    """acme, whose row the superuser writes."""
    with tenant_table(postgres15) as control:
        (tmp_path / "shop.yaml").write_text(
            FILE.partition("---")[0] + "---\n" + table_rules(postgres15, control), "utf-8"
        )
        write(postgres15, control, document("acme", 1, "shop"), document("globex", 2, "shop"))
        uri = f"postgresql://{SUPERUSER}@127.0.0.1:{postgres15.port}/{control}?sslmode=disable"
        table, writer, _ = written_table(uri, tmp_path)
        yield InRow(tmp_path, table, writer, "acme", {"server": TO, "password": "${file:its.password}"}, "c0ffee")


async def test_a_row_is_replaced_where_it_has_what_was_known(in_row: InRow) -> None:
    (in_row.rules / "its.password").write_text("a secret\n", "utf-8")
    found = json.loads(in_row.edited(await in_row.read()))
    assert (found["server"], found["password"], found["key"]) == (TO, "a secret", 1)
    await check_replaced(in_row)
    without = replace(in_row, changes={"server": TO, "password": None})
    assert without.edited('{"tenant": "acme", "password": "p"}') == f'{{"server": "{TO}", "tenant": "acme"}}'
    same = '{"password": null, "server": "' + TO + '", "tenant": "acme"}'
    assert without.edited(same) == same
    await check_replaced(without)
    in_row.forget()


async def test_proxies_are_asked_about_a_row_while_a_lock_is_held_where_it_is_written(in_row: InRow) -> None:
    table = in_row.table
    async with in_row.drafted("{}") as request:
        assert isinstance(request, PrepareRow)
        assert request == PrepareRow("acme", "{}", in_row.draft, request.lock)
        assert await tenant_row(table.server, table.credentials, "acme", request.lock) is not None
    assert await tenant_row(table.server, table.credentials, "acme", request.lock) is None


async def test_what_keeps_a_row_from_being_read_or_written_is_told_with_its_table(
    in_row: InRow, postgres15: Cluster
) -> None:
    with pytest.raises(ConfigurationError, match=r"partywall.tenants acme: the file its.password cannot be read"):
        in_row.edited("{}")
    nobody = replace(in_row, tenant="initech")
    for work in (nobody.read(), nobody.replace("{}", ())):
        with pytest.raises(ConfigurationError, match="there is no tenant initech in the table"):
            await work
    with pytest.raises(ConfigurationError, match=r"partywall.tenants initech: there is no such row"):
        await nobody.book("{}")
    reader = replace(in_row, writer=(in_row.table.server, in_row.table.credentials))
    with pytest.raises(ConfigurationError, match=r"partywall.tenants: permission denied"):
        await reader.replace("{}", ())
    away = replace(in_row, writer=(replace(in_row.table.server, port=free_port()), in_row.table.credentials))
    with pytest.raises(ConfigurationError, match=r"partywall.tenants: "):
        async with away.drafted("{}"):
            pass


def test_the_file_of_a_tenant_is_found_or_it_is_told_that_there_is_none(tmp_path: Path) -> None:
    shop = in_file(tmp_path)
    assert file_of("acme", tmp_path) == shop.file
    with pytest.raises(ConfigurationError, match=r"there is no tenant globex in the rule files$"):
        file_of("globex", tmp_path)
