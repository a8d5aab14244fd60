"""Admission: a value for the tenant column is the key in the server's own form, or 42501 with one text."""

from __future__ import annotations

import struct

import pytest

from proxy.sql.admission import literals_refused, output, parameters_refused
from proxy.sql.oids import BPCHAR, INT2, INT4, INT8, NUMERIC, TEXT, UUID, VARCHAR
from proxy.sql.plan import KeyCheck, LiteralHole

KEYS = {"default": "7", "slug": "o'neil", "uid": "00000000-0000-4000-8000-00000000ABCD"}
UID = "00000000-0000-4000-8000-00000000abcd"
REFUSED = 'new row violates row-level security policy for table "t"'


def literal(raw: bytes, type_: int = INT4, key: str = "default", *, lifted: bool = False) -> str | None:
    """The answer to one literal, lifted or not."""
    value: LiteralHole | bytes = LiteralHole(1, "s") if lifted else raw
    found = literals_refused([KeyCheck("t", key, type_, value)], KEYS, [b"'x'", raw] if lifted else [])
    return None if found is None else found.message


def parameter(
    value: bytes | None, *, type_: int = INT4, key: str = "default", declared: tuple[int, ...] = (), form: int = 0
) -> str | None:
    """The answer to $2 of a Bind."""
    found = parameters_refused([KeyCheck("t", key, type_, 2)], KEYS, declared, [1, form], [b"x", value])
    return None if found is None else found.message


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize(
    ("raw", "type_", "key"),
    [
        (b"7", INT4, "default"), (b"'7'", INT4, "default"), (b"7", INT8, "default"), (b"'o''neil'", TEXT, "slug"),
        (f"'{UID}'".encode(), UUID, "uid"), (b"'o''neil   '", BPCHAR, "slug"),
    ],
)  # fmt: skip
def test_the_own_key_is_admitted_as_a_literal(raw: bytes, type_: int, key: str, lifted: bool) -> None:
    assert literal(raw, type_, key, lifted=lifted) is None


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize(
    ("raw", "type_", "key"),
    [
        (b"8", INT4, "default"), (b"'07'", INT4, "default"), (b"' 7'", INT4, "default"), (b"7.0", INT4, "default"),
        (b"-7", INT4, "default"), (b"''", INT4, "default"), (b"'o''neil '", TEXT, "slug"), (b"'O''NEIL'", TEXT, "slug"),
        (f"'{UID.upper()}'".encode(), UUID, "uid"),
    ],
)  # fmt: skip
def test_any_other_literal_gets_one_answer(raw: bytes, type_: int, key: str, lifted: bool) -> None:
    assert literal(raw, type_, key, lifted=lifted) == REFUSED


@pytest.mark.parametrize(
    ("value", "type_", "key", "declared", "form"),
    [
        (b"7", INT4, "default", (), 0),
        (b"7", INT4, "default", (0, 0), 0),
        (b"7", INT4, "default", (TEXT, INT4), 0),
        (b"7", INT4, "default", (0, INT2), 0),  # psycopg 3 declares 7 as int2
        (struct.pack(">i", 7), INT4, "default", (), 1),
        (struct.pack(">h", 7), INT4, "default", (0, INT2), 1),
        (struct.pack(">q", 7), INT8, "default", (), 1),
        (b"o'neil", TEXT, "slug", (), 0),
        (b"o'neil", TEXT, "slug", (0, VARCHAR), 1),  # JDBC declares strings as varchar
        (UID.encode(), UUID, "uid", (), 0),
        (bytes.fromhex(UID.replace("-", "")), UUID, "uid", (0, UUID), 1),
    ],
)  # fmt: skip
def test_the_own_key_is_admitted_as_a_parameter(
    value: bytes, type_: int, key: str, declared: tuple[int, ...], form: int
) -> None:
    assert parameter(value, type_=type_, key=key, declared=declared, form=form) is None


@pytest.mark.parametrize(
    ("value", "type_", "key", "declared", "form"),
    [
        (None, INT4, "default", (), 0),
        (b"8", INT4, "default", (), 0),
        (b"07", INT4, "default", (), 0),
        (b" 7", INT4, "default", (), 0),
        (b"7", INT4, "default", (0, TEXT), 0),
        (b"7", INT4, "default", (0, NUMERIC), 0),
        (b"7", INT4, "default", (), 1),
        (b"7", INT4, "default", (), 2),
        (struct.pack(">q", 7), INT4, "default", (), 1),
        (struct.pack(">i", 8), INT4, "default", (), 1),
        (b"o'neil ", TEXT, "slug", (), 0),
        (UID.upper().encode(), UUID, "uid", (), 0),
        (UID.encode(), UUID, "uid", (), 1),
        (UID.encode(), UUID, "uid", (0, TEXT), 0),
    ],
)  # fmt: skip
def test_any_other_parameter_gets_one_answer(
    value: bytes | None, type_: int, key: str, declared: tuple[int, ...], form: int
) -> None:
    assert parameter(value, type_=type_, key=key, declared=declared, form=form) == REFUSED


def test_a_parameter_that_was_not_sent_or_whose_format_was_not_is_refused() -> None:
    check = KeyCheck("t", "default", INT4, 3)
    assert parameters_refused([check], KEYS, (), [0], [b"7", b"7"]) is not None
    assert parameters_refused([check], KEYS, (), [0, 0], [b"7", b"7", b"7"]) is not None
    assert parameters_refused([check], KEYS, (), [0], [b"7", b"7", b"7"]) is None
    assert parameters_refused([check], KEYS, (), [], [b"7", b"7", b"7"]) is None


def test_checks_of_literals_and_of_parameters_are_asked_where_each_is_known() -> None:
    of_literal, of_parameter = KeyCheck("t", "default", INT4, b"8"), KeyCheck("t", "default", INT4, 1)
    assert literals_refused([of_parameter], KEYS, []) is None
    assert parameters_refused([of_literal], KEYS, (), [], []) is None


def test_a_key_that_no_value_of_the_type_equals_admits_nothing() -> None:
    keys = {"default": "acme"}
    assert parameters_refused([KeyCheck("t", "default", INT4, 1)], keys, (), [1], [b"acme"]) is not None


def test_an_integer_of_many_digits_is_no_key() -> None:
    for digits in (1001, 5000):
        assert output(INT8, "7" * digits) == b"7" * digits
        assert literal(b"'" + b"0" * digits + b"7'", INT8) == REFUSED
