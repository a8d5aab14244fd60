"""Beside the schema of one tenant those of others are as absent as what is not there, wherever a name can stand: in a
statement, in a definition, in a value that becomes a name, in what is bound.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.schemas import load_schemas, schema_rules

ASKING = (
    # queries
    "SELECT * FROM {}.orders",
    "SELECT * FROM beside.{}.orders",
    "TABLE {}.orders",
    "SELECT (SELECT count(*) FROM {}.orders)",
    "WITH a AS (SELECT * FROM {}.orders) SELECT * FROM a",
    "SELECT {}.orders.id FROM orders",
    "INSERT INTO {}.orders (id) VALUES (1)",
    "INSERT INTO orders SELECT * FROM {}.orders",
    "UPDATE {}.orders SET id = 1",
    "UPDATE orders SET id = o.id FROM {}.orders o",
    "DELETE FROM {}.orders",
    "DELETE FROM orders USING {}.orders o",
    "MERGE INTO {}.orders o USING orders s ON o.id = s.id WHEN MATCHED THEN DO NOTHING",
    "COPY {}.orders TO STDOUT",
    "COPY {}.orders FROM STDIN",
    "COPY (SELECT * FROM {}.orders) TO STDOUT",
    "EXPLAIN SELECT * FROM {}.orders",
    "DECLARE c CURSOR FOR SELECT * FROM {}.orders",
    "PREPARE p AS SELECT * FROM {}.orders",
    "SELECT {}.order_total(1)",
    "SELECT * FROM {}.order_total(1)",
    "SELECT 'x'::{}.order_status",
    "SELECT NULL::{}.orders",
    "SELECT NULL::{}.orders[]",
    "SELECT 1 OPERATOR({}.+) 1",
    "SELECT 'x' COLLATE {}.thing",
    "SELECT * FROM json_to_record('{{}}') AS t(a {}.order_status)",
    "SELECT * FROM orders ORDER BY id USING OPERATOR({}.<)",
    "TRUNCATE {}.orders",
    "LOCK TABLE {}.orders",
    "SET CONSTRAINTS {}.orders_pkey DEFERRED",
    "CALL {}.purge_cancelled()",
    # definitions
    "CREATE TABLE {}.t (a int)",
    "CREATE TABLE t (a {}.order_status)",
    "CREATE TABLE t (a int REFERENCES {}.tenants)",
    "CREATE TABLE t (a int DEFAULT {}.order_total(1))",
    "CREATE TABLE t (a int DEFAULT nextval('{}.accounts_id_seq'))",
    "CREATE TABLE t (a int DEFAULT nextval('{}.accounts_id_seq'::regclass))",
    "CREATE TABLE t (LIKE {}.orders)",
    "CREATE TABLE t () INHERITS ({}.assets)",
    "CREATE TABLE t PARTITION OF {}.events DEFAULT",
    "CREATE TABLE t OF {}.addr",
    "CREATE TABLE t AS SELECT * FROM {}.orders",
    "CREATE TEMP TABLE t AS SELECT * FROM {}.orders",
    "SELECT * INTO t FROM {}.orders",
    "CREATE VIEW v AS SELECT * FROM {}.orders",
    "CREATE VIEW {}.v AS SELECT 1",
    "CREATE MATERIALIZED VIEW v AS SELECT * FROM {}.orders",
    "CREATE INDEX ON {}.orders (id)",
    "CREATE INDEX ON orders (id {}.thing)",
    "CREATE INDEX ON orders ((note COLLATE {}.thing))",
    "CREATE INDEX ON orders ({}.order_total(id))",
    "CREATE SEQUENCE {}.s",
    "CREATE SEQUENCE s OWNED BY {}.orders.id",
    "CREATE TYPE {}.t AS ENUM ('a')",
    "CREATE TYPE t AS (a {}.order_status)",
    "CREATE DOMAIN d AS {}.order_status",
    "CREATE DOMAIN {}.d AS int",
    "CREATE TRIGGER t BEFORE INSERT ON {}.orders FOR EACH ROW EXECUTE FUNCTION log_change()",
    "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION {}.log_change()",
    "CREATE POLICY p ON {}.orders",
    "CREATE POLICY p ON orders USING (id IN (SELECT id FROM {}.orders))",
    "CREATE RULE r AS ON INSERT TO orders DO ALSO DELETE FROM {}.orders",
    "CREATE STATISTICS {}.s ON id, note FROM orders",
    "CREATE STATISTICS s ON id, note FROM {}.orders",
    "CREATE SCHEMA {}",
    "CREATE FUNCTION {}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM {}.orders'",
    "DO $$ BEGIN PERFORM * FROM {}.orders; END $$",
    "ALTER TABLE {}.orders ADD COLUMN a int",
    "ALTER TABLE orders ADD COLUMN a {}.order_status",
    "ALTER TABLE orders INHERIT {}.assets",
    "ALTER TABLE events ATTACH PARTITION {}.events_2023 DEFAULT",
    "ALTER TABLE orders ADD FOREIGN KEY (tenant_id) REFERENCES {}.tenants",
    "ALTER TABLE orders SET SCHEMA {}",
    "ALTER TABLE orders ALTER COLUMN note SET DEFAULT {}.slugify('a')",
    "ALTER TABLE orders OWNER TO {}_rw",
    "ALTER SEQUENCE {}.accounts_id_seq RESTART",
    "ALTER SEQUENCE accounts_id_seq OWNED BY {}.accounts.id",
    "ALTER TYPE {}.order_status ADD VALUE 'x'",
    "ALTER DOMAIN {}.posint DROP NOT NULL",
    "ALTER INDEX {}.orders_pkey RENAME TO x",
    "ALTER VIEW {}.open_orders RENAME TO x",
    "ALTER SCHEMA {} RENAME TO x",
    "DROP TABLE {}.orders",
    "DROP TABLE IF EXISTS {}.orders",
    "DROP TABLE orders, {}.orders",
    "DROP VIEW {}.open_orders",
    "DROP INDEX {}.orders_pkey",
    "DROP SEQUENCE {}.accounts_id_seq",
    "DROP TYPE {}.order_status",
    "DROP FUNCTION {}.order_total(int)",
    "DROP FUNCTION order_total({}.order_status)",
    "DROP TRIGGER t ON {}.orders",
    "DROP SCHEMA {}",
    "DROP SCHEMA IF EXISTS {} CASCADE",
    "COMMENT ON TABLE {}.orders IS 'x'",
    "COMMENT ON COLUMN {}.orders.id IS 'x'",
    "COMMENT ON SCHEMA {} IS 'x'",
    "COMMENT ON ROLE {}_rw IS 'x'",
    "REFRESH MATERIALIZED VIEW {}.mv_order_stats",
    "REINDEX TABLE {}.orders",
    "REINDEX SCHEMA {}",
    "VACUUM {}.orders",
    "ANALYZE {}.orders",
    "CLUSTER {}.orders",
    "GRANT SELECT ON orders TO {}_rw",
    "GRANT SELECT ON {}.orders TO acme_rw",
    "GRANT USAGE ON SCHEMA {} TO acme_rw",
    "REASSIGN OWNED BY {}_rw TO acme_rw",
    "DROP OWNED BY {}_rw",
    "ALTER ROLE {}_rw SET search_path = x",
    "SET ROLE {}_rw",
    "SET SESSION AUTHORIZATION {}_rw",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO PUBLIC",
    "CREATE PUBLICATION p FOR TABLES IN SCHEMA {}",
    "IMPORT FOREIGN SCHEMA {} FROM SERVER s INTO acme",
    # values that become names
    "SELECT '{}.orders'::regclass",
    "SELECT '{}.orders'::text::regclass",
    "SELECT '{{\"{}.orders\"}}'::regclass[]",
    "SELECT '{{{}.orders}}'::_regclass",
    "SELECT ARRAY['{}.orders']::regclass[]",
    "SELECT regclass('{}.orders')",
    "SELECT CAST('{}.orders' AS pg_catalog.regclass)",
    "SELECT regclass '{}.orders'",
    "SELECT ('{}' || '.orders')::regclass",
    "SELECT note::regclass FROM (VALUES ('{}.orders')) v(note)",
    "SELECT '{}.log_change'::regproc",
    "SELECT '{}.order_total(int)'::regprocedure",
    "SELECT '{}.+'::regoper",
    "SELECT '{}.+(int,int)'::regoperator",
    "SELECT '{}.order_status'::regtype",
    "SELECT '{}'::regnamespace",
    "SELECT '{}_rw'::regrole",
    "SELECT '{}.english'::regconfig",
    "SELECT ('{}' || '.english')::regconfig",
    "SELECT '{}.simple'::regdictionary",
    "SELECT '{}.C'::regcollation",
    "SELECT to_regclass('{}.orders')",
    "SELECT to_regclass(note) FROM (VALUES ('{}.orders')) v(note)",
    "SELECT to_regproc('{}.log_change')",
    "SELECT to_regtype('{}.order_status')",
    "SELECT to_regnamespace('{}')",
    "SELECT to_regrole('{}_rw')",
    "SELECT to_tsvector('{}.english', 'a')",
    "SELECT to_tsvector('{}.english'::regconfig, 'a')",
    "SELECT to_tsquery('{}.english', 'a')",
    "SELECT ts_headline('{}.english', 'a', 'a')",
    "SELECT ts_lexize('{}.simple', 'a')",
    "SELECT nextval('{}.accounts_id_seq')",
    "SELECT nextval('{}.' || 'accounts_id_seq')",
    "SELECT currval('{}.accounts_id_seq')",
    "SELECT setval('{}.accounts_id_seq', 1)",
    "SELECT pg_relation_size('{}.orders')",
    "SELECT pg_table_size('{}.orders'), pg_total_relation_size('{}.orders')",
    "SELECT has_table_privilege('{}.orders', 'SELECT')",
    "SELECT has_schema_privilege('{}', 'USAGE')",
    "SELECT has_function_privilege('{}.order_total(int)', 'EXECUTE')",
    "SELECT has_sequence_privilege('{}.accounts_id_seq', 'USAGE')",
    "SELECT has_type_privilege('{}.order_status', 'USAGE')",
    "SELECT has_table_privilege('{}_rw', 'orders', 'SELECT')",
    "SELECT pg_has_role('{}_rw', 'USAGE')",
    "SELECT pg_get_serial_sequence('{}.accounts', 'id')",
    "SELECT pg_get_viewdef('{}.open_orders')",
    "SELECT pg_get_viewdef('{}.open_orders'::regclass)",
    "SELECT row_security_active('{}.orders')",
    "SELECT currtid2('{}.orders', '(0,1)')",
    "SELECT pg_get_object_address('table', '{{{},orders}}', '{{}}')",
    "SELECT query_to_xml('SELECT * FROM {}.orders', true, true, '')",
    "SELECT table_to_xml('{}.orders', true, true, '')",
    "SELECT schema_to_xml('{}', true, true, '')",
    "SELECT typname FROM pg_type WHERE typinput = '{}.f'",
    "SELECT typname FROM pg_type WHERE typinput IN ('{}.f', 'textin')",
    "SELECT typname FROM pg_type WHERE typinput = ANY ('{{{}.f}}')",
    "SELECT typinput FROM pg_type UNION SELECT '{}.f'",
    "SELECT coalesce(typinput, '{}.f') FROM pg_type",
    "SELECT CASE WHEN true THEN '{}.f' ELSE typinput END FROM pg_type",
    "SELECT jsonb_populate_record(t, jsonb_build_object('typinput', '{}' || '.f')) FROM pg_type t",
    "SELECT json_populate_record(NULL::pg_catalog.pg_type, '{{}}')",
    "SELECT NULL::pg_catalog._pg_type",
    "CREATE TABLE t OF pg_type",
    "CREATE TABLE t AS SELECT 'orders'::regclass AS r, '{}' AS s",
    "CREATE TEMP TABLE t AS SELECT typinput, '{}' AS s FROM pg_type",
    "SELECT pg_typeof(1) AS r INTO t",
    "CREATE VIEW v AS SELECT pg_typeof(1) AS r, '{}' AS s",
    "SELECT * FROM orders WHERE {}.orders.id = 1",
    "SELECT beside.{}.orders.id FROM orders",
    "SELECT {}.orders.* FROM orders",
    "DELETE FROM orders RETURNING {}.orders.id",
    "CREATE VIEW v AS SELECT {}.orders.id FROM orders",
    "CREATE TABLE t (a regclass DEFAULT '{}.orders')",
    "CREATE TEMP TABLE t (a regclass)",
    "CREATE DOMAIN d AS regclass",
    "CREATE TYPE t AS (a regclass)",
    "CREATE VIEW v AS SELECT '{}.orders'::regclass",
    "CREATE VIEW v AS SELECT * FROM pg_class",
    'SELECT * FROM json_to_record(\'{{"a": "{}.orders"}}\') AS t(a regclass)',
    'SELECT * FROM jsonb_populate_record(NULL::pg_type, \'{{"typinput": "{}.f"}}\')',
    "SELECT * FROM XMLTABLE('/a' PASSING '<a>{}.orders</a>' COLUMNS a regclass PATH '.')",
    "SELECT '{}_rw=r/acme_rw'::aclitem",
    "SELECT ('{}' || '_rw=r/acme_rw')::aclitem",
    "SELECT relname FROM pg_class WHERE relacl = '{{{}_rw=r/acme_rw}}'",
    "SELECT relname FROM pg_class WHERE aclcontains(relacl, '{}_rw=r/acme_rw')",
    "SELECT ts_parse('{}.default', 'a')",
    "SELECT ts_parse('{}' || '.default', 'a')",
    "SELECT ts_token_type('{}.default')",
    "SELECT pg_input_is_valid('{}.orders', 'regclass')",
    "SET default_text_search_config = '{}.english'",
    "SELECT set_config('default_text_search_config', '{}.english', false)",
    "CREATE TRIGGER t BEFORE INSERT ON documents FOR EACH ROW EXECUTE FUNCTION"
    " tsvector_update_trigger('tsv', '{}.english', 'body')",
    "CREATE RULE r AS ON INSERT TO orders DO ALSO NOTIFY {}",
    "EXPLAIN SELECT * FROM pg_class WHERE relname = '{}'",
    "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) SELECT * FROM pg_namespace WHERE nspname = '{}'",
    # what the catalogs say
    "SELECT * FROM pg_namespace WHERE nspname = '{}'",
    "SELECT * FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname = '{}')",
    "SELECT * FROM pg_tables WHERE schemaname = '{}'",
    "SELECT * FROM information_schema.tables WHERE table_schema = '{}'",
    "SELECT * FROM information_schema.schemata WHERE schema_name = '{}'",
    "SELECT * FROM pg_roles WHERE rolname = '{}_rw'",
    "SELECT * FROM pg_stat_user_tables WHERE schemaname = '{}'",
    "SELECT * FROM pg_stats WHERE schemaname = '{}'",
    "SELECT * FROM pg_indexes WHERE schemaname = '{}'",
    "SELECT * FROM pg_stat_activity WHERE usename = '{}_rw'",
    "SELECT count(*) > 9 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation",
    "SELECT * FROM pg_proc WHERE pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname = '{}')",
    # the path
    "SET search_path = {}",
    "SET search_path = {}, acme; SELECT count(*) FROM orders; RESET search_path",
    "SET search_path = {}; SELECT count(*) FROM orders",
    "RESET search_path; SET search_path = {}; CREATE TABLE t (a int)",
    "SET search_path = {}; SELECT current_schema(), current_schemas(true), to_regclass('orders')",
    "SET search_path = {}; SELECT order_total(1)",
    "SET search_path = {}; SELECT 'new'::order_status",
    "SET SCHEMA '{}'",
    "SELECT set_config('search_path', '{}', false)",
)
# OIDs of what stands in the schemas of others, and of their roles.
FOREIGN_NUMBERS = """
WITH n AS (SELECT oid FROM pg_namespace WHERE nspname IN ('globex', 'initech'))
SELECT oid FROM n UNION SELECT oid FROM pg_class WHERE relnamespace IN (SELECT oid FROM n)
UNION SELECT oid FROM pg_type WHERE typnamespace IN (SELECT oid FROM n)
UNION SELECT oid FROM pg_proc WHERE pronamespace IN (SELECT oid FROM n)
UNION SELECT oid FROM pg_constraint WHERE connamespace IN (SELECT oid FROM n)
UNION SELECT oid FROM pg_roles WHERE rolname IN ('globex_rw', 'initech_rw')
"""
# Their columns hold sizes and settings, which may be any number.
NUMBERS_OF_ANYTHING = frozenset(
    {"pg_catalog.pg_settings", "information_schema.sql_sizing", "information_schema.columns"}
)
BOUND = (
    ("SELECT $1::regclass", "{}.orders"),
    ("SELECT $1::text::regclass", "{}.orders"),
    ("SELECT to_regclass($1)", "{}.orders"),
    ("SELECT regclass($1)", "{}.orders"),
    ("SELECT nextval($1)", "{}.accounts_id_seq"),
    ("SELECT to_tsvector($1, 'a')", "{}.english"),
    ("SELECT to_tsvector($1::regconfig, 'a')", "{}.english"),
    ("SELECT typname FROM pg_type WHERE typinput = $1", "{}.f"),
    ("SELECT coalesce(typinput, $1) FROM pg_type", "{}.f"),
    ("SELECT $1::regclass[]", "{{{}.orders}}"),
    ("SELECT $1::regnamespace", "{}"),
    ("SELECT $1::regrole", "{}_rw"),
    ("SELECT has_table_privilege($1, 'SELECT')", "{}.orders"),
    ("SELECT has_schema_privilege($1, 'USAGE')", "{}"),
    ("SELECT pg_relation_size($1)", "{}.orders"),
    ("SELECT nspname FROM pg_namespace WHERE nspname = $1", "{}"),
    ("SELECT relname FROM pg_class WHERE relacl = $1", "{{{}_rw=r/acme_rw}}"),
    ("SELECT $1::aclitem", "{}_rw=r/acme_rw"),
    ("SELECT ts_parse($1, 'a')", "{}.default"),
    ("SELECT set_config('default_text_search_config', $1, false)", "{}.english"),
)


@pytest.fixture(scope="module")
def beside(server: Cluster) -> Cluster:
    return load_schemas(server)


@pytest.fixture(scope="module")
def proxy(beside: Cluster) -> Iterator[Proxy]:
    with running_proxy(beside.port, rules=schema_rules(beside.port, "beside")) as proxy:
        yield proxy


def told(exchange_of: list[Seen], schema: str) -> list[Seen]:
    """What was seen, with the schema's name as that of one that is absent."""
    plain, other = schema.encode(), b"nobody"
    return [
        tuple(
            part.replace(schema, "nobody")
            if isinstance(part, str)
            else part.replace(plain, other)
            if isinstance(part, bytes)
            else part
            for part in one
        )
        for one in exchange_of
    ]


