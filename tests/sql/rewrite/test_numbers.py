"""New rows get the tenant's own next number where the default would draw from everybody's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.catalog.model import Column, Key
from proxy.errors import FeatureNotSupported
from proxy.sql.render import fill, render
from proxy.sql.rewrite import rewrite
from proxy.sql.world import World
from tests.sql.worlds import keys_of, one_statement

NEXT = "pg_catalog.nextval('own'::pg_catalog.regclass)"


@pytest.fixture(scope="module")
def counted(world: World) -> World:
    """notes with a column no that is numbered by itself; customers with another whose key lacks the tenant column."""
    relations = dict(world.catalog.relations)
    for name, keys in {"notes": (), "customers": (Key("c_no", "u", (90,)),)}.items():
        old = relations["public", name]
        column = Column(90, "no", 20, default="nextval('public.own_no'::regclass)")
        relations["public", name] = replace(old, columns=(*old.columns, column), keys=(*old.keys, *keys))
    policy = replace(world.policy, sequences={("public", "own_no"): "per_tenant"})
    return World(policy, replace(world.catalog, relations=relations))


def text(world: World, sql: str) -> str:
    keys = {**keys_of(1), "$sequence public.own_no": "own"}
    return fill(render(rewrite(one_statement(world, sql).tree, world).tree).template, keys, ()).decode()


@pytest.mark.parametrize(
    ("sql", "sent"),
    [
        ("INSERT INTO notes (body) VALUES ('a'), ('b')",
         f"(body, tenant, no) VALUES ('a', KEY, {NEXT}), ('b', KEY, {NEXT})"),
        ("INSERT INTO notes (body, no) VALUES ('a', DEFAULT), ('b', 7)",
         f"(body, no, tenant) VALUES ('a', {NEXT}, KEY), ('b', 7, KEY)"),
        ("INSERT INTO notes DEFAULT VALUES", f"(tenant, no) VALUES (KEY, {NEXT})"),
        ("INSERT INTO notes (body) SELECT name FROM categories",
         f"(body, tenant, no) SELECT name, KEY, {NEXT} FROM public.categories"),
        ("INSERT INTO notes (no) SELECT 1 UNION SELECT 2", "(no, tenant) SELECT 1, KEY UNION SELECT 2, KEY"),
    ],
)  # fmt: skip
def test_a_column_that_is_left_to_its_default_gets_the_tenants_number(counted: World, sql: str, sent: str) -> None:
    expected = "INSERT INTO public.notes " + sent.replace("KEY", "'acme'::pg_catalog.text")
    assert text(counted, sql) == expected


def test_merge_gives_numbers_too(counted: World) -> None:
    sql = "MERGE INTO notes n USING categories c ON n.id = c.id WHEN NOT MATCHED THEN INSERT (body) VALUES (c.name)"
    assert text(counted, sql).endswith(f"INSERT (body, tenant, no) VALUES (c.name, 'acme'::pg_catalog.text, {NEXT})")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO notes (body) SELECT 'a' UNION SELECT 'b'",
        "INSERT INTO notes (body) SELECT DISTINCT name FROM categories",
        "UPDATE notes SET no = DEFAULT",
        "INSERT INTO notes (body) VALUES ('a') ON CONFLICT (tenant, id) DO UPDATE SET no = DEFAULT",
        "INSERT INTO customers (name) VALUES ('a')",
    ],
)
def test_what_cannot_be_counted_right_is_refused(counted: World, sql: str) -> None:
    with pytest.raises(FeatureNotSupported):
        text(counted, sql)


def test_other_tables_are_left_as_they_are(counted: World) -> None:
    assert "nextval" not in text(counted, "INSERT INTO orders (id, customer_id, secret) VALUES (1, 2, 'x')")
