"""The same value has the same pseudonym, two values have two, and each is of the value's type and size."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.backup.pseudonyms import Pseudonyms

KEY = b"a key of sixteen and more"
OURS, AGAIN = Pseudonyms(KEY, "acme"), Pseudonyms(KEY, "acme")
THEIRS, OTHER = Pseudonyms(KEY, "globex"), Pseudonyms(b"x" * 16, "acme")
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9)


@given(st.text())
def test_a_text_is_the_same_everywhere_but_for_another_key_or_tenant(value: str) -> None:
    assert OURS.text(value) == AGAIN.text(value)
    assert len({OURS.text(value), THEIRS.text(value), OTHER.text(value)}) == 3
    assert len(OURS.text(value)) == 32
    assert OURS.text(value, 5) == OURS.text(value)[:5]
    assert UUID(OURS.uuid(value)).version == 4
    assert OURS.binary(value).startswith(r"\x")
    assert len(OURS.binary(value)) == 34


def test_the_key_is_stretched_so_that_a_phrase_is_not_tried_out_quickly() -> None:
    """By scrypt of RFC 7914, with 32 MiB for each try; the salt has the tenant."""
    found = hashlib.scrypt(KEY, salt=b"partywall mask acme", n=1 << 15, r=8, p=3, maxmem=64 << 20, dklen=64)
    assert OURS.digest("x") == hashlib.blake2b(b"x", key=found, digest_size=32, person=b"value").digest()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 10), (10, 100), (100, 1000), (-5, 12), (1000, 1025)])
def test_a_range_is_permuted(low: int, high: int) -> None:
    assert {OURS.permuted(one, low, high) for one in range(low, high)} == set(range(low, high))


@given(NUMBERS, NUMBERS)
def test_a_number_keeps_its_digits_and_sign_and_equal_ones_stay_equal(one: Decimal, other: Decimal) -> None:
    masked = OURS.number(str(one))
    assert Decimal(masked).adjusted() == one.normalize().adjusted() or not one
    assert (Decimal(masked) < 0) == (one < 0)
    assert len(masked.partition(".")[2]) == len(str(one).partition(".")[2])
    assert (Decimal(OURS.number(str(other))) == Decimal(masked)) == (one == other)
    assert Decimal(OURS.number(str(one) + "00")) == Decimal(masked)


def test_integers_stay_in_their_type_and_are_permuted() -> None:
    for value, below in (
        ("32767", 1 << 15),
        ("-32768", 1 << 15),
        ("2147483647", 1 << 31),
        ("-9223372036854775808", 1 << 63),
    ):
        masked = int(OURS.number(value, below))
        assert -below <= masked < below
        assert len(str(masked)) == len(value)
    several = [str(one) for one in range(-300, 300)]
    assert len({OURS.number(one, 1 << 15) for one in several}) == len(several)
    assert sum(OURS.number(one, 1 << 15) == one for one in several) < 60


def test_what_is_no_number_of_digits_stays_and_what_has_too_many_is_an_error() -> None:
    for value in ("0", "0.00", "-0", "NaN", "Infinity", "-Infinity"):
        assert OURS.number(value) == value
    assert OURS.number("1.5e+20").endswith("e+20")
    assert len(OURS.number("7" * 300)) == 300
    with pytest.raises(ValueError, match="more than 300 digits"):
        OURS.number("7" * 301)


@given(st.dates())
def test_a_day_is_another_of_its_year(day: date) -> None:
    masked = date.fromisoformat(OURS.date(day.isoformat()))
    assert masked.year == day.year


def test_the_days_of_a_year_are_permuted() -> None:
    days = [date.fromordinal(date(2024, 1, 1).toordinal() + one).isoformat() for one in range(366)]
    assert sorted(OURS.date(one) for one in days) == days


@given(st.datetimes(), st.sampled_from(["", "+00"]), st.integers(0, 6))
def test_a_moment_is_another_of_its_year_with_as_many_digits(at: datetime, zone: str, precision: int) -> None:
    at = at.replace(microsecond=at.microsecond // 10 ** (6 - precision) * 10 ** (6 - precision))
    masked = OURS.moment(at.isoformat(" ") + zone, precision)
    assert masked.endswith(zone)
    found = datetime.fromisoformat(masked.removesuffix("+00"))
    assert found.year == at.year
    assert found.microsecond % 10 ** (6 - precision) == 0


@pytest.mark.parametrize("mask", [OURS.date, OURS.moment])
def test_infinity_stays_and_years_that_python_does_not_count_are_an_error(mask: Callable[[str], str]) -> None:
    assert (mask("infinity"), mask("-infinity")) == ("infinity", "-infinity")
    for value in ("0044-03-15 BC", "10000-01-01"):
        with pytest.raises(ValueError, match="nvalid"):
            mask(value)