def answers(proxy: Proxy, text: str, schema: str) -> list[Seen]:
    with proxy.connect("acme_app") as client:
        client.simple("BEGIN")
        found = observe(client.simple(text.format(schema, schema)), ordered=True)
        if found[-1][0] == "G":
            found += observe(client.copy_data(b""), ordered=True)
        client.simple("ROLLBACK")
    return told(found, schema)


def test_the_schema_of_another_is_told_from_an_absent_one_by_nothing(proxy: Proxy) -> None:
    wrong = {}
    for text in ASKING:
        there, absent = (answers(proxy, text, schema) for schema in ("globex", "nobody"))
        bug = any("XX000" in one for one in (*there, *absent))
        if there != absent or bug or any(b"globex" in repr(one).encode() for one in there):
            wrong[text] = (there, absent)
    assert wrong == {}


def test_no_row_of_a_catalog_tells_of_another_tenant(beside: Cluster, proxy: Proxy) -> None:
    """By name, and by the number of anything that is in another's schema or is another's role."""
    every = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    every += " WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v')"
    numbers = set(beside.psql("beside", FOREIGN_NUMBERS).split())
    assert len(numbers) > 100
    shown = 0
    wrong = {}
    with proxy.connect("acme_app") as client:
        for relation in beside.psql("beside", every).split():
            rows = client.simple(f"SELECT * FROM {relation}").rows
            shown += bool(rows)
            fields = {field for row in rows for field in row if field is not None}
            told = [field for field in fields if b"globex" in field or b"initech" in field]
            if relation not in NUMBERS_OF_ANYTHING:
                told += [field for field in fields if field.decode() in numbers]
            if told:
                wrong[relation] = sorted(told)[:5]
    assert wrong == {}
    assert shown > 60


