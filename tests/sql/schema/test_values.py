"""In a body nothing is, or gives, a value that the server would look up as a name."""

from __future__ import annotations

import pytest

from tests.kit.schemas import Beside

BLOCK = "DO $f$ DECLARE r record; x text; n int; BEGIN {}; END $f$"


@pytest.mark.parametrize(
    "statement",
    [
        "PERFORM x::regclass",
        "PERFORM ('globex' || '.orders')::regclass",
        "PERFORM CAST(x AS regtype)",
        "PERFORM ARRAY[x]::regclass[]",
        "PERFORM x::text::regclass",
        "PERFORM n::regclass",
        "SELECT 'orders'::regclass AS c INTO r",
        "FOR r IN SELECT 'orders'::regclass AS c LOOP r.c := x; END LOOP",
        "SELECT pg_typeof(1) AS c INTO r",
        "SELECT array_agg('orders'::regclass) AS c INTO r",
        "SELECT ARRAY['orders'::regclass] AS c INTO r",
        "SELECT coalesce('orders'::regclass, NULL) AS c INTO r",
        "SELECT '{orders}'::regclass[] AS c INTO r",
        "SELECT to_regclass('orders') AS c INTO r",
        "PERFORM to_regclass(x)",
        "PERFORM to_regtype(x)",
        "PERFORM regclass(x)",
        "PERFORM nextval(x)",
        "PERFORM to_tsvector(x, 'a')",
        "PERFORM to_tsvector(x::regconfig, 'a')",
        "PERFORM ts_parse(x, 'a')",
        "PERFORM has_table_privilege(x, 'SELECT')",
        "PERFORM has_schema_privilege(x, 'USAGE')",
        "PERFORM pg_get_viewdef(n)",
        "PERFORM pg_get_viewdef(x)",
        "PERFORM pg_get_functiondef(n)",
        "PERFORM pg_get_userbyid(n)",
        "PERFORM pg_get_serial_sequence(x, 'id')",
        "PERFORM obj_description(n, x)",
        "PERFORM format_type(n, NULL)",
        "PERFORM pg_relation_size(x)",
        "PERFORM pg_relation_size(n)",
        "PERFORM row_security_active(x)",
        "PERFORM x::aclitem",
        "PERFORM * FROM pg_of_a_newer_server",
        "PERFORM pg_of_a_newer_server()",
        "PERFORM current_setting(x)",
        "PERFORM * FROM json_to_record(x::json) AS t(a regclass)",
        "PERFORM * FROM XMLTABLE('/a' PASSING (x::xml) COLUMNS a regclass PATH '.')",
        "PERFORM json_populate_record(NULL::pg_class, x::json)",
        "PERFORM (NULL::pg_catalog.pg_type).typinput",
        "CREATE TABLE t (a regclass)",
        "CREATE DOMAIN d AS regclass",
        "CREATE TYPE t AS (a regclass)",
        "CREATE TABLE t AS SELECT 'orders'::regclass AS a",
        "CREATE VIEW v AS SELECT pg_typeof(1) AS a",
    ],
)
def test_what_could_be_looked_up_is_refused(beside: Beside, statement: str) -> None:
    assert beside.refused(BLOCK.format(statement))[0] in ("0A000", "42501", "42883", "42P01")


@pytest.mark.parametrize(
    "statement",
    [
        "PERFORM 'orders'::regclass::text",
        "PERFORM 'acme.orders'::regclass::oid",
        "PERFORM 1 WHERE TG_RELID = 'orders'::regclass",
        "x := pg_typeof(n)::text",
        "PERFORM nextval('accounts_id_seq'::regclass)",
        "PERFORM ts_headline('english', x, to_tsquery('pg_catalog.english', 'a'))",
        "PERFORM to_tsvector(x)",
        "PERFORM json_populate_record(NULL::acme.addr, x::json)",
        "PERFORM region(x)",
        "PERFORM acme.pg_of_mine() FROM acme.pg_of_mine",
        "PERFORM 'a'::order_status",
    ],
)
def test_a_constant_that_is_used_at_once_is_not(beside: Beside, statement: str) -> None:
    text = BLOCK.format(statement)
    assert beside.sent(text) == text
