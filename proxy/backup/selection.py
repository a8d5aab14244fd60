"""Which tables of a database hold a tenant's rows, and which of their columns are copied.

Judged with the planner's own eye (`World`): what the rules show a tenant as its own is its own, and nothing else is.
What is another tenant's own is not seen (neighbours.py); a table that is hidden for another reason than that the rules
say so may hold the tenant's rows, and is a reason to refuse.
Generated columns are left out, for the server computes them; partitions are read through their parents, children that
inherit by themselves. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.backup.neighbours import Around
from proxy.backup.ordering import rings
from proxy.backup.refusal import Refused
from proxy.catalog.finding import identifier
from proxy.catalog.model import Catalog, Column, ForeignKey, Relation
from proxy.sql.world import SYSTEM_SCHEMAS, World
from proxy.tenancy.policy import PROXY_SCHEMA, Grant

PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")  # a name that needs no quotes


@dataclass(frozen=True, slots=True)
class Kept:
    """A table with rows of the tenant. column: the one that says whose a row is, None where all are the tenant's; it is
    the first of `columns`."""

    relation: Relation
    columns: tuple[Column, ...]
    column: Column | None = None
    key: str | None = None  # the name of the key that the column holds

    @property
    def at(self) -> tuple[str, str]:
        return self.relation.schema, self.relation.name

    @property
    def full(self) -> str:
        """The table in SQL."""
        return f"{identifier(self.relation.schema)}.{identifier(self.relation.name)}"

    @property
    def only(self) -> str:
        """The table in SQL without those that inherit from it; a partitioned one with its partitions."""
        return self.full if self.relation.kind == "p" else f"ONLY {self.full}"

    @property
    def names(self) -> str:
        """The columns in SQL."""
        return ", ".join(identifier(one.name) for one in self.columns)

    def owned(self, grant: Grant, alias: str = "") -> str:
        """The condition in SQL that a row is the tenant's."""
        if self.column is None or self.key is None:
            return "true"
        before = f"{alias}." if alias else ""
        return f"{before}{identifier(self.column.name)} = {text(grant.keys[self.key])}"

    def rows(self, grant: Grant) -> str:
        """The query of the tenant's rows, without a semicolon."""
        where = "" if self.column is None else f" WHERE {self.owned(grant)}"
        return f"SELECT {self.names} FROM {self.only}{where}"


def text(value: str) -> str:
    """A value in SQL, of whatever type it is compared with. standard_conforming_strings is on."""
    return "'" + value.replace("'", "''") + "'"


def selected(catalog: Catalog, grant: Grant, around: Around) -> tuple[Kept, ...]:
    """The tenant's tables, by name; where tables are shared, those that the proxy serves. Refused, of shared tables,
    where one that may hold rows of the tenant is hidden, and not by a rule: it would be left out in silence.
    """
    mode, shared = grant.policy.isolation, grant.policy.shares_tables
    world = World(grant.policy, catalog)
    found: dict[int, Kept] = {}
    closed: list[Relation] = []
    for relation in sorted(catalog.relations.values(), key=lambda one: (one.schema, one.name)):
        if relation.kind not in "rp" or relation.schema in SYSTEM_SCHEMAS or relation.schema.startswith("pg_"):
            continue
        if shared:
            seen = world.relation(relation.schema, relation.name)
            if seen is None or seen.access != "tenant" or seen.column is None:
                continue
            if relation.schema in around.closed:
                closed.append(relation)
            else:
                found[relation.oid] = Kept(relation, _copied(relation, seen.column), seen.column, seen.key)
        elif relation.oid not in around.members and (
            relation.schema == grant.policy.schema if mode == "schema" else relation.schema != PROXY_SCHEMA
        ):
            found[relation.oid] = Kept(relation, _copied(relation, None))

    def within(relation: Relation) -> bool:
        """Is it a partition of one that was found, and so read through it?"""
        above = [catalog.relations_by_oid[one] for one in relation.parents if one in catalog.relations_by_oid]
        return relation.is_partition and any(one.oid in found or within(one) for one in above)

    if shared:
        reasons = world.hidden_reasons
        problems = [
            f"{title(one)} may hold rows of {grant.tenant}, and is hidden: {reasons[one.schema, one.name]}; mend it,"
            " for which `partywall doctor` and `partywall provision` have the SQL, or give it a rule (hidden: true)"
            for one in catalog.relations.values()
            if (one.schema, one.name) in reasons
            and _claimed(one, grant)
            and not within(one)
            and (one.schema not in around.closed or _expected(one, grant))
        ]
        problems += [
            f"{title(one)} may hold rows of {grant.tenant}, which is served by {grant.server.role}, and that cannot"
            f" use the schema: GRANT USAGE ON SCHEMA {identifier(one.schema)}, or give the table a rule (hidden: true)"
            for one in closed
            if _expected(one, grant) and not within(one)
        ]
        if problems:
            raise Refused(sorted(problems))
    return tuple(one for one in found.values() if not within(one.relation))


