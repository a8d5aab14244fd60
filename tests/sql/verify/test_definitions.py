"""The verifier's own look at a definition, without the planner before it."""

from __future__ import annotations

import pytest

from proxy.errors import FeatureNotSupported
from proxy.sql.verify.definitions import verify_definition
from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE globex.t ()",
        "CREATE TABLE t (a globex.order_status)",
        "CREATE TABLE t (a int REFERENCES globex.tenants)",
        "CREATE VIEW v AS SELECT * FROM globex.orders",
        "CREATE VIEW v AS SELECT * FROM pg_class",
        "CREATE VIEW v AS SELECT * FROM pg_catalog.pg_class",
        "CREATE VIEW v AS SELECT globex.f(1)",
        "CREATE VIEW v AS SELECT query_to_xml('x', true, true, '')",
        "CREATE VIEW v AS SELECT globex.orders.id FROM orders",
        "CREATE VIEW v AS SELECT 'globex.orders'::regclass",
        "CREATE TABLE other.acme.t ()",
        "ALTER TABLE orders SET SCHEMA globex",
        "ALTER TABLE orders OWNER TO globex_rw",
        "ALTER SEQUENCE accounts_id_seq OWNED BY globex.accounts.id",
        "COMMENT ON DATABASE beside IS 'x'",
        "COMMENT ON COLUMN globex.orders.id IS 'x'",
        "DROP SCHEMA acme",
        "DROP TYPE globex.order_status",
        "CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq)",
        "CREATE CAST (addr AS text) WITH INOUT",
        "CREATE EXTENSION hstore",
        "CREATE RULE r AS ON INSERT TO orders DO ALSO NOTIFY x",
        "CREATE FUNCTION globex.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP TABLE orders; DROP TABLE users",
    ],
)
def test_what_leads_out_of_the_schema_is_not_proved(beside: Beside, text: str) -> None:
    with pytest.raises(FeatureNotSupported, match="cannot be confined"):
        verify_definition(text.encode(), beside.context, beside.catalog)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE acme.t (a acme.order_status, b int, FOREIGN KEY (a, b) REFERENCES users (email, id))",
        "COMMENT ON COLUMN acme.orders.id IS 'x'",
        "ALTER SEQUENCE acme.accounts_id_seq OWNED BY acme.accounts.id",
        "CREATE VIEW v AS SELECT * FROM reference.countries, made_just_now",
        "CREATE TRIGGER t BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION acme.log_change('a', 'b')",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DO $$ BEGIN END $$",
    ],
)
def test_what_stays_in_the_schema_is_proved(beside: Beside, text: str) -> None:
    verify_definition(text.encode(), beside.context, beside.catalog)
