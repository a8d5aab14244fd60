"""FROM: tables under all their spellings, derived tables, aliased joins, LATERAL, functions, and joins of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.equivalence.grammar.expressions import Expressions
from tests.equivalence.grammar.tables import COMPLETE, OFTEN, TABLES, Column, Item, Scope, Table, quoted


@dataclass(frozen=True, slots=True)
class Query:
    """text without a final ORDER BY unless ordered; columns: its outputs by kind."""

    text: str
    columns: tuple[Column, ...]
    ordered: bool = False
    plain: bool = False  # a lone SELECT: ORDER BY and locks may be put behind it


class Sources(Expressions):
    """ctes: what WITH clauses around have named."""

    ctes: list[Item]

    def select(self, scope: Scope, depth: int, kinds: list[str] | None) -> Query:
        raise NotImplementedError

    def simple_select(self, scope: Scope, depth: int, *, lock: bool) -> Query:
        raise NotImplementedError

    def query(self, scope: Scope, depth: int, kinds: list[str] | None = None) -> Query:
        raise NotImplementedError

    # -- FROM

    def table(self) -> Table:
        name = self.dice.choice(OFTEN) if self.dice.random() < 0.6 else self.dice.choice(list(TABLES))
        self.dice.count(f"relation.{name}")
        return TABLES[name]

    def from_clause(self, scope: Scope, depth: int, count: int) -> str:
        """Fills the scope's items; the text behind FROM."""
        parts: list[str] = []
        while len(scope.items) < count:
            left = count - len(scope.items)
            joined = left > 1 and self.dice.random() < 0.75
            parts.append(self.join(scope, depth, left) if joined else self.from_item(scope, depth, lateral=bool(parts)))
        if len(parts) > 1:
            self.dice.count("from.comma")
        return ", ".join(parts)

    def from_item(self, scope: Scope, depth: int, *, lateral: bool) -> str:
        """One item that is no join; it is put into the scope."""
        options: dict[str, Callable[[], str]] = {"table": lambda: self._table(scope)}
        if depth > 0:
            options["sub_select"] = lambda: self._derived(scope, depth - 1, "sub-select")
            options["locking"] = lambda: self._derived(scope, depth - 1, "locking")
            options["values"] = lambda: self._values(scope)
            options["aliased_join"] = lambda: self._aliased_join(scope, depth - 1)
        if self.ctes:
            options["cte"] = lambda: self._cte(scope)
        if lateral and scope.items:
            options["lateral"] = lambda: self._lateral(scope, depth)
            options["function"] = lambda: self._function(scope)
            options["lateral_values"] = lambda: self._lateral_values(scope)
        return self.dice.produce(
            "from",
            options,
            {"table": 7, "sub_select": 1.5, "cte": 4, "locking": 0.6, "values": 0.5, "aliased_join": 0.8},
        )

    def _table(self, scope: Scope) -> str:
        table = self.table()
        alias = self.name(table.name[0].lower())
        columns = table.columns
        spelled = self.dice.pick("spelling", {"plain": 8, "qualified": 1, "only": 0.5, "star": 0.4, "renamed": 1})
        text = quoted(table.name)
        text = {"qualified": f"public.{text}", "only": f"ONLY {text}", "star": f"{text} *"}.get(spelled, text)
        text = f"{text} AS {alias}" if self.dice.random() < 0.5 else f"{text} {alias}"
        # a list of names counts every column, and not all of them are in the table of kinds
        if spelled == "renamed" and table.name in COMPLETE:
            renamed = [self.name("n") for _ in range(self.dice.randint(1, len(columns)))]
            columns = (
                tuple(Column(new, old.kind) for new, old in zip(renamed, columns, strict=False))
                + columns[len(renamed) :]
            )
            text += f" ({', '.join(renamed)})"
        scope.items.append(Item(alias, columns, table.source, table))
        return text

    def _derived(self, scope: Scope, depth: int, source: str) -> str:
        if source == "locking":
            inner = self.simple_select(Scope([], scope.outer), depth, lock=True)
        else:
            inner = self.query(Scope([], scope.outer), depth)
        alias = self.name("d")
        scope.items.append(Item(alias, inner.columns, source))
        return f"({inner.text}) AS {alias}"

    def _values(self, scope: Scope) -> str:
        alias, one, two = self.name("v"), self.name("n"), self.name("n")
        rows = [f"({self.constant('int')}, {self.constant('text')})" for _ in range(self.dice.randint(1, 3))]
        scope.items.append(Item(alias, (Column(one, "int"), Column(two, "text")), "values"))
        return f"(VALUES {', '.join(rows)}) AS {alias} ({one}, {two})"

    def _lateral_values(self, scope: Scope) -> str:
        alias, one, two = self.name("v"), self.name("n"), self.name("n")
        row = f"({self.value('int', scope, 1, 'values')}, {self.value('text', scope, 1, 'values')})"
        scope.items.append(Item(alias, (Column(one, "int"), Column(two, "text")), "values"))
        return f"LATERAL (VALUES {row}) AS {alias} ({one}, {two})"

    def _cte(self, scope: Scope) -> str:
        cte = self.dice.choice(self.ctes)
        alias = self.name("w")
        scope.items.append(Item(alias, cte.columns, "cte"))
        return f"{cte.alias} AS {alias}"

    def _aliased_join(self, scope: Scope, depth: int) -> str:
        inner = Scope([], scope.outer)
        text = self.join(inner, depth, 2)
        alias = self.name("j")
        columns = tuple(Column(self.name("n"), one.kind) for item in inner.items for one in item.columns)
        if (
            any(item.table is not None and item.table.name not in COMPLETE for item in inner.items)
            or "USING" in text
            or "NATURAL" in text
        ):
            # the names of a join can be given only when all its columns are known, and merged ones stand first
            scope.items += inner.items
            return f"({text})"
        scope.items.append(Item(alias, columns, "aliased-join"))
        return f"({text}) AS {alias} ({', '.join(one.name for one in columns)})"

    def _lateral(self, scope: Scope, depth: int) -> str:
        inner = self.select(Scope([], [*scope.items, *scope.outer]), max(0, depth - 1), None)
        alias = self.name("l")
        scope.items.append(Item(alias, inner.columns, "lateral"))
        return f"LATERAL ({inner.text}) AS {alias}"

    def _function(self, scope: Scope) -> str:
        alias, name = self.name("f"), self.name("n")
        kind, call = self.dice.choice([
            ("int", f"generate_series(1, least(4, {self.value('int', scope, 0, 'function')}))"),
            ("word", f"unnest(ARRAY[{self.value('text', scope, 0, 'function')}, 'x'])"),
        ])  # fmt: skip
        scope.items.append(Item(alias, (Column(name, kind),), "function"))
        return f"{call} AS {alias} ({name})"

    # -- joins

    def join(self, scope: Scope, depth: int, count: int) -> str:
        """A join of `count` items, put into the scope."""
        before = len(scope.items)
        left = self.from_item(scope, depth, lateral=False) if count < 3 else self.join(scope, depth, count - 1)
        left_items = scope.items[before:]
        kind = self.dice.pick(
            "join", {"inner": 5, "left": 4, "right": 2, "full": 2, "cross": 0.7, "natural": 2.2, "using": 3.2}
        )
        lateral = kind in ("inner", "left", "cross")
        right_scope = Scope(scope.items[:], scope.outer)
        known = len(right_scope.items)
        right = self.from_item(right_scope, depth, lateral=lateral)
        right_items = right_scope.items[known:]
        scope.items += right_items
        if kind == "cross":
            return f"{left} CROSS JOIN {right}"
        if kind in ("natural", "using"):
            merged = self._merged(left_items, right_items)
            if merged:
                outer = self.dice.pick(f"{kind}", {"inner": 2, "left": 1, "right": 1, "full": 1}).upper()
                if kind == "natural":
                    return f"{left} NATURAL {outer} JOIN {right}"
                return f"{left} {outer} JOIN {right} USING ({', '.join(quoted(one) for one in merged)})"
            kind = "left"
        return f"{left} {kind.upper()} JOIN {right} ON {self._on(kind, Scope(left_items, scope.outer), right_items)}"

    def _merged(self, left: list[Item], right: list[Item]) -> list[str]:
        """Columns that both arms have once, of a kind that can be compared."""
        if len(left) != 1 or len(right) != 1:
            return []
        theirs = {one.name: one.kind for one in right[0].columns}
        both = [
            one
            for one in left[0].columns
            if theirs.get(one.name) == one.kind and one.kind not in ("json", "attrs", "range")
        ]
        keys = [one.name for one in both if one.kind in ("key", "skey", "ukey")]
        return [*keys[:1], *(one.name for one in both if one.name == "id")] if keys else []

    def _on(self, kind: str, left: Scope, right: list[Item]) -> str:
        """An equation where there is one, and perhaps more; FULL JOIN takes equations only."""
        equation = self._equation(left, right, loud=kind == "full")
        both = Scope([*left.items, *right], left.outer)
        if kind == "full":
            return equation or "1 = 1"
        more = self.condition(both, 1, f"on.{kind}") if self.dice.maybe(f"on.{kind}.more", 0.5) else None
        return " AND ".join(one for one in (equation, more) if one) or "true"

    def _equation(self, left: Scope, right: list[Item], *, loud: bool) -> str | None:
        dice = self.dice
        theirs = Scope(right, left.outer)
        for kind in dice.sample(("int", "int", "key", "text", "skey", "time"), 6):
            mine = [f"{i.alias}.{quoted(c.name)}" for i in left.items for c in i.columns if c.kind == kind]
            other = [f"{i.alias}.{quoted(c.name)}" for i in right for c in i.columns if c.kind == kind]
            if not mine or not other:
                continue
            one, two = dice.choice(mine), dice.choice(other)
            if kind in ("int", "text") and dice.random() < (0.4 if loud else 0.12):
                two = self.loud(kind, Scope(theirs.items, []), "on.full" if loud else "on.equation") or two
            return f"{one} = {two}"
        return None
