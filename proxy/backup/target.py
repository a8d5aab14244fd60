"""Where an archive's rows go: each table there with the columns that are taken, or every reason why it does not fit.

A database may have changed since. New tables and new columns with a default do no harm; what is missing, of another
type, or cannot be given a value is told. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.backup.manifest import Manifest, RelationForm
from proxy.backup.refusal import Refused
from proxy.backup.rowhash import found_by
from proxy.backup.selection import Kept
from proxy.catalog.finding import identifier
from proxy.catalog.model import Catalog, Column
from proxy.tenancy.policy import Grant

Types = Mapping[tuple[int, int], str]  # the names of types, by type and modifier


@dataclass(frozen=True, slots=True)
class Table:
    """A table that rows go to. match: the columns by which a row is found again; (): there is no such key."""

    number: int  # in the manifest
    form: RelationForm
    kept: Kept
    columns: tuple[Column, ...]  # in the archive's order
    match: tuple[Column, ...]
    compared: frozenset[str]  # those of the columns whose own equality is not the server's

    @property
    def stage(self) -> str:
        """In SQL, the temporary table of the archive's rows."""
        return f"pg_temp.stage_{self.number}"

    @property
    def gone(self) -> str:
        """In SQL, the temporary table of rows that are to be deleted, by table and place."""
        return f"pg_temp.gone_{self.number}"

    @property
    def title(self) -> str:
        return self.form.title

    def same(self, column: str, left: str, right: str) -> str:
        """The condition that a column is equal in two rows."""
        name = identifier(column)
        if column in self.compared:
            return f"{left}.{name}::pg_catalog.text = {right}.{name}::pg_catalog.text"
        return f"{left}.{name} = {right}.{name}"

    def matches(self, left: str, right: str) -> str:
        """The condition that two rows are the same one."""
        return " AND ".join(self.same(one.name, left, right) for one in self.match)

    def whole(self, alias: str, columns: tuple[str, ...] | None = None) -> str:
        """All that is in a row, as text; what is equal in it is equal to the last digit."""
        return f"{self.row(alias, columns)}::pg_catalog.text"

    def row(self, alias: str, columns: tuple[str, ...] | None = None) -> str:
        """These columns, or all, as one value."""
        names = [one.name for one in self.columns] if columns is None else columns
        return "ROW(" + ", ".join(f"{alias}.{identifier(one)}" for one in names) + ")"

    def differs(self, left: str, right: str, columns: tuple[str, ...] | None = None) -> str:
        """The condition that two rows are not equal to the last digit. Their text is made only where their bytes
        differ, which is seldom, and is nine tenths of the work.
        """
        one, other = self.row(left, columns), self.row(right, columns)
        text = f"{one}::pg_catalog.text IS DISTINCT FROM {other}::pg_catalog.text"
        return f"({one}::pg_catalog.record *<> {other}::pg_catalog.record AND {text})"


def tables(manifest: Manifest, catalog: Catalog, kept: tuple[Kept, ...], types: Types) -> tuple[Table, ...]:
    """In the order of `kept`. Refused with everything that does not fit."""
    there = {one.at: (order, one) for order, one in enumerate(kept)}
    problems: list[str] = []
    found: list[tuple[int, Table]] = []
    for number, form in enumerate(manifest.relations, 1):
        place = there.get((form.schema_name, form.name))
        if place is None:
            problems.append(f"{form.title} is no table of the tenant there")
            continue
        order, one = place
        problems += _misfits(form, one, types)
        names = {column.name: column for column in one.columns}
        columns = tuple(names[column.name] for column in form.columns if column.name in names)
        match = found_by(one.relation, columns)
        found.append((order, Table(number, form, one, columns, match, _foreign(catalog, columns))))
    if problems:
        raise Refused(problems)
    return tuple(table for _, table in sorted(found, key=lambda one: one[0]))


def _misfits(form: RelationForm, kept: Kept, types: Types) -> list[str]:
    there = {one.name: one for one in kept.columns}
    found = []
    for column in form.columns:
        now = there.get(column.name)
        if now is None:
            found.append(f"{form.title} has no column {column.name} there that could be given a value")
        elif types[now.type, now.typmod] != column.type:
            found.append(f"{form.title}.{column.name} is {types[now.type, now.typmod]} there, {column.type} here")
    known = {one.name for one in form.columns}
    for name, now in there.items():
        if name not in known and now.not_null and not now.default and not now.identity:
            found.append(f"{form.title}.{name} must have a value there, and the archive has none")
    if (kept.column is None) != (form.tenant_column is None) or (
        kept.column is not None and kept.column.name != form.tenant_column
    ):
        found.append(f"{form.title} has another tenant column there")
    return found


def _foreign(catalog: Catalog, columns: tuple[Column, ...]) -> frozenset[str]:
    """Columns of types whose equality is an extension's, which is not on the search path."""

    def own(oid: int) -> bool:
        one = catalog.types.get(oid)
        while one is not None and one.kind == "d":
            one = catalog.types.get(one.base)
        return one is None or (one.schema != "pg_catalog" and one.kind != "e")

    return frozenset(one.name for one in columns if own(one.type))


def check_kinds(manifest: Manifest, grant: Grant) -> None:
    """Refused where an archive of this kind cannot become the tenant's."""
    rows = ("row", "rls")
    here, there = manifest.isolation, grant.policy.isolation
    if here != there and not (here in rows and there in rows):
        raise Refused([f"the archive is of mode {here}, and {grant.tenant} is in mode {there} there"])
    problems = [
        f"{grant.tenant} has no key {form.key}, which {form.title} needs"
        for form in manifest.relations
        if form.key is not None and form.key not in grant.keys
    ]
    if problems:
        raise Refused(problems)
