"""Scope: the values of name resolution. Which names an expression sees, at which level, and what a column is known
to be.

Promises: lookups follow PostgreSQL's parse_relation.c: innermost level first, a name that several items offer is
not resolved at all (the server will refuse it). An item whose columns are not all known is `open`; what it may hold
is never guessed. Holds no policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from proxy.sql.world import Visible

Tree = dict[str, Any]
SourceKind = Literal["table", "view", "derived", "cte", "function", "join", "excluded"]

# pg_attribute.attnum < 0. Of these only tableoid is silent.
SYSTEM_COLUMNS: Mapping[str, int] = {"tableoid": 26, "ctid": 27, "xmin": 28, "xmax": 28, "cmin": 29, "cmax": 29}


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What is known of an expression. type: pg_type oid, 705 for an untyped literal, None for unknown. collation: 0
    none, None unknown. stored: a column of a table and nothing else. source: the table it is of, where a guard may
    name that. key: equal to the tenant's key of that name, or NULL."""

    type: int | None = None
    collation: int | None = None
    silent: bool = False
    literal: bool = False
    stored: bool = False
    source: Source | None = None
    key: str | None = None


UNKNOWN = Value()


@dataclass(frozen=True, slots=True, eq=False)
class Named:
    """A column by its name."""

    name: str
    value: Value


@dataclass(slots=True, eq=False)
class Query:
    """A SELECT, set operation, VALUES or DML statement with what it puts out; None where its columns are not all
    known."""

    body: Tree
    level: Level
    outputs: tuple[Named, ...] | None = None
    hard: bool = False  # isolation.md 2.5, rule 6


@dataclass(slots=True, eq=False)
class Cte:
    """One WITH item. `materialized` is set once its body need not, or can not, be made a boundary again."""

    name: str
    body: Tree
    query: Query | None = None
    outputs: tuple[Named, ...] | None = None
    busy: bool = False
    pending: Any = None  # what resolves it when it is first named (WITH RECURSIVE allows forward references)


@dataclass(slots=True, eq=False)
class Source:
    """One FROM item or DML target."""

    kind: SourceKind
    alias: str
    level: Level
    item: Tree  # the wrapped FROM node, which a rule may replace in place; a DML target's RangeVar
    visible: Visible | None = None
    column: str | None = None  # the tenant column under the name it has here; None where that is not unique
    query: Query | None = None
    cte: Cte | None = None
    join: Join | None = None  # the innermost join that has it on its nullable side
    below_alias: bool = False
    target: bool = False
    hard: bool = False

    @property
    def tenant(self) -> bool:
        """A base relation that carries the tenant predicate."""
        return self.kind == "table" and self.visible is not None and self.visible.access == "tenant"


@dataclass(slots=True, eq=False)
class Join:
    """One JOIN of a FROM clause; pairs are the columns that USING or NATURAL compares."""

    body: Tree
    kind: str
    env: Env
    aliased: bool
    arms: tuple[Env, ...] = ()  # the left and the right arm's names alone
    pairs: tuple[tuple[Value, Value], ...] | None = ()  # None: not all known

    @property
    def merged(self) -> bool:
        return bool(self.body.get("usingClause") or self.body.get("isNatural"))


@dataclass(slots=True, eq=False)
class Clause:
    """A place of conjuncts: body[key]."""

    kind: Literal["where", "on", "having", "conflict"]
    body: Tree
    key: str
    env: Env
    join: Join | None = None


@dataclass(slots=True, eq=False)
class Level:
    """One SELECT arm, set operation node or DML statement."""

    body: Tree
    parent: Level | None
    kind: str  # SelectStmt, InsertStmt, UpdateStmt, DeleteStmt, MergeStmt, setop, values
    env: Env | None = None
    sources: list[Source] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)
    children: list[Level] = field(default_factory=list)
    ctes: list[Cte] = field(default_factory=list)
    target: Source | None = None
    actions: list[tuple[Tree, Env]] = field(default_factory=list)  # WHEN clauses of MERGE, each with what it sees
    loud: bool = False


@dataclass(slots=True, eq=False)
class Item:
    """One entry of a namespace (ParseNamespaceItem)."""

    name: str | None
    columns: tuple[Named, ...]
    source: Source | None = None
    open: bool = False
    by_name: bool = True  # rel_visible
    by_column: bool = True  # cols_visible
    _named: dict[str, list[Value]] = field(default_factory=dict)  # the columns by name, once they are asked for

    def own(self, name: str) -> list[Value]:
        """The columns of that name, a system column where it is a table."""
        if not self._named:
            for one in self.columns:
                self._named.setdefault(one.name, []).append(one.value)
        found = self._named.get(name, [])
        source = self.source
        if not found and name in SYSTEM_COLUMNS and source is not None and source.kind == "table":
            found = [Value(SYSTEM_COLUMNS[name], 0, silent=name == "tableoid", source=source)]
        return found

    def covered(self) -> Item:
        """The same below a join: still named, its columns offered by the join."""
        return replace(self, by_column=False)


@dataclass(slots=True, eq=False)
class Env:
    """The names one expression sees: the items of its level, then those of the enclosing levels."""

    items: list[Item]
    parent: Env | None
    ctes: Mapping[str, Cte]
    above: bool = False  # of a clause that runs above the level's filtered scans, where groups and no rows may be named

    def chain(self) -> Iterator[Env]:
        env: Env | None = self
        while env is not None:
            yield env
            env = env.parent

    def relation(self, name: str) -> Item | None:
        """The item that `name.column` means here; None where no or several items have that name."""
        env: Env | None = self
        while env is not None:
            found = [item for item in env.items if item.name == name and item.by_name]
            if found:
                return found[0] if len(found) == 1 else None
            env = env.parent
        return None

    def column(self, name: str) -> Value:
        """What the unqualified column is; UNKNOWN where it is none, ambiguous or perhaps of an open item."""
        for env in self.chain():
            found: list[Value] = []
            open_item = False
            for item in env.items:
                if item.by_column:
                    found += item.own(name)
                    open_item = open_item or item.open
            if len(found) == 1:
                return found[0]
            if found or open_item:
                return UNKNOWN
        return UNKNOWN

    def field(self, relation: str, name: str, schema: str | None = None) -> Value:
        """What `relation.column` is."""
        item = self.relation(relation)
        if item is None or (item.source is None and schema is not None):
            return UNKNOWN
        if schema is not None:
            visible = item.source.visible if item.source else None
            if visible is None or visible.relation.schema != schema:
                return UNKNOWN
        found = item.own(name)
        return found[0] if len(found) == 1 else UNKNOWN

    def tenants(self) -> list[Source]:
        """Every tenant relation whose other rows may be met here: of this level and of all enclosing ones, but not of a
        level above whose scans this runs."""
        return [
            item.source
            for env in self.chain()
            if not env.above
            for item in env.items
            if item.by_name and item.source is not None and item.source.tenant
        ]


def strings(fields: list[Tree]) -> list[str] | None:
    """The names of a list of String nodes; None where another node (a star) is among them."""
    names = []
    for one in fields:
        if "String" not in one:
            return None
        names.append(str(one["String"].get("sval", "")))
    return names
