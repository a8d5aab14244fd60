"""Keys are where tenant columns are and where foreign keys carry them; nowhere else."""

from __future__ import annotations

from proxy.backup.manifest import Manifest, RelationForm, RulesForm, SnapshotForm
from proxy.backup.rekeying import followers, global_keys, keys, pairs
from proxy.backup.selection import Kept, Reference
from proxy.backup.target import Table
from proxy.catalog.model import Column, ForeignKey, Key, Relation
from tests.backup.shelf import book_of
from tests.kit.rules import sample_rules

TENANTS = Relation(
    1, "public", "tenants", "r",
    columns=(Column(1, "id", 23, not_null=True), Column(2, "slug", 25, not_null=True), Column(3, "name", 25)),
    keys=(Key("pk", "p", (1,)), Key("slug", "u", (2,)), Key("name", "u", (3,))),
)  # fmt: skip
NOTES = Relation(
    2, "public", "notes", "r",
    columns=(Column(1, "tenant", 25, not_null=True), Column(2, "id", 23, not_null=True), Column(3, "slug", 25)),
    keys=(Key("pk", "p", (1, 2)), Key("x", "u", (2,)), Key("part", "i", (3,), partial=True), Key("e", "i", (0,))),
    foreign_keys=(ForeignKey("f", (1,), 1, (2,)),),
)  # fmt: skip


def table(number: int, relation: Relation, column: Column, key: str) -> Table:
    form = RelationForm(schema="public", name=relation.name, tenant_column=column.name, key=key, columns=())
    kept = Kept(relation, relation.columns, column, key)
    return Table(number, form, kept, relation.columns, (), frozenset())


TABLES = (table(1, TENANTS, TENANTS.columns[0], "default"), table(2, NOTES, NOTES.columns[0], "slug"))
LINK = Reference(1, 0, NOTES.foreign_keys[0], NOTES, TENANTS)
MANIFEST = Manifest(
    format=1, program="", tenant="acme", database="shared", isolation="row", keys={"default": "1", "slug": "acme"},
    server_version=150000, snapshot=SnapshotForm(time="", lsn=""), rules=RulesForm(generation=1, hash=""), relations=(),
)  # fmt: skip


def test_a_key_is_carried_by_foreign_keys_and_not_by_names() -> None:
    linked = pairs([LINK, Reference(None, 0, NOTES.foreign_keys[0], NOTES, TENANTS)])
    assert linked == [((1, "tenant"), (0, "slug"))]
    grant = book_of(sample_rules(5432, "shared")).grants["globex", "shared", False]
    assert keys(MANIFEST, grant, TABLES, linked) == {
        (0, "id"): ("1", "2"),
        (1, "tenant"): ("acme", "globex"),
        (0, "slug"): ("acme", "globex"),
    }


def test_what_follows_a_column_is_what_references_it_however_far() -> None:
    linked = [((1, "a"), (0, "id")), ((2, "b"), (1, "a")), ((0, "up"), (0, "id")), ((3, "c"), (4, "id"))]
    assert followers((0, "id"), linked) == [(0, "id"), (1, "a"), (0, "up"), (2, "b")]


def test_a_key_without_the_tenants_is_everybodys() -> None:
    held = {(0, "id"): ("1", "2"), (0, "slug"): ("a", "b"), (1, "tenant"): ("a", "b")}
    assert [one.name for one, _ in global_keys(TABLES[0], 0, held)] == ["name"]
    assert [(one.name, columns) for one, columns in global_keys(TABLES[1], 1, held)] == [("x", ("id",))]
