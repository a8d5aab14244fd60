"""SASLprep: the examples of RFC 4013, and PostgreSQL's fall-back to the bytes as they are."""

from __future__ import annotations

import pytest

from proxy.auth.saslprep import saslprep


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("I\u00adX", "IX"),  # RFC 4013, section 3: a soft hyphen is mapped to nothing
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("a\u00a0b", "a b"),
        ("große", "große"),
        ("\u0627\u0628", "\u0627\u0628"),
    ],
)
def test_examples_are_prepared_as_the_rfc_says(given: str, prepared: str) -> None:
    assert saslprep(given.encode()) == prepared.encode()


@pytest.mark.parametrize(
    "given",
    [
        b"\x07",  # ASCII is not looked at
        b"\xff\xfe",  # not UTF-8
        "\u06271".encode(),  # right to left must be at both ends
        "\u0627a\u0628".encode(),  # directions mixed
        "é\u0007".encode(),  # prohibited
        "\u0221".encode(),  # unassigned in Unicode 3.2
        "\u00ad".encode(),  # nothing left
        b"",
    ],
)
def test_what_cannot_be_prepared_stays_as_it_is(given: bytes) -> None:
    assert saslprep(given) == given
