"""A tenant's document is replaced where it stands, in the place of a text that was known and of no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.document import Document, InFile, file_of
from proxy.errors import ConfigurationError
from proxy.fleet.control import Prepare

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
    document = in_file(tmp_path)
    assert document.edited(FILE) == FILE.replace("the first\n", f'the first\nserver: "{TO}"\n')
    await check_replaced(document)


async def test_the_draft_of_a_file_lies_beside_it_until_it_is_forgotten(tmp_path: Path) -> None:
    document = in_file(tmp_path)
    draft = tmp_path / "some" / ".shop.yaml.c0ffee"
    async with document.drafted("to come") as request:
        assert (
            request == Prepare("some/shop.yaml", document.draft) == Prepare("some/shop.yaml", "some/.shop.yaml.c0ffee")
        )
    assert draft.read_text("utf-8") == "to come"
    for _ in range(2):
        document.forget()
    assert not draft.exists()


async def test_what_a_hand_must_change_is_told_with_its_file(tmp_path: Path) -> None:
    document = in_file(tmp_path)
    with pytest.raises(ConfigurationError, match=r"shop.yaml: the document cannot be changed safely"):
        document.edited("tenant: globex\n")


def test_the_file_of_a_tenant_is_found_or_it_is_told_that_there_is_none(tmp_path: Path) -> None:
    document = in_file(tmp_path)
    assert file_of("acme", tmp_path) == document.file
    with pytest.raises(ConfigurationError, match=r"there is no tenant globex in the rule files$"):
        file_of("globex", tmp_path)
