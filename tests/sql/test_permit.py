"""permit lets through what names only visible things, and answers the rest as PostgreSQL would."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Catalog, Function
from proxy.errors import Refusal
from proxy.sql.nodes import Nodes
from proxy.sql.permit import permit
from proxy.sql.world import World
from proxy.tenancy.policy import FunctionRule
from tests.sql.worlds import one_statement, sample_policy


def asked(world: World, sql: str) -> None:
    """permit on the only statement of a text."""
    permit(Nodes(one_statement(world, sql).tree), world)


def refusal(world: World, sql: str) -> tuple[str, str]:
    """SQLSTATE and message of the refusal of a statement."""
    with pytest.raises(Refusal) as refused:
        asked(world, sql)
    return refused.value.sqlstate, refused.value.message


@pytest.fixture(scope="module")
def spied(world: World) -> World:
    """The world with a function over rows of orders that policy does not list, and one that it does."""
    row = world.catalog.relations["public", "orders"].row_type
    spy = Function(999_001, "public", "spy", "f", (row,), 20, security_definer=True, language="sql")
    fine = replace(spy, oid=999_002, name="fine")
    functions = {**world.catalog.functions, "spy": (spy,), "fine": (fine,)}
    policy = replace(
        sample_policy(),
        functions=(FunctionRule("public", "fine"), FunctionRule("public", "slugify")),
        sequences={("public", "invoice_no_seq"): "shared"},
    )
    return World(policy, replace(world.catalog, functions=functions))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT o.spy FROM orders o",
        "SELECT (o).spy FROM orders o",
        "SELECT (o).spy FROM orders o, (SELECT 1 AS spy) x",
        "SELECT o.spy FROM orders o WHERE EXISTS (SELECT 1 FROM (SELECT 1 AS spy) o)",
        "SELECT o.spy FROM orders o JOIN (customers JOIN products ON true) AS j(spy) ON true",
        "SELECT orders.spy FROM orders, products AS p(spy)",
        "SELECT orders.spy FROM orders WHERE EXISTS (SELECT FROM products AS orders(spy))",
        "WITH x(spy) AS (SELECT 1) SELECT (o).spy FROM orders o, x",
        "UPDATE orders SET note = (orders).spy::text",
        "DELETE FROM orders RETURNING orders.spy",
        "SELECT 1 FROM customers c JOIN orders o ON (o).spy > 0",
        "SELECT public.spy(o) FROM orders o",
        "SELECT count(*) FILTER (WHERE o.spy > 1) FROM orders o",
    ],
)
def test_no_notation_calls_a_function_that_is_not_listed(spied: World, sql: str) -> None:
    sqlstate, message = refusal(spied, sql)
    assert sqlstate == "42883"
    assert "spy(" in message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT o.fine, (o).fine, fine(o), slugify(o.note), orders.id FROM orders o, orders",
        "SELECT (home).city FROM users",
        "SELECT o.id, o.note, upper(o.note) FROM orders o WHERE o.id = ANY (ARRAY[1, 2])",
        "SELECT count(*), sum(amount) FROM orders GROUP BY status",
        "INSERT INTO orders (id, customer_id) VALUES (nextval('invoice_no_seq'), 1)",
        "SELECT 'new'::order_status, '(a,b,c)'::addr, 1::posint, NULL::orders",
        "SELECT current_setting('TimeZone'), current_database(), CURRENT_USER",
        "SELECT 'orders'::regclass, 'pg_catalog.pg_class'::regclass",
        "SELECT 1 OPERATOR(pg_catalog.+) 2",
    ],
)
def test_what_names_visible_things_is_let_through(spied: World, sql: str) -> None:
    asked(spied, sql)


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        ("SELECT count_orders()", ("42883", "function count_orders() does not exist")),
        ("SELECT nothing()", ("42883", "function nothing() does not exist")),
        ("SELECT order_secret(3)", ("42883", "function order_secret(integer) does not exist")),
        ("SELECT public.order_secret(3)", ("42883", "function public.order_secret(integer) does not exist")),
        ("SELECT * FROM order_secret(3)", ("42883", "function order_secret(integer) does not exist")),
        ("SELECT pg_temp.f()", ("42883", "function pg_temp.f() does not exist")),
        ("SELECT pg_read_file('x')", ("42501", "permission denied for function pg_read_file")),
        (
            "SELECT pg_catalog.query_to_xml('x', true, false, '')",
            ("42501", "permission denied for function query_to_xml"),
        ),
        (
            "SELECT U&\"query\\005fto_xml\"('x', true, false, '')",
            ("42501", "permission denied for function query_to_xml"),
        ),
        ("SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", ("42501", "permission denied for function ts_rewrite")),
        ("SELECT set_config('row_security', 'off', false) FROM orders", ("42501", None)),
        ("SELECT current_setting('data_directory')", ("42501", None)),
        ("SELECT current_setting(note) FROM orders", ("42501", None)),
        ("SELECT lastval()", ("0A000", None)),
        ("SELECT nextval('accounts_id_seq')", ("42P01", 'relation "accounts_id_seq" does not exist')),
        ("SELECT nextval(note) FROM orders", ("0A000", None)),
        ("SELECT setval('invoice_no_seq', 1)", ("42501", "permission denied for sequence invoice_no_seq")),
        ("SELECT 'leaky_stats'::regclass", ("42P01", 'relation "leaky_stats" does not exist')),
        ("SELECT 'public.leaky_stats'::regclass", ("42P01", 'relation "public.leaky_stats" does not exist')),
        ("SELECT 'app_owner'::regrole", ("0A000", None)),
        ("SELECT NULL::leaky_stats", ("42704", 'type "leaky_stats" does not exist')),
        ("SELECT NULL::pg_temp.x", ("42704", 'type "pg_temp.x" does not exist')),
        ("SELECT 1 OPERATOR(pg_temp.+) 2", ("42883", None)),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM orders ORDER BY pg_sleep(1), pg_ls_dir('.'))", ("42501", None)),
        ("SELECT sum(1) OVER (ORDER BY pg_ls_dir('.'))", ("42501", None)),
        ("SELECT 1 LIMIT txid_current()", ("42501", None)),
        ("INSERT INTO orders (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET id = lo_creat(1)", ("42501", None)),
    ],
)
def test_what_is_refused_is_answered_as_the_server_would(
    spied: World, sql: str, answer: tuple[str, str | None]
) -> None:
    sqlstate, message = refusal(spied, sql)
    assert sqlstate == answer[0]
    assert answer[1] is None or message == answer[1]


@pytest.mark.parametrize(
    ("sql", "verb"),
    [
        ("INSERT INTO orders (id) VALUES (1)", "INSERT"),
        ("UPDATE orders SET note = ''", "UPDATE"),
        ("DELETE FROM orders", "DELETE"),
        ("WITH d AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM d", "DELETE"),
        ("SELECT 1 FROM orders FOR UPDATE", "SELECT FOR UPDATE"),
        ("SELECT 1 FROM (SELECT 1 FROM orders FOR SHARE) s", "SELECT FOR SHARE"),
    ],
)
def test_a_read_only_login_cannot_write(world: World, sql: str, verb: str) -> None:
    reader = World(replace(sample_policy(), read_only=True), world.catalog)
    assert refusal(reader, sql) == ("25006", f"cannot execute {verb} in a read-only transaction")


def test_a_function_refused_in_one_overload_is_refused_in_all(world: World) -> None:
    listed = Function(999_011, "public", "twice", "f", (23,), 23)
    other = replace(listed, oid=999_012, arguments=(25,))
    catalog = replace(world.catalog, functions={**world.catalog.functions, "twice": (listed, other)})
    one = replace(sample_policy(), functions=(FunctionRule("public", "twice", ("integer",)),))
    assert refusal(World(one, catalog), "SELECT twice(1)") == ("42883", "function twice(integer) does not exist")
    asked(World(replace(one, functions=(FunctionRule("public", "twice"),)), catalog), "SELECT twice(1)")


def test_a_rule_of_an_extension_holds_for_its_own_functions_and_types(world: World) -> None:
    own = Function(999_031, "public", "twice", "f", (23,), 23, extension="citext")
    rule = FunctionRule("public", "twice", ("integer",), "citext")
    policy = replace(sample_policy(), functions=(rule,), extensions=("citext",))
    kind = replace(world.catalog.types[25], oid=999_032, schema="public", name="citext", extension="citext")

    def over(function: Function) -> Catalog:
        functions, types = {**world.catalog.functions, "twice": (function,)}, {**world.catalog.types, kind.oid: kind}
        return replace(world.catalog, functions=functions, types=types)

    asked(World(policy, over(own)), "SELECT twice(1), 'a'::citext")
    assert refusal(World(policy, over(replace(own, extension=""))), "SELECT twice(1)")[0] == "42883"
    hidden = World(replace(policy, extensions=()), over(own))
    assert refusal(hidden, "SELECT 'a'::citext") == ("42704", 'type "citext" does not exist')


def test_a_function_on_the_path_cannot_hide_behind_a_built_in_one(world: World) -> None:
    shadow = Function(999_021, "public", "lower", "f", (1043,), 25)
    functions = {**world.catalog.functions, "lower": (*world.catalog.functions["lower"], shadow)}
    mixed = World(sample_policy(), replace(world.catalog, functions=functions))
    assert refusal(mixed, "SELECT lower('A'::varchar)")[0] == "42883"
    asked(mixed, "SELECT pg_catalog.lower('A'::varchar)")
