"""Types whose input looks something up: by what they are made of."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog, Column, Relation, Type
from proxy.errors import FeatureNotSupported
from proxy.sql.naming import check_types, is_made_of_names, is_naming, looks_up, parts, types_in
from proxy.sql.nodes import Nodes
from proxy.sql.world import World
from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of
from tests.sql.worlds import one_statement

MADE = (
    Type(90001, "acme", "dom", "d", base=3734),  # of regconfig
    Type(90002, "acme", "_dom", "b", element=90001),
    Type(90003, "acme", "comp", "c", relation=90010),
    Type(90004, "acme", "span", "r", subtype=90003),
    Type(90005, "acme", "region", "e"),
    Type(90006, "acme", "plain", "d", base=25),
    Type(90007, "acme", "own", "c", relation=90011),
    Type(90008, "globex", "far", "d", base=2205),
)
ROWS = (
    Relation(90010, "acme", "comp", "c", columns=(Column(1, "a", 23), Column(2, "b", 90002))),
    Relation(90011, "acme", "own", "c", columns=(Column(1, "a", 25), Column(2, "b", 90007))),  # of itself
)


@pytest.fixture
def world(server: Cluster) -> World:
    beside: Beside = beside_of(server)
    return World(beside.context.policy, with_made(beside.catalog))


def with_made(catalog: Catalog) -> Catalog:
    """The same picture with these types besides."""
    return replace(
        catalog,
        types={**catalog.types, **{one.oid: one for one in MADE}},
        relations={**catalog.relations, **{(one.schema, one.name): one for one in ROWS}},
    )


def test_the_servers_own_are_known_by_name_in_every_spelling() -> None:
    for names in (["regclass"], ["_regconfig"], ["pg_catalog", "aclitem"], ["beside", "pg_catalog", "_aclitem"]):
        assert is_naming(names), names
    for names in (["region"], ["_registration"], ["acme", "regclass"], ["text"], ["oid"], ["refcursor"]):
        assert not is_naming(names), names


def test_a_type_is_one_if_anything_within_it_is(world: World) -> None:
    assert [looks_up(world.catalog, one.oid) for one in MADE] == [True, True, True, True, False, False, False, True]
    assert parts(world.catalog, 90002) == {90002, 90001, 3734}
    assert not looks_up(world.catalog, 0)
    named = {world.catalog.types[one].name for one in world.catalog.types if looks_up(world.catalog, one)}
    assert {"regclass", "_regclass", "regconfig", "regcollation", "aclitem", "_aclitem"} <= named
    assert not {"text", "oid", "name", "refcursor", "_oid", "regress"} & named


def test_a_name_means_what_is_on_the_path(world: World) -> None:
    assert is_made_of_names(["dom"], world)
    assert is_made_of_names(["acme", "span"], world)
    assert not is_made_of_names(["far"], world)
    assert not is_made_of_names(["region"], world)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("CREATE DOMAIN d AS regconfig", True),
        ("CREATE TABLE t (a pg_catalog.regcollation[])", True),
        ("CREATE TABLE t (a _aclitem)", True),
        ("CREATE FUNCTION f(a int, b span) RETURNS int LANGUAGE sql AS ''", True),
        ("CREATE FUNCTION f(a int) RETURNS SETOF regtype LANGUAGE sql AS ''", True),
        ("CREATE TABLE t OF comp", True),
        ("ALTER TABLE t ALTER a TYPE _dom", True),
        ("SELECT 'x'::dom", True),
        ("SELECT 'x'::span[]", True),
        ("SELECT * FROM json_to_record('{}') AS t(a regdictionary)", True),
        ("SELECT 'x'::regclass, 'y'::_regproc, 'z'::pg_catalog.aclitem", False),
        ("SELECT 'x'::region, 'y'::plain", False),
        ("CREATE TABLE t (a region, b plain[], c text DEFAULT 'x'::regclass::text)", False),
    ],
)
def test_none_is_declared_and_none_that_is_made_of_one_is_cast_to(world: World, text: str, refused: bool) -> None:
    nodes = Nodes(one_statement(world, text).tree)
    if refused:
        with pytest.raises(FeatureNotSupported):
            check_types(types_in(nodes.tree), nodes.of("TypeCast"), world)
    else:
        check_types(types_in(nodes.tree), nodes.of("TypeCast"), world)
