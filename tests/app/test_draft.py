"""A draft is of a document that this process itself reads, and stands only where that document is its text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.app.draft import FileDraft, RowDraft, draft_of
from proxy.catalog.tenants import holding, tenants_of
from proxy.errors import ConfigurationError
from proxy.fleet.control import Answer, Prepare, PrepareRow, Reload, Statistics
from proxy.tenancy.rulebook import RuleBook
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import running_proxy
from tests.kit.sample import load_sample, pristine
from tests.kit.tables import document, sample_of_rows, table_at, tenant_table, write

LOCK = 77
KEYS = {"default": 9, "slug": "umbrella", "uid": "00000000-0000-4000-8000-000000000009"}
EMPTY = RuleBook(3, {}, {}, (), ())


@pytest.fixture
def control(postgres15: Cluster) -> Iterator[str]:
    with tenant_table(postgres15) as name:
        yield name


async def test_a_draft_of_a_file_stands_when_the_file_has_its_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("old", "utf-8")
    (tmp_path / ".a.draft").write_text("new", "utf-8")
    draft = await draft_of(Prepare("a.yaml", ".a.draft"), tmp_path, EMPTY)
    assert draft == FileDraft(".a.draft", tmp_path / "a.yaml", "new")
    assert draft.spot == tmp_path / "a.yaml"
    assert await draft.stands(EMPTY) is None
    (tmp_path / "a.yaml").write_text("new", "utf-8")
    assert await draft.stands(EMPTY) == (EMPTY, False)
    (tmp_path / "a.yaml").write_bytes(b"\xff")
    assert await draft.stands(EMPTY) is None
    (tmp_path / "a.yaml").unlink()
    assert await draft.stands(EMPTY) is None


@pytest.mark.parametrize(
    ("file", "draft", "why"),
    [
        ("a.yaml", ".b.draft", "it reads other rule files"), ("b.yaml", ".a.draft", "it reads other rule files"),
        ("../a.yaml", ".a.draft", "is not in the folder"), ("a.yaml", "/etc/passwd", "is not in the folder"),
    ],
)  # fmt: skip
async def test_what_is_not_beside_the_rules_is_no_draft(tmp_path: Path, file: str, draft: str, why: str) -> None:
    for name in ("a.yaml", ".a.draft"):
        (tmp_path / name).write_text("", "utf-8")
    with pytest.raises(ConfigurationError, match=why):
        await draft_of(Prepare(file, draft), tmp_path, EMPTY)


async def test_a_draft_of_a_row_stands_when_the_row_says_the_same(
    postgres15: Cluster, control: str, tmp_path: Path
) -> None:
    write(postgres15, control, document("acme", 1), document("globex", 2))
    table = table_at(postgres15, control)
    rows = await tenants_of(table.server, table.credentials)
    book = replace(EMPTY, tables=((table, rows.mark),))
    after = document("acme", 1, server="postgresql://app@db/x")
    request = PrepareRow("acme", json.dumps(after), "c0ffee", LOCK)
    with pytest.raises(ConfigurationError, match="does not read the table with acme's row where that is written"):
        await draft_of(request, tmp_path, EMPTY)
    with pytest.raises(ConfigurationError, match="does not read the table"):  # nobody holds the lock there
        await draft_of(request, tmp_path, book)
    away = replace(EMPTY, tables=((replace(table, server=replace(table.server, database="nowhere")), ""),))
    with pytest.raises(ConfigurationError, match='database "nowhere" does not exist'):
        await draft_of(request, tmp_path, away)
    async with holding(table.server, table.credentials, LOCK):
        draft = await draft_of(request, tmp_path, book)
    assert isinstance(draft, RowDraft)
    assert draft.spot == (table, "acme")
    assert await draft.stands(book) is None
    write(postgres15, control, after | {"key": True})  # which is no 1
    assert await draft.stands(book) is None
    write(postgres15, control, after)
    found = await draft.stands(book)
    assert found == (replace(book, tables=((table, (await tenants_of(table.server, table.credentials)).mark),)), True)
    several = replace(book, tables=(*book.tables, (replace(table, server=replace(table.server, database="x")), "")))
    assert await draft.stands(several) == (several, False)
    write(postgres15, control, document("globex", 3))
    assert await draft.stands(book) == (book, False)
    postgres15.psql(control, "DELETE FROM partywall.tenants WHERE name = 'acme'")
    assert await draft.stands(book) is None
    postgres15.psql(control, "DROP TABLE partywall.tenants")
    assert await draft.stands(book) is None


def test_what_a_process_was_told_of_before_it_takes_without_reading_and_anything_else_it_reads(
    postgres15: Cluster, control: str
) -> None:
    """It notices the row by itself, and is told of it; whichever is first, it takes the same rules once."""
    port = load_sample(postgres15).port
    rules, globex = sample_of_rows(postgres15, control, "shared", "globex")
    table = table_at(postgres15, control)
    with pristine(postgres15) as there, running_proxy(port, rules=rules) as proxy:

        def asked(text: str) -> Answer:
            async def ask_held() -> Answer:
                async with holding(table.server, table.credentials, LOCK):
                    return await asyncio.to_thread(proxy.ask, PrepareRow("globex", text, "c0ffee", LOCK))

            return asyncio.run(ask_held())

        def home() -> str:
            found = proxy.ask(Statistics("globex")).result["processes"][0]
            at: str = found["homes"]["shared"]["at"].rpartition("/")[2]
            return f"{at} {found['generation']}"

        after = globex | {"server": f"postgresql://app@127.0.0.1:{port}/{there}?sslmode=disable"}
        assert "unknown key" in asked(json.dumps(after | {"colour": "red"})).problems[0]
        assert "does not read the table" in proxy.ask(PrepareRow("globex", "{}", "c0ffee", LOCK)).problems[0]
        assert asked(json.dumps(after)).problems == ()
        assert home() == "shared 1"
        write(postgres15, control, after)  # nobody says Reload
        assert eventually(lambda: home() == f"{there} 2", 20)
        assert proxy.ask(Reload("c0ffee")) == Answer({"generation": 2})
        assert proxy.ask(Reload("c0ffee")) == Answer({"generation": 3})  # it is known no more: as usual
        assert asked(json.dumps(globex)).problems == ()
        write(postgres15, control, globex, document("umbrella", None, keys=KEYS))
        assert proxy.ask(Reload("c0ffee")).problems == ()
        assert home().startswith("shared ")
        assert eventually(lambda: '"tenants": 4' in proxy.log.splitlines()[-1], 20)  # and what else came is read
