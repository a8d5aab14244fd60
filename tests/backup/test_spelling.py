"""A key that is written in another way than the server prints it is the same key, and no other is."""

from __future__ import annotations

import pytest

from proxy.backup.spelling import fits, spelt
from tests.kit.postgres import Cluster

UUID = "0a0b0c0d-0000-4000-8000-00000000000f"
SAME = [
    ("007", "integer"),
    (" +7 ", "smallint"),
    ("-0", "bigint"),
    ("-9223372036854775808", "bigint"),
    (UUID.upper(), "uuid"),
    ("{" + UUID.replace("-", "") + "}", "uuid"),
    ("ab", "character(5)"),
    ("007", "text"),
    ("Ab ", "text"),
]


@pytest.mark.parametrize(("key", "kind"), SAME)
def test_it_is_spelt_as_the_server_prints_it(postgres18: Cluster, key: str, kind: str) -> None:
    printed = postgres18.psql("postgres", f"COPY (SELECT '{key}'::{kind}) TO STDOUT").removesuffix("\n")
    assert spelt(key, kind) == spelt(printed, kind)
    assert spelt(printed, kind) == (printed.rstrip(" ") if kind == "character(5)" else printed)


def test_numbers_with_a_base_are_read_as_later_servers_read_them(postgres18: Cluster) -> None:
    for key in ("0x1F", "-0b11", "0o17", "1_000"):
        assert postgres18.psql("postgres", f"SELECT '{key}'::int").strip() == spelt(key, "integer")


def test_other_keys_are_spelt_otherwise() -> None:
    assert spelt("7", "integer") != spelt("70", "integer")
    assert spelt("007", "text") != spelt("7", "text")
    assert spelt("7 ", "character varying(3)") != spelt("7", "character varying(3)")
    assert spelt("ab", "uuid") == "ab"


def test_what_is_no_value_of_the_type_does_not_fit() -> None:
    assert all(fits(one, "int2") for one in ("32767", "-32768"))
    assert not any(fits(one, "int2") for one in ("32768", "-32769", "x"))
    assert [fits(one, "uuid") for one in (UUID, "x")] == [True, False]
    assert fits("x", "text")
