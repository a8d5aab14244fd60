"""Functions and casts that tell of objects may be asked of what the tenant sees, and of nothing else."""

from __future__ import annotations

import pytest

from proxy.errors import Refusal
from proxy.sql.names import split_name
from proxy.sql.nodes import Nodes
from proxy.sql.objects import bound_names, check_objects
from proxy.sql.plan import NameCheck
from proxy.sql.world import World
from tests.sql.worlds import one_statement

COUNTING = (
    "SELECT pg_get_viewdef(g::oid) FROM generate_series(16384, 17000) g",
    "SELECT g::regclass FROM generate_series(16384, 17000) g",
    "SELECT x::regclass FROM (SELECT oid AS x FROM pg_class UNION ALL SELECT 16400) s",
    "SELECT x::regclass FROM (SELECT id AS x FROM orders) s",
    "WITH RECURSIVE t(o) AS (SELECT 16384::oid UNION ALL SELECT o FROM (VALUES (16385)) v(o)) "
    "SELECT format_type(o, NULL) FROM t",
    "SELECT format_type(t, NULL) FROM pg_proc p, unnest(ARRAY[16400, 16401]) AS t",
    "SELECT format_type(t, NULL) FROM orders, unnest(ARRAY[id]) AS t",
    "SELECT obj_description(o.id) FROM orders o, pg_class c",
    "SELECT CASE WHEN c.relname = 'x' THEN c.oid ELSE 999999 END::regclass FROM pg_class c",
    "SELECT pg_get_viewdef($1)",
    "SELECT $1::regclass",
    "SELECT $1::regclass::text = 'leaky_stats'",
    "SELECT tableoid::regclass FROM orders AS o(tableoid)",
    "SELECT (SELECT max(id) FROM orders)::regclass",
)
NAMING = (
    "SELECT to_regclass('leaky' || '_stats')",
    "SELECT v::regclass FROM (VALUES ('leaky_stats')) t(v)",
    "SELECT regclass(note) FROM orders",
    "SELECT to_regtype(note) FROM orders",
    "SELECT * FROM json_to_record('{}') AS x(a regclass)",
    "SELECT has_table_privilege('leaky_stats', 'SELECT')",
    "SELECT has_table_privilege('app_owner', 'orders', 'SELECT')",
    "SELECT has_schema_privilege('elsewhere', 'USAGE')",
    "SELECT has_database_privilege('private1', 'CONNECT')",
    "SELECT pg_has_role('somebody', 'USAGE')",
    "SELECT to_regclass('leaky_stats')",
    "SELECT regclass('leaky_stats')",
    "SELECT pg_get_viewdef('leaky_stats')",
    "SELECT pg_get_serial_sequence('leaky_stats', 'id')",
    "SELECT 'leaky_stats'::regtype",
    "SELECT '_leaky_stats'::regtype, 1",
    "SELECT to_regtype('public.leaky_stats[]')",
    "SELECT 'elsewhere'::regnamespace",
    "SELECT to_regproc('order_secret')",
    "SELECT to_regprocedure('public.order_secret(integer)')",
    "SELECT has_server_privilege('s', 'USAGE')",
)
AGE = (
    "SELECT age(xmin) FROM orders",
    "SELECT age('3'::xid)",
    "SELECT age($1)",
    "SELECT age(relfrozenxid) FROM pg_class",
)
SHOWN = (
    "SELECT c.oid::regclass, pg_get_viewdef(oid) FROM pg_catalog.pg_class c",
    "SELECT s.x::regclass FROM (SELECT c.oid AS x FROM pg_class c) s",
    "WITH a AS (SELECT * FROM pg_class) SELECT a.oid::regclass FROM a",
    "WITH RECURSIVE t(o) AS (SELECT oid FROM pg_class UNION ALL SELECT i.inhparent FROM t JOIN pg_inherits i "
    "ON i.inhrelid = t.o) SELECT t.o::regclass FROM t",
    "SELECT format_type(t, NULL) FROM pg_proc p, unnest(p.proargtypes) AS t",
    "SELECT array(SELECT format_type(x, NULL) FROM unnest(proargtypes) x) FROM pg_proc",
    "SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d",
    "SELECT (conkey)[1], conrelid::regclass, pg_get_constraintdef(oid, true) FROM pg_constraint",
    "SELECT 1 FROM pg_class WHERE oid = $1::regclass",
    "SELECT 1 FROM pg_type t WHERE t.oid = to_regtype($1)",
    "SELECT tableoid::regclass FROM events",
    "SELECT has_table_privilege('orders', 'SELECT'), has_schema_privilege('public', 'USAGE')",
    "SELECT pg_has_role('pg_read_all_stats', 'USAGE')",
    "SELECT has_database_privilege('shared', 'CONNECT'), has_table_privilege(CURRENT_USER, 'orders', 'SELECT')",
    "SELECT classid::regclass FROM (VALUES ('pg_class'::regclass)) v(classid)",
    "SELECT to_regclass('orders'), regclass('pg_class'), 'orders_pkey'::regclass, to_regproc('now')",
    "SELECT 'orders'::regtype, to_regtype('double precision'), 'integer[]'::regtype, 'public'::regnamespace",
    "SELECT age(placed_at), age(now(), placed_at) FROM orders",
)


@pytest.mark.parametrize("sql", COUNTING + NAMING + AGE)
def test_no_statement_can_count_through_oids_or_try_names(world: World, sql: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_objects(Nodes(one_statement(world, sql).tree), world)
    assert refused.value.sqlstate in ("0A000", "42P01", "42501", "42704", "3F000")


@pytest.mark.parametrize("sql", SHOWN)
def test_catalog_columns_and_visible_constants_may_be_asked_about(world: World, sql: str) -> None:
    check_objects(Nodes(one_statement(world, sql).tree), world)


def test_a_constant_oid_has_to_be_of_something_visible(world: World) -> None:
    relations = world.catalog.relations
    for name, refused in (("orders", False), ("leaky_stats", True)):
        oid = relations["public", name].oid
        for form in (f"'{oid}'::regclass", f"{oid}::regclass", f"pg_get_viewdef({oid})", f"obj_description({oid})"):
            tree = one_statement(world, f"SELECT {form}").tree
            if not refused:
                check_objects(Nodes(tree), world)
                continue
            with pytest.raises(Refusal, match="not supported"):
                check_objects(Nodes(tree), world)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Orders", (None, "orders")),
        ('"Order Details"', (None, "Order Details")),
        ('public."a""b"', ("public", 'a"b')),
        (" Public . Orders ", ("public", "orders")),
        ('shared.public."X.y"', ("public", "X.y")),
    ],
)
def test_names_in_text_are_read_as_the_server_reads_them(text: str, name: tuple[str | None, str]) -> None:
    assert split_name(text) == name


def test_parameters_that_give_names_are_known(world: World) -> None:
    tree = one_statement(
        world,
        "SELECT $1::int, $2::regclass, current_setting($5), pg_catalog.current_setting($6::text, true)"
        " FROM pg_class WHERE oid = $3::text::regclass AND reltype = $4::oid",
    ).tree
    assert sorted(bound_names(Nodes(tree)), key=lambda one: one.parameter) == [
        NameCheck(2, "regclass", direct=True),
        NameCheck(3, "regclass", direct=False),
        NameCheck(5, "current_setting", direct=False),
        NameCheck(6, "current_setting", direct=False),
    ]