def test_nor_where_another_constant_was_planned_before(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        for text in (
            "SELECT typname FROM pg_type WHERE typinput = '{}'",
            "SELECT typname FROM pg_type WHERE typinput IN ('a', 'b', 'c', 'd', 'e', '{}')",
            "SELECT relname FROM pg_class WHERE relacl = '{}'",
            "SELECT to_tsvector('{}', 'a')",
            "SELECT ts_parse('{}', 'a')",
        ):
            for harmless in ("textin", "{}", "english", "default"):
                client.simple(text.format(harmless))
            for name in ("globex.f", "{globex_rw=r/acme_rw}"):
                one, other = (client.simple(text.format(name.replace("globex", of))) for of in ("globex", "nobody"))
                assert [{**error, "M": ""} for error in one.errors] == [{**error, "M": ""} for error in other.errors]
                assert "permission denied" not in repr(one.errors), text


def test_nor_by_a_value_that_is_bound(proxy: Proxy) -> None:
    wrong = {}
    for text, value in BOUND:
        found = []
        for schema in ("globex", "nobody"):
            with proxy.connect("acme_app") as client:
                exchange = client.extended(text, [value.format(schema).encode()])
                found.append(told(observe(exchange, ordered=True), schema))
        if found[0] != found[1]:
            wrong[text] = found
    assert wrong == {}


def test_a_question_to_a_catalog_is_not_explained_by_its_name_either(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        assert client.simple("PREPARE asked AS SELECT relname FROM pg_class; PREPARE own AS SELECT 1").errors == []
        for text in ("EXPLAIN EXECUTE asked", "EXPLAIN (ANALYZE, COSTS OFF) EXECUTE asked"):
            for exchange in (client.simple(text), client.extended(text), client.simple(f"SELECT 1; {text}")):
                assert [one["C"] for one in exchange.errors] == ["0A000"], text
        assert client.simple("EXPLAIN EXECUTE own").errors == []
        assert [one["C"] for one in client.simple("EXPLAIN EXECUTE absent").errors] == ["26000"]
