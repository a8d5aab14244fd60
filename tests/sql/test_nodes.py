"""One walk finds what every station's own walk would find, in the order of the server's analysis."""

from __future__ import annotations

from importlib.resources import files

import orjson
import pytest
from pglast.parser import parse_sql_json

from proxy.sql.fields import FIELDS
from proxy.sql.nodes import BARE, Node, Nodes, uncast
from proxy.sql.parse import walk
from proxy.sql.verify.nodes import EXPRESSIONS
from tests.sql.test_encode import texts


def tree_of(sql: str) -> Node:
    tree: Node = orjson.loads(parse_sql_json(sql))["stmts"][0]["stmt"]
    return tree


def test_every_node_of_every_statement_is_there_once() -> None:
    for text in texts():
        for raw in orjson.loads(parse_sql_json(text))["stmts"]:
            named = {id(body): kind for kind, body in walk(raw["stmt"]) if kind != "String"}
            every = Nodes(raw["stmt"]).every
            found = {id(body): kind for kind, body in every}
            assert len(found) == len(every)
            assert named.items() <= found.items(), text
            assert {kind for at, kind in found.items() if at not in named} <= {*BARE.values(), "String"}


def test_from_and_with_come_before_the_rest_of_their_level() -> None:
    nodes = Nodes(tree_of("WITH w AS (SELECT c FROM d) SELECT a, (SELECT e FROM f) FROM w WHERE b"))
    found = []
    for kind, body in nodes.every:
        if kind == "RangeVar":
            found.append(body["relname"])
        elif kind == "ColumnRef":
            found.append(body["fields"][0]["String"]["sval"])
    assert found == ["w", "d", "c", "a", "f", "e", "b"]


@pytest.mark.parametrize(
    ("sql", "kind", "count"),
    [
        ("INSERT INTO t AS u VALUES (1) ON CONFLICT (a) DO NOTHING RETURNING a", "InferClause", 1),
        ("INSERT INTO t AS u VALUES (1) ON CONFLICT (a) DO NOTHING RETURNING a", "RangeVar", 1),
        ("SELECT 1 UNION SELECT 2 UNION SELECT 3", "SelectStmt", 5),
        ("SELECT * FROM a JOIN b USING (c) AS d", "SelectStmt", 1),
        ("SELECT * FROM a JOIN b USING (c) AS d", "Alias", 1),
        ("SELECT * FROM a TABLESAMPLE system (1)", "RangeVar", 1),
        ("SELECT a::int INTO b", "TypeName", 1),
        ("SELECT a::int INTO b", "IntoClause", 1),
    ],
)
def test_bodies_without_a_name_are_known_by_their_field(sql: str, kind: str, count: int) -> None:
    assert len(Nodes(tree_of(sql)).of(kind)) == count


def test_what_stands_in_casts_is_found_through_them() -> None:
    (target,) = tree_of("SELECT 'a'::text::varchar")["SelectStmt"]["targetList"]
    inner = uncast(target["ResTarget"]["val"])
    assert inner["A_Const"]["sval"] == {"sval": "a"}
    assert uncast(inner) is inner


def test_what_is_not_there_is_an_empty_list() -> None:
    assert Nodes(tree_of("SELECT 1")).of("FuncCall") == []


def test_every_field_that_holds_a_body_without_its_name_is_known_where_a_station_asks_for_the_kind() -> None:
    """Of what a query may consist of: a new field of the grammar's must not be walked past."""
    table = orjson.loads(files("proxy.sql.data").joinpath("pg_query_fields.json").read_bytes())["messages"]
    asked = {"CollateClause", "FuncCall", "RangeVar", "SelectStmt", "SortBy", "SubLink", "TypeCast", "TypeName"}
    within = EXPRESSIONS | {name for name in FIELDS if not name.startswith(("Create", "Vacuum"))}
    fields = {
        field: kind
        for message in within & table.keys()
        for field, (_, kind, _) in table[message].items()
        if kind in asked and (message, field) != ("ColumnDef", "identitySequence")  # only ALTER TABLE has it
    }
    assert fields == {field: BARE.get(field) for field in fields}
    assert {"collClause", "typeName", "larg", "relation"} <= fields.keys()
