"""Types whose input looks something up, declared in every way and used: beside the schema of one tenant nothing of such
a type tells a schema, a role or a relation of another from what is not there.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import Seen, observe
from tests.escapes.test_own_schema import told
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import load_schemas, schema_rules

# Type -> a value that names what is another's.
VALUES = {
    "regclass": "{}.orders",
    "regproc": "{}.log_change",
    "regprocedure": "{}.order_total(int)",
    "regoper": "{}.+",
    "regoperator": "{}.+(int,int)",
    "regtype": "{}.order_status",
    "regrole": "{}_rw",
    "regnamespace": "{}",
    "regconfig": "{}.english",
    "regdictionary": "{}.simple",
    "regcollation": "{}.C",
    "aclitem": "{}_rw=r/acme_rw",
}
# @T stands for the type, @V for a value of it.
FORMS = (
    ("CREATE DOMAIN d AS @T", "SELECT '@V'::d", "SELECT pg_typeof('@V'::d)"),
    ("CREATE DOMAIN d AS @T", "CREATE DOMAIN e AS d", "SELECT '@V'::e"),
    ("CREATE DOMAIN d AS @T", "SELECT '{\"@V\"}'::d[]"),
    ("CREATE DOMAIN d AS @T", "DO $$ DECLARE x d; v text := '@V'; BEGIN x := v; END $$"),
    ("CREATE DOMAIN d AS @T DEFAULT '@V'",),
    ("CREATE TABLE t (a @T)", "INSERT INTO t VALUES ('@V')"),
    ("CREATE TABLE t (a @T)", "COPY t FROM STDIN"),
    ("CREATE TABLE t (a @T DEFAULT '@V')",),
    ("CREATE TEMP TABLE t (a @T)", "INSERT INTO t VALUES ('@V')"),
    ("CREATE TEMP TABLE t (a @T)", "COPY t FROM STDIN"),
    ("CREATE TABLE t (b int)", "ALTER TABLE t ADD COLUMN a @T", "INSERT INTO t (a) VALUES ('@V')"),
    ("CREATE TABLE t (a text)", "ALTER TABLE t ALTER a TYPE @T USING NULL", "INSERT INTO t (a) VALUES ('@V')"),
    ("CREATE TABLE t (a text)", "INSERT INTO t VALUES ('@V')", "ALTER TABLE t ALTER a TYPE @T USING a::@T"),
    ("CREATE TABLE t AS SELECT NULL::@T AS a", "INSERT INTO t VALUES ('@V')"),
    ("CREATE TEMP TABLE t AS SELECT NULL::@T AS a", "INSERT INTO t VALUES ('@V')"),
    ("SELECT NULL::@T AS a INTO t", "INSERT INTO t VALUES ('@V')"),
    ("PREPARE q AS SELECT NULL::@T AS a", "CREATE TEMP TABLE t AS EXECUTE q", "INSERT INTO t VALUES ('@V')"),
    ("CREATE TYPE c AS (a @T)", "SELECT '(\"@V\")'::c", "CREATE TABLE t OF c", "INSERT INTO t VALUES ('@V')"),
    ("CREATE TYPE c AS (b int)", "ALTER TYPE c ADD ATTRIBUTE a @T", "SELECT '(1,\"@V\")'::c"),
    ("CREATE TYPE s AS RANGE (subtype = @T)", "SELECT '[@V,]'::s"),
    ("CREATE VIEW v AS SELECT NULL::@T AS a", "SELECT * FROM v WHERE a = '@V'"),
    ("CREATE FUNCTION f(a @T) RETURNS int LANGUAGE sql AS 'SELECT 1'", "SELECT f('@V')"),
    ("CREATE FUNCTION f(a int) RETURNS @T LANGUAGE sql AS 'SELECT NULL'", "SELECT f(1) = '@V'"),
    ("CREATE FUNCTION f() RETURNS TABLE (a @T) LANGUAGE sql AS 'SELECT NULL'", "SELECT * FROM f() WHERE a = '@V'"),
    ("CREATE FUNCTION f(OUT a @T) LANGUAGE sql AS 'SELECT NULL'", "SELECT f() = '@V'"),
    (
        "CREATE FUNCTION f(v text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE x @T; BEGIN x := v; RETURN 1; END $$",
        "SELECT f('@V')",
    ),
    ("PREPARE p(@T) AS SELECT $1", "EXECUTE p('@V')"),
    ('SELECT * FROM json_to_record(\'{"a": "@V"}\') AS t(a @T)',),
    ("SELECT * FROM XMLTABLE('/a' PASSING '<a>@V</a>' COLUMNS a @T PATH '.')",),
    ("SELECT '@V'::@T",),
    ("SELECT '{\"@V\"}'::@T[]",),
    ("SELECT x::text::@T FROM (VALUES ('@V')) v(x)",),
)
# What an operator made in the tenant's schema, which the tenant may use.
MADE = """
CREATE DOMAIN acme.dom AS regconfig;
CREATE DOMAIN acme.doms AS regclass[];
CREATE DOMAIN acme.acl AS aclitem;
CREATE TYPE acme.comp AS (a regclass);
CREATE TYPE acme.deep AS (b acme.comp[]);
CREATE TYPE acme.span AS RANGE (subtype = regclass, subtype_opclass = oid_ops);
CREATE TABLE acme.held (a regclass, d acme.dom, n int);
INSERT INTO acme.held VALUES ('acme.orders', 'english', 1);
CREATE FUNCTION acme.takes(acme.dom) RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER DOMAIN acme.dom OWNER TO acme_rw;
ALTER TABLE acme.held OWNER TO acme_rw;
"""
USED = (
    "SELECT '{}.english'::dom",
    "SELECT '{}.english'::acme.dom",
    "SELECT dom '{}.english'",
    "SELECT '{{{}.orders}}'::doms",
    "SELECT '{{{}.english}}'::dom[]",
    "SELECT '{{{}.english}}'::_dom",
    "SELECT '{}_rw=r/acme_rw'::acl",
    "SELECT '({}.orders)'::comp",
    "SELECT ROW('{}.orders')::comp",
    "SELECT '(\"{{({}.orders)}}\")'::deep",
    "SELECT '[{}.orders,]'::span",
    "SELECT x::dom FROM (VALUES ('{}.english')) v(x)",
    "SELECT takes('{}.english')",
    "INSERT INTO held (d) VALUES ('{}.english')",
    "INSERT INTO held (a) SELECT '{}.orders'",
    "UPDATE held SET d = '{}.english'",
    "MERGE INTO held USING (VALUES (1)) v(n) ON held.n = v.n WHEN MATCHED THEN UPDATE SET a = '{}.orders'",
    "COPY held (a) FROM STDIN",
    "SELECT * FROM held WHERE d = '{}.english'",
    "SELECT * FROM held WHERE a = '{}.orders'",
    'SELECT jsonb_populate_record(NULL::comp, \'{{"a": "{}.orders"}}\')',
    'SELECT jsonb_populate_record(h, \'{{"a": "{}.orders"}}\') FROM held h',
    'SELECT * FROM json_to_record(\'{{"a": "{}.english"}}\') AS t(a dom)',
    "PREPARE p(dom) AS SELECT $1; EXECUTE p('{}.english')",
    "CREATE TABLE t (LIKE held); INSERT INTO t (a) VALUES ('{}.orders')",
    "CREATE TABLE t () INHERITS (held); INSERT INTO t (a) VALUES ('{}.orders')",
    "CREATE TABLE t OF comp; INSERT INTO t (a) VALUES ('{}.orders')",
    "CREATE TABLE t (a dom DEFAULT '{}.english')",
    "CREATE TEMP TABLE t (a dom DEFAULT '{}.english')",
    "CREATE TEMP TABLE t AS SELECT d FROM held; INSERT INTO t VALUES ('{}.english')",
    "CREATE DOMAIN e AS dom DEFAULT '{}.english'",
    "CREATE TYPE y AS (a dom[]); SELECT '({{{}.english}})'::y",
    "CREATE VIEW v AS SELECT * FROM held; SELECT * FROM v WHERE d = '{}.english'",
    "ALTER DOMAIN dom SET DEFAULT '{}.english'",
    "ALTER DOMAIN dom ADD CHECK (VALUE <> '{}.english')",
    "ALTER TABLE held ALTER d SET DEFAULT '{}.english'",
    "DO $$ DECLARE x dom; v text := '{}.english'; BEGIN x := v; END $$",
    "DO $$ DECLARE x held; v text := '{}.orders'; BEGIN x.a := v; END $$",
    "DO $$ DECLARE x held%ROWTYPE; v text := '{}.orders'; BEGIN x.a := v; END $$",
    "DO $$ DECLARE x comp[]; v text := '{}.orders'; BEGIN x[1].a := v; END $$",
    "DO $$ DECLARE v text := '{}.english'; BEGIN PERFORM takes(v::dom); END $$",
)
BOUND = (
    ("SELECT $1::dom", "{}.english"),
    ("SELECT $1::doms", "{{{}.orders}}"),
    ("SELECT $1::comp", "({}.orders)"),
    ("SELECT $1::acl", "{}_rw=r/acme_rw"),
    ("SELECT takes($1)", "{}.english"),
    ("SELECT n FROM held WHERE d = $1", "{}.english"),
    ("INSERT INTO held (d) VALUES ($1)", "{}.english"),
)


@pytest.fixture(scope="module")
def proxy(server: Cluster) -> Iterator[Proxy]:
    load_schemas(server)
    server.create_database("beside_named", "template_beside")
    server.psql("beside_named", MADE)
    with running_proxy(server.port, rules=schema_rules(server.port, "beside_named")) as proxy:
        yield proxy
    server.drop_database("beside_named")


def answers(client: RawClient, texts: tuple[str, ...], value: str, schema: str) -> list[Seen]:
    """To statements of one transaction; what is copied in is a row of the value."""
    found: list[Seen] = []
    client.simple("BEGIN")
    for text in texts:
        found += observe(client.simple(text), ordered=True)
        if found[-1][0] == "G":
            found += observe(client.copy_data(value.encode() + b"\n"), ordered=True)
    client.simple("ROLLBACK; DEALLOCATE ALL")
    return told(found, schema)


def both(client: RawClient, texts: tuple[str, ...], value: str) -> tuple[list[Seen], list[Seen]]:
    """What is answered of a schema that is there, and of one that is not."""
    there, absent = (
        answers(client, tuple(one.replace("@V", value.format(schema)) for one in texts), value.format(schema), schema)
        for schema in ("globex", "nobody")
    )
    return there, absent


def is_told(there: list[Seen], absent: list[Seen]) -> bool:
    return there != absent or any(word in repr(one) for one in there for word in ("XX000", "denied for", "globex"))


@pytest.mark.parametrize("kind", VALUES)
def test_nothing_that_is_declared_tells_a_foreign_name_from_an_absent_one(proxy: Proxy, kind: str) -> None:
    wrong = {}
    with proxy.connect("acme_app") as client:
        for spelled, value in (
            (kind, VALUES[kind]),
            (f"_{kind}", '{{"' + VALUES[kind] + '"}}'),
            (f"pg_catalog.{kind}[]", '{{"' + VALUES[kind] + '"}}'),
        ):
            for form in FORMS:
                texts = tuple(one.replace("@T", spelled) for one in form)
                found = both(client, texts, value)
                if is_told(*found):
                    wrong[texts] = found
    assert wrong == {}


def test_nor_does_what_an_operator_made(proxy: Proxy) -> None:
    wrong = {}
    with proxy.connect("acme_app") as client:
        for text in USED:
            there, absent = (
                answers(client, (text.format(schema),), f"{schema}.orders", schema) for schema in ("globex", "nobody")
            )
            if is_told(there, absent):
                wrong[text] = (there, absent)
    assert wrong == {}


def test_nor_a_value_that_is_bound(proxy: Proxy) -> None:
    wrong = {}
    for text, value in BOUND:
        found = []
        for schema in ("globex", "nobody"):
            with proxy.connect("acme_app") as client:
                exchange = client.extended(text, [value.format(schema).encode()])
                found.append(told(observe(exchange, ordered=True), schema))
        if is_told(*found):
            wrong[text] = found
    assert wrong == {}


def test_a_type_that_is_only_called_alike_is_like_any_other(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        for text in (
            "CREATE TYPE region AS ENUM ('north', 'south')",
            "CREATE DOMAIN registration AS text",
            "CREATE TABLE kept (a region, b region[], c registration DEFAULT 'globex.x'::registration, d int)",
            "INSERT INTO kept VALUES ('north', '{south}', 'a.b', 1)",
            "CREATE TABLE copied AS SELECT 'north'::region AS a",
            "CREATE FUNCTION f(a region) RETURNS registration LANGUAGE sql AS $$ SELECT 'x.y'::registration $$",
            "SELECT f(kept.a), n FROM kept, held",
        ):
            assert client.simple(text).errors == [], text
        client.simple("ROLLBACK")
