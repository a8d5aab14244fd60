"""Catalog: a frozen picture of one database's schema, with a version.

Pure values; introspect.py fills them. OIDs are the server's. Nothing here decides who may see what. Sources: PostgreSQL
documentation, chapter "System Catalogs".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Type:
    """pg_type. kind is typtype: b base, c composite, d domain, e enum, p pseudo, r range, m multirange."""

    oid: int
    schema: str
    name: str
    kind: str
    category: str = "U"
    base: int = 0  # of a domain
    element: int = 0  # of a true array (typelem where typlen = -1 and typsubscript is array)
    array: int = 0  # its array type
    relation: int = 0  # of a composite
    subtype: int = 0  # of a range or multirange
    collation: int = 0
    checked: bool = False  # a domain with a CHECK or NOT NULL, its own or inherited from another domain
    preferred: bool = False
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Collation:
    """pg_collation, of the database's encoding."""

    oid: int
    schema: str
    name: str
    deterministic: bool


@dataclass(frozen=True, slots=True)
class Column:
    """pg_attribute, dropped and system columns left out. generated: "" | "s" (stored) | "v" (virtual); identity: "" |
    "a" | "d".
    """

    number: int
    name: str
    type: int
    typmod: int = -1
    collation: int = 0
    not_null: bool = False
    generated: str = ""
    identity: str = ""
    default: str = ""  # pg_get_expr of the default, "" where there is none


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key (p), unique (u) or exclusion (x) constraint, or a unique index without one (i).

    columns: attnums, 0 = an expression, or a column that an exclusion compares by anything but equality.
    """

    name: str
    kind: str
    columns: tuple[int, ...]
    partial: bool = False
    deferrable: bool = False
    valid: bool = True  # False: being built, or its build failed; it may refuse rows already and proves nothing


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """pg_constraint of contype f. on_delete, on_update: a no action, r restrict, c cascade, n set null, d set
    default.
    """

    name: str
    columns: tuple[int, ...]
    references: int
    referenced_columns: tuple[int, ...]
    on_delete: str = "a"
    on_update: str = "a"


@dataclass(frozen=True, slots=True)
class Relation:
    """pg_class. kind is relkind: r table, p partitioned, v view, m matview, S sequence, f foreign, c composite."""

    oid: int
    schema: str
    name: str
    kind: str
    row_type: int = 0
    columns: tuple[Column, ...] = ()
    keys: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    parents: tuple[int, ...] = ()  # inherits from or is a partition of
    is_partition: bool = False
    owner: str = ""
    definition: str = ""  # pg_get_viewdef of a view or materialized view
    security_invoker: bool = False
    triggers: tuple[str, ...] = ()
    changes_rows: bool = False  # a trigger sees a row before it is stored, and may change it
    rules: bool = False  # has rewrite rules besides a view's own
    row_security: bool = False
    wall: tuple[str, str] | None = None  # tenant column and key of walls.py's policy, which holds for everybody
    reads: tuple[int, ...] = ()  # what the definition of a view or materialized view names

    def column(self, name: str) -> Column | None:
        """The column of that name, or None."""
        for column in self.columns:
            if column.name == name:
                return column
        return None


@dataclass(frozen=True, slots=True)
class Function:
    """pg_proc. kind is prokind: f function, p procedure, a aggregate, w window."""

    oid: int
    schema: str
    name: str
    kind: str
    arguments: tuple[int, ...]  # input argument types
    result: int
    returns_set: bool = False
    volatility: str = "v"
    leakproof: bool = False
    strict: bool = False
    security_definer: bool = False
    cost: float = 1.0
    language: str = "internal"
    variadic: int = 0
    defaults: int = 0  # how many trailing arguments have a default
    owner: str = ""
    extension: str = ""


@dataclass(frozen=True, slots=True)
class Operator:
    """pg_operator; left is 0 for a prefix operator."""

    oid: int
    schema: str
    name: str
    left: int
    right: int
    result: int
    function: int


@dataclass(frozen=True, slots=True)
class Cast:
    """pg_cast. context: e explicit, a assignment, i implicit; method: f function, i in/out, b binary."""

    source: int
    target: int
    function: int
    context: str
    method: str


@dataclass(frozen=True)
class Catalog:
    """One database as of one introspection. `version`, no other picture's in this process, is in every plan's key."""

    version: int
    server_version: int  # server_version_num, such as 150018
    database: str
    relations: Mapping[tuple[str, str], Relation]
    types: Mapping[int, Type]
    functions: Mapping[str, tuple[Function, ...]]
    operators: Mapping[str, tuple[Operator, ...]]
    casts: Mapping[tuple[int, int], Cast]
    collations: Mapping[int, Collation]
    ordering_operators: frozenset[int] = frozenset()  # pg_amop.amoppurpose = 'o'
    schemas: frozenset[str] = frozenset()
    extensions: Mapping[str, str] = field(default_factory=dict)  # name -> version
    bypassing: frozenset[str] = frozenset()  # roles that no policy holds for
    stored_calls: frozenset[str] = frozenset()  # of a tenant's own: volatile functions of pg_catalog that it has stored

    def __getstate__(self) -> dict[str, object]:
        """What it is made of, and not what was looked up by it, which may grow while another thread reads this."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @property
    def major(self) -> int:
        return self.server_version // 10000

    @cached_property
    def ordering_names(self) -> frozenset[str]:
        """The names of operators that an index can order by."""
        return frozenset(
            name for name, many in self.operators.items() if any(one.oid in self.ordering_operators for one in many)
        )

    @cached_property
    def own_operators(self) -> Mapping[str, tuple[Operator, ...]]:
        """The operators of each name that are not the server's: those outside pg_catalog."""
        found = {
            name: tuple(one for one in many if one.schema != "pg_catalog") for name, many in self.operators.items()
        }
        return {name: many for name, many in found.items() if many}

    @cached_property
    def built_in_operators(self) -> Mapping[tuple[str, int, int], Operator]:
        """The operators of pg_catalog, by name and types."""
        every = (one for many in self.operators.values() for one in many if one.schema == "pg_catalog")
        return {(one.name, one.left, one.right): one for one in every}

    @cached_property
    def relations_by_oid(self) -> Mapping[int, Relation]:
        return {relation.oid: relation for relation in self.relations.values()}

    @cached_property
    def types_by_name(self) -> Mapping[tuple[str, str], Type]:
        return {(one.schema, one.name): one for one in self.types.values()}

    @cached_property
    def collations_by_name(self) -> Mapping[tuple[str, str], Collation]:
        return {(one.schema, one.name): one for one in self.collations.values()}

    @cached_property
    def functions_by_oid(self) -> Mapping[int, Function]:
        return {one.oid: one for many in self.functions.values() for one in many}
