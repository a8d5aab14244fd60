"""A due reply is one kind of thing with the fields of its kind, and the client's unless said otherwise."""

from __future__ import annotations

from collections import deque

import pytest

from proxy.session.due import BIND, PARSE, QUERY, SUPPLY, SYNC, Due, Kind, undecided, unsettled


def test_what_is_due_is_the_clients_unless_said_otherwise() -> None:
    due = Due(QUERY)
    assert due.forward
    assert due.started
    assert (due.index, due.plans, due.refusal, due.key, due.name) == (0, (), None, None, None)
    assert not Due(QUERY, False).forward


def test_an_own_reply_waits_with_its_bytes() -> None:
    assert Due(SUPPLY, reply=b"C").reply == b"C"


def test_kinds_are_told_apart_by_identity() -> None:
    assert len(set(Kind)) == 10
    assert Kind(0) is QUERY


def test_a_misspelt_field_is_an_error_and_not_a_new_one() -> None:
    with pytest.raises(AttributeError):
        Due(QUERY).relpy = b""  # type: ignore[attr-defined]  # the point of the test


def parsing(name: bytes) -> Due:
    due = Due(PARSE)
    due.name = name
    return due


def test_a_name_is_open_while_an_error_before_a_sync_may_still_take_it_back() -> None:
    closing = Due(SUPPLY, reply=b"3")
    closing.names = [(0, b"b", None)]
    assert not unsettled(deque([parsing(b"a"), Due(BIND)]))  # what comes now is skipped with it
    behind = deque([parsing(b"a"), Due(SYNC), closing, Due(QUERY)])
    assert [unsettled(behind, one) for one in (None, b"a", b"b", b"c")] == [True, True, True, False]
    assert not unsettled(deque([Due(SYNC), parsing(b"a")]))


def test_whether_a_transaction_will_be_aborted_is_open_until_its_last_ready() -> None:
    assert undecided(deque([Due(BIND), Due(SYNC)]))
    assert undecided(deque([Due(QUERY)]))
    assert not undecided(deque([Due(BIND), Due(SUPPLY)]))


def test_what_a_name_stands_for_is_settled_by_the_pipeline_that_uses_it() -> None:
    assert not unsettled(deque([parsing(b"a"), Due(SYNC), parsing(b"a"), Due(BIND)]), b"a")
    assert unsettled(deque([parsing(b"a"), Due(SYNC), parsing(b"b"), Due(BIND)]), b"a")


def test_a_parse_of_ours_opens_what_the_unnamed_statement_is() -> None:
    ours, named = Due(PARSE, False), Due(PARSE, False)
    named.key = (b"SELECT 1", (), ())
    assert unsettled(deque([ours, Due(SYNC)]), b"")
    assert not unsettled(deque([ours, Due(SYNC)]))  # the client's names keep their meaning
    assert not unsettled(deque([named, Due(SYNC)]), b"")
