"""A statement is known to a server connection by what it is sent as, never by a client's name for it."""

from __future__ import annotations

from proxy.session.statements import Portal, Statement, read_by
from proxy.sql.plan import Answer, AnswerKind, StatementKind

PLAN = Answer(StatementKind.EMPTY, AnswerKind.EMPTY)


def test_two_statements_share_a_preparation_only_with_equal_text_and_types() -> None:
    one = Statement(b"SELECT 1", (), PLAN, b"sent", 1)
    assert one.key == Statement(b"select 1", (), PLAN, b"sent", 2).key
    assert one.key != Statement(b"SELECT 1", (23,), PLAN, b"sent", 1).key
    assert one.key != Statement(b"SELECT 1", (), PLAN, b"sent for another tenant", 1).key


def test_a_portal_runs_the_statement_it_was_bound_to() -> None:
    statement = Statement(b"SELECT 1", (), PLAN, b"sent", 1)
    assert Portal(statement).statement is statement


def test_a_text_that_is_read_by_other_settings_or_of_another_schema_is_another_statement() -> None:
    def key(settings: dict[str, str], version: int) -> object:
        return Statement(b"SELECT 1", (), PLAN, b"sent", 1, about=read_by(settings, version)).key

    assert key({}, 1) != key({}, 2)
    assert key({"timezone": "'UTC'"}, 1) != key({"timezone": "'Asia/Tokyo'"}, 1)
    assert key({"application_name": "'a'"}, 1) == key({"application_name": "'b'"}, 1)
