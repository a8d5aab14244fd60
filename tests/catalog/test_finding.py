"""A name in a remedy is one that SQL reads."""

from __future__ import annotations

from proxy.catalog.finding import identifier


def test_names_are_quoted() -> None:
    assert identifier('a"b') == '"a""b"'
