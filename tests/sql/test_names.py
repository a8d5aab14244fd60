"""A name in a text is split as PostgreSQL's regclass input splits it."""

from __future__ import annotations

import pytest

from proxy.sql.names import split_name


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("orders", (None, "orders")),
        ("Public.ORDERS", ("public", "orders")),
        ('"Order Details"', (None, "Order Details")),
        ('public."a.b"', ("public", "a.b")),
        ('"a""b"', (None, 'a"b')),
        ("db.public.orders", ("public", "orders")),
        ("", (None, "")),
    ],
)
def test_quoted_parts_are_kept_and_others_folded(text: str, parts: tuple[str | None, str]) -> None:
    assert split_name(text) == parts
