"""How values are written: names as in SQL but for case, durations as in postgresql.conf."""

from __future__ import annotations

import pytest

from proxy.tenancy.models import Tenant, document
from proxy.tenancy.values import canonical, function_name, qualified_name
from tests.tenancy.test_models import TENANT, mistakes


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("orders", ("public", "orders")), ("sales.orders", ("sales", "orders")),
        ('"Order Details"', ("public", "Order Details")),
        ('s."a.b"', ("s", "a.b")), ('"a""b"', ("public", 'a"b')),
    ],
)  # fmt: skip
def test_a_name_is_read_as_sql_reads_it_but_for_case(text: str, name: tuple[str, str]) -> None:
    assert qualified_name(text) == name


@pytest.mark.parametrize("text", ["", "a.b.c", "a.", ".a", '"open', "a b()", 'a"b"'])
def test_what_is_no_name_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="not the name"):
        qualified_name(text)


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (7, "7"),
        ("+07", "7"),
        (" -7", "-7"),
        ("Acme", "Acme"),
        ("{A0EEBC99-9C0B4EF8BB6D-6BB9BD380A11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    ],
)
def test_what_a_column_takes_for_the_same_value_has_one_spelling(value: str | int, spelt: str) -> None:
    assert canonical(value) == spelt


def test_a_function_is_named_with_or_without_its_arguments() -> None:
    assert function_name("f") == ("public", "f", None)
    assert function_name("s.f()") == ("s", "f", ())
    assert function_name("f(integer, timestamp with time zone)") == (
        "public",
        "f",
        ("integer", "timestamp with time zone"),
    )
    with pytest.raises(ValueError, match="signature"):
        function_name("f(integer")


@pytest.mark.parametrize(
    ("value", "seconds"), [("30s", 30.0), ("500ms", 0.5), ("5min", 300.0), ("1.5h", 5400.0), (7.0, 7.0), ("2", 2.0)]
)
def test_durations_have_the_units_of_postgresql(value: object, seconds: float) -> None:
    tenant = document("tenant", TENANT | {"quotas": {"statement_timeout": value}})
    assert isinstance(tenant, Tenant)
    assert tenant.quotas.statement_timeout == seconds


@pytest.mark.parametrize("value", ["soon", "-1s", "0", "1 year", True])
def test_what_is_no_duration_is_a_mistake(value: object) -> None:
    assert mistakes("tenant", TENANT | {"quotas": {"statement_timeout": value}})
