"""A due reply is one kind of thing with the fields of its kind, and the client's unless said otherwise."""

from __future__ import annotations

import pytest

from proxy.session.due import QUERY, SUPPLY, Due, Kind


def test_what_is_due_is_the_clients_unless_said_otherwise() -> None:
    due = Due(QUERY)
    assert due.forward
    assert due.started
    assert (due.index, due.plans, due.refusal, due.key, due.name) == (0, (), None, None, None)
    assert not Due(QUERY, False).forward


def test_an_own_reply_waits_with_its_bytes() -> None:
    assert Due(SUPPLY, reply=b"C").reply == b"C"


def test_kinds_are_told_apart_by_identity() -> None:
    assert len(set(Kind)) == 9
    assert Kind(0) is QUERY


def test_a_misspelt_field_is_an_error_and_not_a_new_one() -> None:
    with pytest.raises(AttributeError):
        Due(QUERY).relpy = b""  # type: ignore[attr-defined]  # the point of the test
