"""Which statements a tenant may send about its own schema, and which of their parts lead out of it."""

from __future__ import annotations

import pytest

from proxy.sql.classify import HANDLERS, QUERIES
from proxy.sql.forbidden import FORBIDDEN
from proxy.sql.schema.definitions import DEFINITIONS, is_definition
from proxy.sql.verify.definitions import STATEMENTS
from tests.kit.schemas import Beside
from tests.sql.worlds import one_statement


def test_every_kind_is_one_that_row_mode_knows_of_and_that_the_verifier_lets_through() -> None:
    assert DEFINITIONS.keys() <= FORBIDDEN.keys() | HANDLERS.keys() | QUERIES.keys()
    assert DEFINITIONS.keys() <= STATEMENTS


@pytest.mark.parametrize("text", ["SELECT 1 INTO t", "SELECT 1 INTO t UNION SELECT 2", "CREATE TABLE t ()"])
def test_select_into_is_a_definition(beside: Beside, text: str) -> None:
    assert is_definition(one_statement(beside.world, text).tree)


@pytest.mark.parametrize(
    ("text", "sqlstate"),
    [
        ("CREATE TABLE t (a int) TABLESPACE fast", "0A000"),
        ("CREATE INDEX ON orders (id) TABLESPACE fast", "0A000"),
        ("ALTER TABLE orders SET TABLESPACE fast", "0A000"),
        ("ALTER TABLE orders OWNER TO postgres", "42704"),
        ("ALTER TABLE orders OWNER TO nobody", "42704"),
        ("CREATE POLICY p ON orders TO globex_rw", "42704"),
        ("ALTER TABLE orders SET SCHEMA globex", "3F000"),
        ("COMMENT ON DATABASE beside IS 'x'", "0A000"),
        ("COMMENT ON SCHEMA acme IS 'x'", "0A000"),
        ("DROP SCHEMA acme", "0A000"),
        ("DROP EXTENSION plpgsql", "0A000"),
        ("VACUUM", "42501"),
        ("CLUSTER", "42501"),
        ("REINDEX DATABASE beside", "42501"),
        ("REINDEX SCHEMA acme", "42501"),
        ("CREATE RULE r AS ON INSERT TO orders DO ALSO NOTIFY x", "0A000"),
        ("CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)", "42501"),
        ("CREATE CAST (addr AS text) WITH INOUT", "42501"),
        ("CREATE SCHEMA other", "42501"),
        ("CREATE EXTENSION hstore", "42501"),
        ("ALTER ROLE acme_rw PASSWORD 'x'", "42501"),
        ("GRANT SELECT ON orders TO globex_rw", "42501"),
        ("DROP OWNED BY acme_rw", "42501"),
    ],
)
def test_what_leads_out_of_the_schema_is_refused(beside: Beside, text: str, sqlstate: str) -> None:
    assert beside.refused(text)[0] == sqlstate


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE orders OWNER TO acme_rw",
        "ALTER TABLE orders OWNER TO CURRENT_USER",
        "CREATE TABLE t (a int) TABLESPACE pg_default",
        "ALTER TABLE orders SET SCHEMA acme",
        "VACUUM orders",
        "ANALYZE acme.orders (id)",
        "ALTER TYPE order_status RENAME TO status",
        "REINDEX TABLE orders",
    ],
)
def test_what_stays_there_is_sent_as_it_came(beside: Beside, text: str) -> None:
    assert beside.sent(text) == text


@pytest.mark.parametrize("text", ["CREATE TABLE t ()", "DROP TABLE orders", "TRUNCATE orders", "SELECT 1 INTO t"])
def test_a_login_that_only_reads_defines_nothing(reading: Beside, text: str) -> None:
    assert reading.refused(text)[0] == "25006"