def _claimed(relation: Relation, grant: Grant) -> bool:
    """Is it a table that a rule or its column makes the tenant's?"""
    rule = grant.policy.relations.get((relation.schema, relation.name))
    return (
        relation.kind in "rp"
        and relation.schema != PROXY_SCHEMA
        and (rule is None or rule.access in ("tenant", "view"))
    )


def _expected(relation: Relation, grant: Grant) -> bool:
    """Do the rules speak of it, or is it where unqualified names are looked up? Others' may be anywhere else."""
    return relation.schema in grant.policy.path or (relation.schema, relation.name) in grant.policy.relations


def title(relation: Relation) -> str:
    """A table as people and receipts read it. Quoted where it must be, so that no two tables have one."""
    plain = (one if PLAIN.fullmatch(one) else identifier(one) for one in (relation.schema, relation.name))
    return ".".join(plain)


def _copied(relation: Relation, first: Column | None) -> tuple[Column, ...]:
    stored = [one for one in relation.columns if not one.generated]
    return tuple(sorted(stored, key=lambda one: first is None or one.number != first.number))


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key from or to a table that was selected, by their places in that. None: some other table."""

    child: int | None
    parent: int | None
    key: ForeignKey
    holder: Relation  # the table that has the constraint: the child, or a partition of it
    target: Relation

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """Each column and the one that it references."""
        ours = {one.number: one.name for one in self.holder.columns}
        theirs = {one.number: one.name for one in self.target.columns}
        pairs = zip(self.key.columns, self.key.referenced_columns, strict=True)
        return tuple((ours[left], theirs[right]) for left, right in pairs)

    @property
    def partial(self) -> bool:
        """Is it of a partition, and so of some rows only?"""
        return self.holder.is_partition


def references(catalog: Catalog, kept: tuple[Kept, ...]) -> Iterator[Reference]:
    """The foreign keys from and to these tables; those of partitions and to partitions count as their parents', and
    once."""
    places = {one.relation.oid: number for number, one in enumerate(kept)}

    def place(relation: Relation) -> int | None:
        if relation.oid in places or not relation.is_partition:
            return places.get(relation.oid)
        above = [catalog.relations_by_oid[one] for one in relation.parents if one in catalog.relations_by_oid]
        return place(above[0]) if above else None

    told: set[object] = set()
    for relation in sorted(catalog.relations.values(), key=lambda one: (one.is_partition, one.schema, one.name)):
        child = place(relation) if relation.foreign_keys else None
        for key in relation.foreign_keys:
            target = catalog.relations_by_oid.get(key.references)
            parent = None if target is None else place(target)
            if target is None or (child is None and parent is None):
                continue
            one = Reference(child, parent, key, relation, target)
            same = (child if child is not None else relation.oid, parent, one.columns)
            if child is None or same not in told:
                yield one
            told.add(same)


def ordered(catalog: Catalog, kept: tuple[Kept, ...]) -> tuple[Kept, ...]:
    """The tables with those that are referenced first; in a ring by name."""
    edges: dict[int, list[int]] = {number: [] for number in range(len(kept))}
    for one in references(catalog, kept):
        if one.parent is not None and one.child is not None:
            edges[one.child].append(one.parent)
    return tuple(kept[number] for group in rings(edges) for number in group)
