"""The label before an application_name: ASCII, bounded, and never to be left by what stands behind it."""

from __future__ import annotations

import pytest

from proxy.session.label import LONGEST, LONGEST_LABEL, cleaned, cut, label_of, labelled, unlabelled


@pytest.mark.parametrize("tenant", ["acme", "größe", "x" * 80, "a\nb"])
def test_a_label_is_printable_and_leaves_room(tenant: str) -> None:
    label = label_of(tenant, "login")
    assert label.endswith("/")
    assert label.isascii()
    assert label.isprintable()
    assert len(label) <= LONGEST_LABEL + 1 < LONGEST


@pytest.mark.parametrize(
    ("value", "set_to"),
    [
        ("'app'", "'a/b/app'"),
        ("'o''clock'", "'a/b/o''clock'"),
        ("''", "'a/b/'"),
        ("42", "'a/b/42'"),
        ("'a', 'b'", "'a', 'b'"),
        ("'" + "x" * 80 + "'", "'a/b/" + "x" * 59 + "'"),
        ("'" + "ä" * 80 + "'", "'a/b/" + "ä" * 29 + "'"),
    ],
)
def test_a_value_gets_the_label_within_its_quotes(value: str, set_to: str) -> None:
    assert labelled(value, "a/b/") == set_to
    assert labelled(value, "") == value


def test_a_name_is_shown_as_the_server_would_show_it() -> None:
    assert cut("ä" * 40) == "ä" * 31
    assert [cleaned("aä\n", version) for version in ("15.8", "16.1 (Debian)", "18beta1")] == [
        "a???",
        "a\\xc3\\xa4\\x0a",
        "a\\xc3\\xa4\\x0a",
    ]


def test_a_label_is_taken_off_as_it_was_put_on() -> None:
    for value in ("'till'", "'o''clock'", "''", "'acme/alice/'"):
        assert unlabelled(labelled(value, "acme/alice/"), "acme/alice/") == value
    assert unlabelled("'till'", "acme/alice/") == "'till'"  # it was never put on
    assert unlabelled("5", "acme/alice/") == "5"
    assert unlabelled("'acme/alice/till'", "") == "'acme/alice/till'"
