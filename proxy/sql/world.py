"""World: what one policy lets a statement see of one database's relations and functions.

Promises: `relation` answers a name exactly as the server will resolve it (pg_catalog first, then the search path),
or None where policy hides it, which is the same as absent. It knows nothing of predicates and looks at no key
value. Why a relation with a tenant column is hidden nevertheless stands in `hidden_reasons`, for the log only.
Rules: isolation.md 2.5, rule 1."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, Protocol

from proxy.catalog.model import Catalog, Column, Function, Relation
from proxy.sql.plan import Temporary
from proxy.sql.sequences import own_numbers
from proxy.sql.walls import STORED, unwalled
from proxy.tenancy.policy import PROXY_SCHEMA, FunctionRule, Policy, RelationRule

SYSTEM_SCHEMAS = frozenset({"pg_catalog", "information_schema"})
# int2 int4 int8 uuid text varchar bpchar: equality is a LEAKPROOF btree operator of pg_catalog on every major.
KEY_TYPES: Mapping[int, str] = {
    21: "int2",
    23: "int4",
    20: "int8",
    2950: "uuid",
    25: "text",
    1043: "varchar",
    1042: "bpchar",
}

Seen = Literal["tenant", "shared", "view", "catalog", "own"]


@dataclass(frozen=True, slots=True)
class Visible:
    """A relation as a tenant sees it. `column` and `key` are set for access tenant and view: rows where column =
    key value."""

    relation: Relation
    access: Seen
    column: Column | None = None
    key: str = "default"
    numbers: tuple[tuple[str, str], ...] = ()  # columns whose default is a number of the tenant's own, and its key
    open: bool = False  # more columns than these may be there; of access own only

    @property
    def confined(self) -> bool:
        """True where every use needs the tenant predicate."""
        return self.access in ("tenant", "view")


def made_since(schema: str, name: str) -> Visible:
    """A relation of a schema of the tenant's own that the picture does not have: made by this session, in this
    transaction perhaps, or absent, which the server will say. schema "": wherever on the path it is.
    """
    return Visible(Relation(0, schema, name, "r"), "own", open=True)


def in_own_world(policy: Policy, relation: Relation | None, schema: str, name: str) -> Visible | None:
    """What a tenant with a schema of its own sees under this name: all that is in it, and what is shared."""
    if schema == policy.schema:
        return made_since(schema, name) if relation is None else Visible(relation, "own", open=True)
    if relation is None or schema not in policy.shared_schemas or relation.kind not in "rpvm":
        return None
    return Visible(relation, "shared")


def with_own_functions(policy: Policy, catalog: Catalog) -> Policy:
    """A tenant may call what is in a schema of its own."""
    if not policy.schema:
        return policy
    names = sorted(name for name, some in catalog.functions.items() if any(one.schema == policy.schema for one in some))
    return replace(policy, functions=(*policy.functions, *(FunctionRule(policy.schema, name) for name in names)))


class Scenery(Protocol):
    """What name resolution asks of a world."""

    @property
    def policy(self) -> Policy: ...

    @property
    def catalog(self) -> Catalog: ...

    @property
    def search_path(self) -> tuple[str, ...]: ...

    def relation(self, schema: str | None, name: str) -> Visible | None: ...


class World:
    """The tenant's view under `policy` of the database that `catalog` pictures."""

    def __init__(self, policy: Policy, catalog: Catalog, search_path: Sequence[str] | None = None) -> None:
        """search_path: None for the one that a session begins with."""
        self._policy = with_own_functions(policy, catalog)
        self._catalog = catalog
        self._search_path = tuple(policy.path if search_path is None else search_path)
        self._seen: dict[tuple[str, str], Visible | None] = {}
        self._own: dict[str, Visible] = {}
        self._reasons: dict[tuple[str, str], str] = {}
        self._unwalled: dict[tuple[str, str], str] = {}
        self.confined_catalogs: dict[
            tuple[str, str, bool], Any
        ] = {}  # sub-selects of catalog relations, made once (catalogs.py)

    def with_temporary(self, temporary: Sequence[Temporary]) -> World:
        """The same world for a session that has these tables besides."""
        if not temporary:
            return self
        found = copy.copy(self)
        found._own = {one.name: Visible(one.relation, "own", open=one.columns is None) for one in temporary}
        return found

    @property
    def policy(self) -> Policy:
        return self._policy

    @property
    def catalog(self) -> Catalog:
        return self._catalog

    @property
    def search_path(self) -> tuple[str, ...]:
        return self._search_path

    @property
    def path(self) -> tuple[str, ...]:
        """The schemas that an unqualified name is looked up in, pg_catalog first unless it is listed."""
        if "pg_catalog" in self._search_path:
            return self._search_path
        return ("pg_catalog", *self._search_path)

    @property
    def hidden_reasons(self) -> Mapping[tuple[str, str], str]:
        """(schema, name) -> why a relation that a rule or its column would make visible is hidden. For the log."""
        for schema, name in self._catalog.relations:
            self.relation(schema, name)
        return self._reasons

    @property
    def unwalled(self) -> Mapping[tuple[str, str], str]:
        """Those of them that are hidden because the server's own wall does not stand around them."""
        return self._unwalled if self.hidden_reasons else {}

    def relation(self, schema: str | None, name: str) -> Visible | None:
        """The relation of that name as the tenant sees it; None where it is hidden or absent."""
        if schema in (None, "pg_temp") and name in self._own:
            return self._own[name]  # the temporary schema is searched first
        if schema is not None:
            return self._look(schema, name)
        for one in self.path:
            found = self._look(one, name)
            if found is not None and (found.relation.oid or found.access == "catalog"):
                return found
        return made_since("", name) if self._policy.schema else None

    def shows_schema(self, schema: str) -> bool:
        """Whether the tenant sees the schema: the system's, those of the path, and any with a relation that it sees."""
        return schema in (*SYSTEM_SCHEMAS, *self._search_path, *self._policy.path) or any(
            self._look(schema, name) is not None for one, name in self._catalog.relations if one == schema
        )

    def function_candidates(self, schema: str | None, name: str) -> tuple[Function, ...]:
        """Every function of that name in `schema`, or on the path where it is None, in path order."""
        schemas = self.path if schema is None else (schema,)
        every = self._catalog.functions.get(name, ())
        return tuple(one for wanted in schemas for one in every if one.schema == wanted)

    @cached_property
    def function_rules(self) -> Mapping[tuple[str, str], tuple[FunctionRule, ...]]:
        """(schema, name) -> what the policy says of functions of that name."""
        found: dict[tuple[str, str], tuple[FunctionRule, ...]] = {}
        for rule in self._policy.functions:
            found[rule.schema, rule.name] = (*found.get((rule.schema, rule.name), ()), rule)
        return found

    def hides_type(self, oid: int) -> bool:
        """Is it a type of an extension that is not listed, or made of one: its array, a domain over it?"""
        return not self.hidden_types.isdisjoint(self._within({oid}))

    @cached_property
    def hidden_types(self) -> frozenset[int]:
        """Types of extensions that are not listed."""
        listed = {"", *self._policy.extensions}
        return frozenset(one.oid for one in self._catalog.types.values() if one.extension not in listed)

    @cached_property
    def named_types(self) -> frozenset[int]:
        """Types whose input looks a name up, and their arrays."""
        return frozenset(
            one.oid
            for one in self._catalog.types.values()
            if one.schema == "pg_catalog" and one.name.lstrip("_").startswith("reg")
        )

    @cached_property
    def types_out_of_reach(self) -> frozenset[int]:
        """Hidden types of which no expression can be: no column has one, no function outside their extensions gives
        one, nothing is converted into one by itself. Casts to them are refused."""
        found = {column.type for relation in self._catalog.relations.values() for column in relation.columns}
        listed = {"", *self._policy.extensions}
        found |= {one.result for some in self._catalog.functions.values() for one in some if one.extension in listed}
        found |= {
            target
            for (source, target), cast in self._catalog.casts.items()
            if cast.context == "i" and source not in self.hidden_types
        }
        return self.hidden_types - self._within(found)

    def made_of(self, oid: int) -> set[int]:
        """The type, and what it is made of: the element of an array, the base of a domain."""
        return self._within({oid})

    def _within(self, oids: set[int]) -> set[int]:
        """The types, and what they are made of."""
        found: set[int] = set()
        waiting = list(oids)
        while waiting:
            one = self._catalog.types.get(waiting.pop())
            if one is not None and one.oid not in found:
                found.add(one.oid)
                waiting += [one.base, one.element, one.subtype]
        return found

    @cached_property
    def _children(self) -> Mapping[int, tuple[Relation, ...]]:
        children: dict[int, list[Relation]] = {}
        for relation in self._catalog.relations.values():
            for parent in relation.parents:
                children.setdefault(parent, []).append(relation)
        return {parent: tuple(many) for parent, many in children.items()}

    @cached_property
    def splits_partitions(self) -> bool:
        """Is there a partition that is hidden while its parent is shown, or the other way round?"""
        above = self._catalog.relations_by_oid
        return any(
            (self.relation(one.schema, one.name) is None)
            is not (self.relation(above[parent].schema, above[parent].name) is None)
            for one in self._catalog.relations.values()
            if one.is_partition
            for parent in one.parents
            if parent in above
        )

    def descendants(self, relation: Relation) -> list[Relation]:
        """Every child and child's child."""
        found: list[Relation] = []
        waiting = [relation]
        while waiting:
            for child in self._children.get(waiting.pop().oid, ()):
                if child not in found:
                    found.append(child)
                    waiting.append(child)
        return found

    def _look(self, schema: str, name: str) -> Visible | None:
        at = (schema, name)
        if at not in self._seen:
            relation = self._catalog.relations.get(at)
            if self._policy.schema and schema not in SYSTEM_SCHEMAS:
                self._seen[at] = in_own_world(self._policy, relation, schema, name)
            else:
                self._seen[at] = None if relation is None else self._behind(self._judge(relation))
        return self._seen[at]

    def _behind(self, seen: Visible | None) -> Visible | None:
        """What is seen, where policies at the server must hold for it."""
        if seen is None or not seen.confined or not self._policy.behind_rls:
            return seen
        why = unwalled(self, seen)
        if not why:
            return seen
        self._hide(seen.relation, why)
        if why != STORED:
            self._unwalled[seen.relation.schema, seen.relation.name] = why
        return None

    def _hide(self, relation: Relation, why: str) -> None:
        self._reasons[(relation.schema, relation.name)] = why

    def _rule_for(self, relation: Relation) -> RelationRule | None:
        """The relation's own rule; for a child without one and without the database's column, its nearest
        ancestor's tenant rule."""
        rule = self._policy.relations.get((relation.schema, relation.name))
        if rule is not None or relation.column(self._policy.tenant_column) is not None:
            return rule
        for parent in relation.parents:
            above = self._catalog.relations_by_oid.get(parent)
            inherited = None if above is None else self._rule_for(above)
            if inherited is not None and inherited.access == "tenant":
                return inherited
        return None

    def _judge(self, relation: Relation) -> Visible | None:
        if relation.schema in SYSTEM_SCHEMAS:
            return Visible(relation, "catalog") if relation.kind in "rpvm" else None
        if relation.schema.startswith("pg_"):
            return None
        if relation.schema == PROXY_SCHEMA:
            self._hide(relation, f"the schema {PROXY_SCHEMA} is the proxy's own")
            return None
        policy = self._policy
        if relation.schema in policy.own_schemas or relation.owner in policy.own_roles:
            named = relation.schema in policy.path or (relation.schema, relation.name) in policy.relations
            if named or relation.schema not in policy.own_schemas:
                self._hide(relation, "it is of a tenant that has a schema of its own")
            return None
        rule = self._rule_for(relation)
        if rule is None:
            if relation.kind in "rp" and relation.column(self._policy.tenant_column) is not None:
                return self._confined(relation, "tenant", self._policy.tenant_column, "default")
            return None
        if rule.access == "hidden":
            return None
        if rule.access == "shared":
            return self._shared(relation)
        column = rule.tenant_column or self._policy.tenant_column
        access: Seen = "view" if relation.kind == "m" else rule.access
        if (access == "tenant" and relation.kind not in "rp") or (access == "view" and relation.kind not in "vm"):
            self._hide(relation, f"a rule of access {rule.access} does not fit a relation of kind {relation.kind}")
            return None
        return self._confined(relation, access, column, rule.key)

    def _shared(self, relation: Relation) -> Visible | None:
        if relation.kind not in "rpvm":
            self._hide(relation, f"a relation of kind {relation.kind} cannot be shared")
            return None
        for child in self.descendants(relation):
            rule = self._policy.relations.get((child.schema, child.name))
            if child.column(self._policy.tenant_column) is not None or (rule is not None and rule.access != "shared"):
                self._hide(relation, f"its child {child.schema}.{child.name} is not shared")
                return None
        return Visible(relation, "shared")

    def _confined(self, relation: Relation, access: Seen, name: str, key: str) -> Visible | None:
        column = relation.column(name)
        if column is None:
            self._hide(relation, f"it has no column {name}")
            return None
        if column.type not in KEY_TYPES:
            self._hide(relation, f"the type of its tenant column {name} has no leakproof equality")
            return None
        collation = self._catalog.collations.get(column.collation)
        if column.collation and (collation is None or not collation.deterministic):
            self._hide(relation, f"the collation of its tenant column {name} is not deterministic")
            return None
        if access == "tenant":
            for one in (relation, *self.descendants(relation)):
                own = one.column(name)
                if own is None or not own.not_null:
                    self._hide(relation, f"the tenant column {name} of {one.schema}.{one.name} is nullable")
                    return None
        return Visible(relation, access, column, key, own_numbers(relation, self._policy, self._search_path))
