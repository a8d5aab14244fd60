"""The queries name every catalog in full, so that nobody's search_path decides what they read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from pglast.parser import parse_sql_json

from proxy.catalog import queries
from proxy.sql.aliases import strings
from proxy.sql.nodes import Nodes

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

QUERIES = {name: text for name, text in vars(queries).items() if name.isupper() and isinstance(text, str)}

# A language or an access method cannot come to mean something else without a change in what is watched.
# Which roles no policy holds for is asked beside the fingerprint, where there are policies (watch.py).
UNWATCHED = {"pg_language", "pg_am", "pg_roles"}


def names(text: str) -> tuple[set[str], list[list[str]]]:
    """The catalogs that a query reads, and every name of a relation, function or type as it stands there."""
    read: set[str] = set()
    written: list[list[str]] = []
    for kind, body in Nodes(json.loads(parse_sql_json(text))).every:
        if kind == "RangeVar":
            read.add(body["relname"])
            written.append([body.get("schemaname", ""), body["relname"]])
        elif kind == "FuncCall":
            written.append(strings(body["funcname"]))
        elif kind == "TypeName":
            written.append(strings(body["names"]))
    return read, written


@pytest.mark.parametrize("name", QUERIES)
def test_nothing_is_named_without_its_schema(name: str) -> None:
    _, written = names(QUERIES[name])
    assert written
    assert [one for one in written if one[0] != "pg_catalog"] == []


def test_the_fingerprint_covers_every_catalog_that_is_read() -> None:
    watched, _ = names(queries.FINGERPRINT)
    read = set().union(*(names(text)[0] for name, text in QUERIES.items() if "FINGERPRINT" not in name))
    assert read - watched == UNWATCHED
    assert names(queries.SCOPED_FINGERPRINT)[0] == watched


async def test_temporary_objects_of_sessions_are_never_read(changing: CatalogConnection) -> None:
    await changing.execute("SET default_transaction_read_only = off")
    await changing.execute("CREATE TEMP TABLE fleeting (id int PRIMARY KEY)")
    for name, text in QUERIES.items():
        if "FINGERPRINT" not in name:
            rows = await changing.fetch(text)
            assert not [row for row in rows if "fleeting" in map(str, row.values())], name
