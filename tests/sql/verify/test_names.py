"""Values that become names, in a text that is to be sent."""

from __future__ import annotations

import pytest

from proxy.sql.verify.levels import Unproven
from proxy.sql.verify.names import check_rows, check_types, check_values
from proxy.sql.verify.relations import Relations
from tests.kit.postgres import Cluster
from tests.kit.schemas import Beside, beside_of
from tests.sql.test_naming import with_made
from tests.sql.worlds import one_statement


@pytest.fixture
def beside(server: Cluster) -> Beside:
    return beside_of(server)


def check(beside: Beside, text: str) -> None:
    check_values(one_statement(beside.world, text).tree, Relations(beside.context.policy, beside.catalog))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'globex.orders'::regclass",
        "SELECT 'globex.orders'::text::regclass",
        "SELECT '{\"globex.f\"}'::regproc[]",
        "SELECT '\"globex\".english'::regconfig",
        "SELECT ARRAY[note]::regclass[] FROM orders",
        "SELECT tableoid::regclass FROM v",
    ],
)
def test_one_that_may_name_what_is_hidden_is_not_proved(beside: Beside, text: str) -> None:
    with pytest.raises(Unproven):
        check(beside, text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'acme.orders'::regclass, 'orders'::regclass, $1::regclass, '1.5'::numeric, 'globex.x'::text",
        "SELECT CASE WHEN tableoid = ANY (ARRAY(SELECT 1)) THEN tableoid END::regclass FROM v",
    ],
)
def test_one_that_names_what_is_seen_is_proved(beside: Beside, text: str) -> None:
    check(beside, text)


def relations(beside: Beside) -> Relations:
    return Relations(beside.context.policy, with_made(beside.catalog))


@pytest.mark.parametrize(
    "text",
    [
        "CREATE DOMAIN d AS regconfig",
        "CREATE DOMAIN d AS _regclass",
        "CREATE TABLE t (a pg_catalog.regcollation[])",
        "CREATE TEMP TABLE t (a aclitem)",
        "CREATE TYPE c AS (a dom)",
        "CREATE TABLE t OF comp",
        "CREATE FUNCTION f(a span) RETURNS int LANGUAGE sql AS ''",
        "CREATE FUNCTION f() RETURNS TABLE (a regtype) LANGUAGE sql AS ''",
        "ALTER TABLE t ADD COLUMN a _dom",
        "ALTER TYPE c ADD ATTRIBUTE a regrole",
        "ALTER DOMAIN dom SET DEFAULT 'x'",
        "SELECT 'x'::dom",
        "SELECT $1::acme.comp[]",
        "SELECT * FROM json_to_record('{}') AS t(a regdictionary)",
    ],
)
def test_nothing_is_of_a_type_that_is_made_of_names(beside: Beside, text: str) -> None:
    with pytest.raises(Unproven):
        check_types(one_statement(beside.world, text).tree, relations(beside))


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'orders'::regclass, '{}'::_aclitem, 'x'::region, 'y'::acme.plain",
        "CREATE TABLE t (a region, b int DEFAULT nextval('s'::regclass), c own)",
        "ALTER DOMAIN plain SET DEFAULT 'x'",
    ],
)
def test_one_that_is_only_called_alike_is_proved(beside: Beside, text: str) -> None:
    check_types(one_statement(beside.world, text).tree, relations(beside))


def test_no_rows_come_into_a_table_of_names(beside: Beside) -> None:
    for relation in ({"relname": "comp"}, {"relname": "comp", "schemaname": "acme"}):
        with pytest.raises(Unproven):
            check_rows(relation, relations(beside))
    for relation in ({"relname": "orders"}, {"relname": "nothing", "schemaname": "acme"}):
        check_rows(relation, relations(beside))
