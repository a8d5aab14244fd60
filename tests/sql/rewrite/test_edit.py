"""Edit: made-up names collide with nothing, and made-up nodes mean pg_catalog's."""

from __future__ import annotations

from proxy.sql.plan import KeyHole
from proxy.sql.rewrite.edit import Edit, conjunction, fence_off, key_constant, references
from proxy.sql.world import World
from tests.sql.worlds import analysed


def test_a_fresh_alias_occurs_nowhere_in_the_statement(world: World) -> None:
    edit = Edit(analysed(world, 'SELECT 1 AS _iso1 FROM orders _iso2, (SELECT 1) "_iso4"'), world)
    assert [edit.fresh(), edit.fresh()] == ["_iso3", "_iso5"]


def test_a_key_is_a_hole_of_the_columns_own_type(world: World) -> None:
    for name, key, type_name in (
        ("orders", "default", "int4"),
        ("notes", "slug", "text"),
        ("documents", "uid", "uuid"),
    ):
        visible = world.relation(None, name)
        assert visible is not None
        cast = key_constant(visible)["TypeCast"]
        assert cast["arg"]["A_Const"]["_hole"] == KeyHole(key)
        assert [one["String"]["sval"] for one in cast["typeName"]["names"]] == ["pg_catalog", type_name]


def test_a_conjunction_of_conjunctions_is_flat() -> None:
    one = {"A_Const": {"boolval": {"boolval": True}}}
    both = {"BoolExpr": {"boolop": "AND_EXPR", "args": [one, one]}}
    assert len(conjunction([one, both])["BoolExpr"]["args"]) == 3
    assert conjunction([one]) is one


def test_a_limit_is_left_alone(world: World) -> None:
    for body in ({"limitCount": 1}, {"limitOffset": 1}):
        before = dict(body)
        fence_off(body)
        assert body == before


def test_references_do_not_look_into_sub_selects(world: World) -> None:
    body = analysed(world, "SELECT 1 FROM orders WHERE id + qty IN (SELECT customer_id FROM users)").levels[-1].body
    columns, has_sublink = references(body["whereClause"])
    assert len(columns) == 2
    assert has_sublink
