"""A refusal is a plan whose position counts the client's characters."""

from __future__ import annotations

from proxy.errors import SyntaxRefused
from proxy.sql.plan import StatementKind
from proxy.sql.rejection import rejected


def test_bytes_become_characters_and_reasons_are_for_the_audit() -> None:
    found = rejected(StatementKind.SELECT, SyntaxRefused("no", location=3), "ä x".encode(), ("why",))
    assert (found.sqlstate, found.position, found.rules) == ("42601", 3, ("refuse.SyntaxRefused", "why"))


def test_a_position_that_is_known_stays() -> None:
    assert rejected(StatementKind.SELECT, SyntaxRefused("no", position=7), b"x").position == 7
    assert rejected(StatementKind.SELECT, SyntaxRefused("no"), b"x").position is None
