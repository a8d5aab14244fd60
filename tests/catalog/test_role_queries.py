"""The queries about roles name every catalog in full, and read the same for one role and for a thousand."""

from __future__ import annotations

import json

import pytest
from pglast.parser import parse_sql_json

from proxy.catalog import role_queries
from proxy.sql.aliases import strings
from proxy.sql.nodes import Nodes

QUERIES = {name: text for name, text in vars(role_queries).items() if name.isupper() and not name.startswith("_")}
OWN = {"reach", "owners", "self", "grantee", "granted"}  # made in the queries


@pytest.mark.parametrize("name", QUERIES)
def test_nothing_is_named_without_its_schema(name: str) -> None:
    written: list[list[str]] = []
    for kind, body in Nodes(json.loads(parse_sql_json(QUERIES[name]))).every:
        if kind == "RangeVar" and body["relname"] not in OWN:
            written.append([body.get("schemaname", ""), body["relname"]])
        elif kind == "FuncCall":
            written.append(strings(body["funcname"]))
        elif kind == "TypeName":
            written.append(strings(body["names"]))
    assert written
    assert [one for one in written if one[0] != "pg_catalog"] == []


@pytest.mark.parametrize("name", QUERIES)
def test_each_answers_for_the_roles_that_are_given_and_no_others(name: str) -> None:
    assert "$1::pg_catalog.name[]" in QUERIES[name]
