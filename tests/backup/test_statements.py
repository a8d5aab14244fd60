"""Every statement that changes rows has the tenant's condition in it; what ties a row is known."""

from __future__ import annotations

from dataclasses import replace

from proxy.backup import statements
from proxy.backup.target import Table, tables
from proxy.catalog.model import ForeignKey, Key
from tests.backup.shelf import book_of
from tests.backup.test_target import CATALOG, FORM, RELATION, TYPES, kept, manifest
from tests.kit.rules import sample_rules

GRANT = book_of(sample_rules(5432, "shared")).grants["globex", "shared", False]
OWNED = "l.\"tenant_id\" = '2'"


def table(**changes: object) -> Table:
    relation = replace(RELATION, **changes)  # type: ignore[arg-type]  # of any of its fields
    return tables(manifest(FORM), CATALOG, (kept(relation),), TYPES)[0]


def test_whatever_deletes_updates_or_looks_is_confined_to_the_tenant() -> None:
    for one in (table(), table(keys=())):
        found = [
            statements.surplus(one, GRANT),
            statements.missing(one, GRANT),
            statements.changed(one, GRANT),
            statements.compared(one, GRANT),
            statements.update(one, GRANT),
            statements.insert(one, GRANT),
            statements.delete(one, GRANT),
            statements.loosen(one, GRANT, frozenset({"id"})),
        ]
        assert all(OWNED in text for text in found if text is not None)
        assert (statements.update(one, GRANT) is None) == (one.match == ())


def test_columns_that_are_left_empty_are_null_and_identities_are_given() -> None:
    text = statements.insert(table(), GRANT, frozenset({"name"}))
    assert text.startswith('INSERT INTO "public"."t" ("tenant_id", "id", "name") OVERRIDING SYSTEM VALUE SELECT')
    assert 'm."tenant_id", m."id", NULL FROM' in text


def test_a_row_is_tied_by_its_keys_references_and_identities() -> None:
    assert statements.bound(table(), frozenset()) == ("tenant_id", "id", "name")
    plain = table(keys=(Key("d", "p", (1, 2)),))
    assert statements.bound(plain, frozenset()) == ("tenant_id", "id")
    assert statements.bound(plain, frozenset({"name"})) == ("tenant_id", "id", "name")
    tied = table(keys=(), foreign_keys=(ForeignKey("f", (3,), 9, (1,)),))
    assert statements.bound(tied, frozenset()) == ("name",)
    expression = table(keys=(Key("e", "i", (0,)),))
    assert statements.bound(expression, frozenset()) == ("tenant_id", "id", "name")
    identity = replace(RELATION.columns[1], identity="a")
    columns = (RELATION.columns[0], identity, *RELATION.columns[2:])
    assert statements.bound(table(keys=(), columns=columns), frozenset()) == ("id",)


def test_rows_are_compared_by_their_bytes_before_their_text_is_made() -> None:
    text = table().differs("s", "l", ("name",))
    assert text == (
        '(ROW(s."name")::pg_catalog.record *<> ROW(l."name")::pg_catalog.record'
        ' AND ROW(s."name")::pg_catalog.text IS DISTINCT FROM ROW(l."name")::pg_catalog.text)'
    )
    assert text.replace('"name"', '"tenant_id"') in str(statements.changed(table(), GRANT, ("tenant_id",)))


def test_what_has_no_key_cannot_be_updated() -> None:
    assert statements.changed(table(keys=()), GRANT) is None
    assert statements.compared(table(keys=()), GRANT) is None
    assert statements.changed(table(), GRANT, ()) is None


def test_a_table_and_its_list_are_temporary() -> None:
    text = statements.staging(table())
    assert text.count("CREATE TEMPORARY TABLE") == 2
    assert 'SELECT "tenant_id", "id", "name" FROM ONLY "public"."t" WITH NO DATA' in text
