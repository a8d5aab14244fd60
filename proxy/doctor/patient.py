"""What the doctor looks at: one policy's world of a database, and what was asked of the database besides.

Names of findings are `kind.relation`; a relation or function of the schema public goes without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from proxy.catalog.examination import Examination
from proxy.catalog.finding import identifier
from proxy.catalog.model import Catalog, Column, ForeignKey, Relation
from proxy.catalog.walls import GROUP
from proxy.sql.world import SYSTEM_SCHEMAS, Visible, World
from proxy.tenancy.policy import PROXY_SCHEMA


@dataclass(frozen=True, slots=True)
class Patient:
    """One database as the tenants of one policy see it."""

    world: World
    examination: Examination
    role: str = field(init=False)  # quoted
    leading: Mapping[int, list[tuple[Relation, ForeignKey]]] = field(init=False)  # by the table that they lead to

    def __post_init__(self) -> None:
        leading: dict[int, list[tuple[Relation, ForeignKey]]] = {}
        for relation, _ in self.relations():
            for foreign in relation.foreign_keys:
                leading.setdefault(foreign.references, []).append((relation, foreign))
        object.__setattr__(self, "role", identifier(self.examination.role))
        object.__setattr__(self, "leading", leading)

    @property
    def given_to(self) -> str:
        """Who has the privileges that tenants use: the role, or the group of the tenants behind policies."""
        return identifier(GROUP) if self.world.policy.behind_rls else self.role

    @property
    def holders(self) -> str:
        """Whoever the role may have a privilege from."""
        return ", ".join(dict.fromkeys(("PUBLIC", self.role, self.given_to)))

    @property
    def catalog(self) -> Catalog:
        return self.world.catalog

    def relations(self) -> Iterator[tuple[Relation, Visible | None]]:
        """Tables, views and materialized views that are somebody's, by name, and how they are seen."""
        for (schema, name), relation in sorted(self.catalog.relations.items()):
            own = schema in SYSTEM_SCHEMAS or schema == PROXY_SCHEMA or schema.startswith("pg_")
            if not own and relation.kind in "rpvmf":
                yield relation, self.world.relation(schema, name)

    def confined(self) -> Iterator[tuple[Relation, Column]]:
        """Tables of tenants, each with its tenant column."""
        for relation, seen in self.relations():
            if seen is not None and seen.access == "tenant" and seen.column is not None:
                yield relation, seen.column

    def may(self, relation: Relation, *verbs: str) -> tuple[str, ...]:
        """Which of these privileges the role has on a relation; without verbs: all that it has."""
        found = self.examination.privileges.get(relation.oid, ())
        return tuple(one for one in found if not verbs or one in verbs)


def full(relation: Relation) -> str:
    """The relation in SQL."""
    return f"{identifier(relation.schema)}.{identifier(relation.name)}"


def short(schema: str, name: str) -> str:
    """In the name of a finding."""
    return name if schema == "public" else f"{schema}.{name}"


def columns_of(relation: Relation, numbers: tuple[int, ...]) -> tuple[str, ...]:
    """The names of these columns, quoted; an expression has none."""
    by_number = {one.number: one.name for one in relation.columns}
    return tuple(identifier(by_number[number]) for number in numbers if number in by_number)
