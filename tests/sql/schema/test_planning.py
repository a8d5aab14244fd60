"""A definition is sent as it came, at its place in the text; what would have to be rewritten is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.sql.plan import UNTRACKED, Forward, StatementKind, Temporary
from tests.kit.schemas import Beside


def test_each_statement_of_a_text_is_sent_by_itself(beside: Beside) -> None:
    first, second, third = beside.plans("CREATE TABLE é (a int) ; SELECT id FROM orders; /* x */ DROP TABLE é")
    assert isinstance(first, Forward)
    assert isinstance(second, Forward)
    assert isinstance(third, Forward)
    assert first.template.pieces == ("CREATE TABLE é (a int) ".encode(),)
    assert second.template.pieces == (b"SELECT id FROM acme.orders",)
    assert third.template.pieces[0].endswith("DROP TABLE é".encode())
    assert (first.begins, second.begins) == (0, None)
    assert first.kind is StatementKind.DDL
    assert first.effects.writes


def test_what_was_made_in_this_transaction_can_be_named(beside: Beside) -> None:
    assert beside.sent("SELECT * FROM made_just_now WHERE a = 1") == "SELECT * FROM made_just_now WHERE a = ?"
    assert beside.sent("SELECT * FROM acme.made_just_now") == "SELECT * FROM acme.made_just_now"
    assert beside.sent("SELECT made_just_now(1)") == "SELECT made_just_now(1)"
    assert beside.sent("SELECT 'a'::made_just_now") == "SELECT 'a'::made_just_now"


def test_a_procedure_keeps_its_connection(beside: Beside) -> None:
    plan = beside.plan("CALL purge_cancelled()")
    assert isinstance(plan, Forward)
    assert plan.effects.pins == UNTRACKED


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (a int DEFAULT pg_backend_pid())",
        "CREATE VIEW v AS SELECT pg_advisory_lock(1)",
        "CREATE TABLE t AS EXECUTE p",
        "CREATE TEMP VIEW v AS SELECT 1",
        "CREATE TEMP SEQUENCE s",
        "CREATE VIEW v AS SELECT * FROM own",
        "CREATE TRIGGER t BEFORE INSERT ON documents FOR EACH ROW"
        " EXECUTE FUNCTION tsvector_update_trigger('tsv', 'pg_catalog.english', 'body')",
        "CREATE TABLE t AS SELECT 'orders'::regclass AS r",
    ],
)
def test_what_would_have_to_be_rewritten_or_is_not_of_the_schema_is_refused(beside: Beside, text: str) -> None:
    world = replace(beside, context=replace(beside.context, temporary=(Temporary("own", ()),)))
    assert world.refused(text)[0] == "0A000"


def test_temporary_tables_are_the_sessions_as_in_row_mode(beside: Beside) -> None:
    plan = beside.plan("CREATE TEMP TABLE own (a int)")
    assert isinstance(plan, Forward)
    assert plan.effects.creates is not None
    assert plan.effects.creates.name == "own"


def test_a_column_beside_unnest_is_a_catalogs_where_unnest_has_no_such(beside: Beside) -> None:
    """As pg_dump asks for defaults."""
    text = (
        "SELECT pg_catalog.pg_get_expr(adbin, {}) FROM unnest('{{16384}}'::pg_catalog.oid[]) AS src(tbloid)"
        " JOIN pg_catalog.pg_attrdef a ON (src.tbloid = a.adrelid)"
    )
    assert "pg_get_expr(adbin, adrelid)" in beside.sent(text.format("adrelid"))
    for hidden in ("tbloid", "src.tbloid", "unnest"):
        assert beside.refused(text.format(hidden))[0] == "0A000"
