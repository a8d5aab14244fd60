"""An archive fits a table that has its columns; every reason why not is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.backup.manifest import ColumnForm, Manifest, RelationForm
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept
from proxy.backup.target import check_kinds, tables
from proxy.catalog.model import Catalog, Column, Key, Relation, Type
from tests.backup.shelf import book_of
from tests.backup.test_rekeying import MANIFEST
from tests.kit.rules import own_rules, sample_rules

TYPES = {(23, -1): "integer", (25, -1): "text", (900, -1): "public.citext"}
COLUMNS = (
    Column(1, "tenant_id", 23, not_null=True),
    Column(2, "id", 23, not_null=True),
    Column(3, "name", 900, not_null=True),
    Column(4, "note", 25),
)
RELATION = Relation(
    1, "public", "t", "r", columns=COLUMNS,
    keys=(Key("a", "u", (1, 2), partial=True), Key("b", "u", (4,)), Key("c", "u", (1, 3)), Key("d", "p", (1, 2))),
)  # fmt: skip
CATALOG = Catalog(
    1, 150000, "shop", {("public", "t"): RELATION},
    {
        23: Type(23, "pg_catalog", "int4", "b"), 25: Type(25, "pg_catalog", "text", "b"),
        900: Type(900, "public", "citext", "b"),
    },
    {}, {}, {}, {},
)  # fmt: skip
FORM = RelationForm(
    schema="public", name="t", tenant_column="tenant_id", key="default",
    columns=(
        ColumnForm(name="tenant_id", type="integer"), ColumnForm(name="id", type="integer"),
        ColumnForm(name="name", type="public.citext"),
    ),
)  # fmt: skip


def kept(relation: Relation) -> Kept:
    return Kept(relation, relation.columns, relation.columns[0], "default")


def manifest(*forms: RelationForm) -> Manifest:
    return MANIFEST.model_copy(update={"relations": forms})


def test_a_table_is_found_with_its_key_and_its_sql() -> None:
    (found,) = tables(manifest(FORM), CATALOG, (kept(RELATION),), TYPES)
    assert [one.name for one in found.match] == ["tenant_id", "id"]
    assert [one.name for one in found.columns] == ["tenant_id", "id", "name"]
    assert found.matches("s", "l") == 's."tenant_id" = l."tenant_id" AND s."id" = l."id"'
    assert found.same("name", "s", "l") == 's."name"::pg_catalog.text = l."name"::pg_catalog.text'
    assert found.whole("s", ("id",)) == 'ROW(s."id")::pg_catalog.text'
    assert (found.stage, found.gone, found.title) == ("pg_temp.stage_1", "pg_temp.gone_1", "t")


def test_without_a_key_that_is_whole_rows_are_told_apart_by_all_that_is_in_them() -> None:
    keyless = replace(RELATION, keys=RELATION.keys[:2])
    (found,) = tables(manifest(FORM), CATALOG, (kept(keyless),), TYPES)
    assert found.match == ()


def test_everything_that_does_not_fit_is_told_at_once() -> None:
    changed = replace(
        RELATION, columns=(COLUMNS[0], replace(COLUMNS[1], type=25), replace(COLUMNS[3], name="must", not_null=True))
    )
    other = FORM.model_copy(update={"name": "gone"})
    with pytest.raises(Refused) as refused:
        tables(manifest(FORM, other), CATALOG, (kept(changed),), TYPES)
    assert refused.value.problems == [
        "t.id is text there, integer here",
        "t has no column name there that could be given a value",
        "t.must must have a value there, and the archive has none",
        "gone is no table of the tenant there",
    ]
    with pytest.raises(Refused, match="t has another tenant column there"):
        tables(manifest(FORM.model_copy(update={"tenant_column": "id"})), CATALOG, (kept(RELATION),), TYPES)


def test_modes_and_keys_must_fit() -> None:
    row = book_of(sample_rules(5432, "shared")).grants["acme", "shared", False]
    own = book_of(own_rules(5432, "private1")).grants["acme", "shared", False]
    check_kinds(manifest(FORM), row)
    with pytest.raises(Refused, match="the archive is of mode row, and acme is in mode database there"):
        check_kinds(manifest(FORM), own)
    with pytest.raises(Refused, match="the archive is of mode schema, and acme is in mode row there"):
        check_kinds(MANIFEST.model_copy(update={"isolation": "schema"}), row)
    with pytest.raises(Refused, match="acme has no key other, which t needs"):
        check_kinds(manifest(FORM.model_copy(update={"key": "other"})), row)
