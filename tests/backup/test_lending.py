"""A tenant's foreign keys to shared tables come back, and its role may reference nothing afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from proxy.backup.lending import lent
from proxy.backup.refusal import Refused
from proxy.backup.remaking import remake
from proxy.tenancy.policy import Grant
from tests.backup.shelf import book_of, checked, operators
from tests.backup.test_remaking import archived, put_back
from tests.kit.postgres import Cluster
from tests.kit.schemas import empty_schemas, schema_rules

_numbers = count(1)
KEYS = """
CREATE TABLE globex.sites (id int PRIMARY KEY, country text CONSTRAINT there REFERENCES reference.countries);
INSERT INTO globex.sites VALUES (1, 'no'); ALTER TABLE globex.sites OWNER TO globex_rw;
COMMENT ON CONSTRAINT there ON globex.sites IS 'kept';
"""
GRANTED = "SELECT has_table_privilege('globex_rw', 'reference.countries', 'REFERENCES')"
KEY = "SELECT confrelid::regclass, convalidated, obj_description(oid) FROM pg_constraint WHERE conname = 'there'"


@pytest.fixture
def made(server: Cluster) -> Iterator[tuple[str, Grant]]:
    """A database where an operator made a foreign key in a tenant's schema."""
    with empty_schemas(server, f"lending{next(_numbers)}", ("globex", "initech")) as name:
        server.psql(name, KEYS)
        book = book_of(schema_rules(server.port, name, tenants=("globex", "initech")))
        yield name, book.grants["globex", "shared", False]


def test_foreign_keys_to_shared_tables_come_back(server: Cluster, made: tuple[str, Grant], tmp_path: Path) -> None:
    database, grant = made
    archived(server, grant, str(tmp_path / "a"))
    server.psql(database, "ALTER TABLE globex.sites DROP CONSTRAINT there")
    put_back(server, grant, str(tmp_path / "a"), "replace")
    assert server.psql(database, KEY).strip() == "reference.countries|t|kept"
    assert server.psql(database, GRANTED).strip() == "f"
    server.psql(database, "ALTER TABLE globex.sites DROP CONSTRAINT there; DELETE FROM reference.countries")
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        put_back(server, grant, str(tmp_path / "a"), "replace")
    assert server.psql(database, GRANTED).strip() == "f"


def test_who_may_not_lend_is_told_what_would_do(server: Cluster, made: tuple[str, Grant], tmp_path: Path) -> None:
    database, grant = made
    archived(server, grant, str(tmp_path / "a"))
    place, manifest = (grant.server, grant.credentials), checked(tmp_path / "a")
    why = 'another with --server, that may say: GRANT REFERENCES ON TABLE "reference"."countries" TO "globex_rw"'
    with pytest.raises(Refused, match=why):
        asyncio.run(remake(place, grant, manifest, str(tmp_path / "a"), (), "replace"))
    assert server.psql(database, KEY).strip() == "reference.countries|t|kept"


def test_nothing_but_what_is_shared_is_lent(server: Cluster, made: tuple[str, Grant]) -> None:
    database, grant = made
    server.psql(database, "CREATE TABLE initech.own (id int PRIMARY KEY)")
    beyond = [("initech", "own"), ("pg_catalog", "pg_class"), ("reference", "gone"), ("reference", "countries")]
    tables = "unnest('{initech.own,reference.countries}'::regclass[]) t"
    may = f"SELECT has_table_privilege('globex_rw', t, 'REFERENCES') FROM {tables}"

    async def during() -> str:
        async with lent(operators(server, database), grant, beyond):
            return server.psql(database, may)

    assert asyncio.run(during()).split() == ["f", "t"]
    assert server.psql(database, may).split() == ["f", "f"]
