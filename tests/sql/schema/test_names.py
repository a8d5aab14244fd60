"""Every name of a definition that says its schema says one that the tenant sees."""

from __future__ import annotations

import pytest

from tests.kit.schemas import Beside


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE acme.t (a acme.order_status, b int4, c pg_catalog.text REFERENCES users (email))",
        "CREATE TABLE t (LIKE reference.countries)",
        "ALTER SEQUENCE acme.accounts_id_seq OWNED BY acme.accounts.id",
        "ALTER SEQUENCE accounts_id_seq OWNED BY accounts.id",
        "ALTER SEQUENCE accounts_id_seq OWNED BY NONE",
        "COMMENT ON COLUMN acme.orders.id IS 'x'",
        "COMMENT ON COLUMN orders.id IS 'globex.x'",
        "COMMENT ON CONSTRAINT c ON DOMAIN acme.posint IS 'x'",
        "COMMENT ON TABLE beside.acme.orders IS 'x'",
        "DROP TRIGGER t ON acme.orders",
        "DROP TYPE acme.order_status, addr",
        "ALTER TYPE acme.order_status ADD VALUE 'globex.x'",
        'CREATE INDEX ON orders (note COLLATE pg_catalog."C" pg_catalog.text_ops)',
        "CREATE STATISTICS acme.s (ndistinct, dependencies) ON id, note FROM orders",
        "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION acme.log_change('globex', 'x')",
        "CREATE VIEW v AS WITH a AS (SELECT 1 AS b) SELECT a.b, reference.countries.name FROM a, reference.countries",
        "CREATE TABLE made_just_now_too AS SELECT * FROM made_just_now",
    ],
)
def test_names_of_the_own_world_pass(beside: Beside, text: str) -> None:
    assert beside.sent(text) == text


@pytest.mark.parametrize(
    ("text", "sqlstate", "message"),
    [
        ("CREATE TABLE globex.t ()", "3F000", 'schema "globex" does not exist'),
        ("CREATE TABLE nobody.t ()", "3F000", 'schema "nobody" does not exist'),
        ("CREATE VIEW v AS SELECT * FROM globex.orders", "42P01", 'relation "globex.orders" does not exist'),
        ("CREATE TABLE other.acme.t ()", "0A000", 'cross-database references are not implemented: "other.acme.t"'),
        ("CREATE VIEW v AS SELECT * FROM pg_class", "0A000", 'relation "pg_class" is not supported here'),
        ("CREATE VIEW v AS TABLE information_schema.tables", "0A000",
         'relation "tables" is not supported here'),
        ("DROP TYPE globex.order_status", "3F000", 'schema "globex" does not exist'),
        ("ALTER SEQUENCE accounts_id_seq OWNED BY globex.accounts.id", "3F000", 'schema "globex" does not exist'),
    ],
)  # fmt: skip
def test_names_of_others_are_answered_as_absent(beside: Beside, text: str, sqlstate: str, message: str) -> None:
    assert beside.refused(text) == (sqlstate, message)
