"""SELECT in all its forms: sub-links, grouping, windows, set operations, WITH."""

from __future__ import annotations

from collections.abc import Callable

from tests.equivalence.grammar.sources import Query, Sources
from tests.equivalence.grammar.tables import Column, Item, Scope

OUTPUTS = ("int", "text", "num", "float", "time", "bool", "date", "key", "array", "enum", "json")
SORTABLE = frozenset(OUTPUTS) | {"word", "skey", "ukey"}


class Queries(Sources):
    """Queries of any depth."""

    # -- sub-links

    def scalar(self, kind: str, scope: Scope, depth: int) -> str:
        inner = scope.inner()
        source = self.from_item(inner, depth, lateral=False)
        self.dice.count("sublink.scalar")
        where = f" WHERE {self.condition(inner, depth, 'sublink.where')}"
        if kind in ("int", "key", "text", "num", "float", "time", "date", "enum") and self.dice.random() < 0.7:
            plain = "int" if kind == "key" else kind
            # of inner columns only: an aggregate over an enclosing level's belongs to that level
            value = self.value(plain, Scope(inner.items, []), 0, "sublink.target")
            return f"(SELECT max({value}) FROM {source}{where})"
        output = self.value("int" if kind == "key" else kind, inner, 0, "sublink.target")
        return f"(SELECT DISTINCT {output} AS c FROM {source}{where} ORDER BY 1 LIMIT 1)"

    def subquery(self, kinds: list[str], scope: Scope, depth: int) -> str:
        self.dice.count("sublink.rows")
        return self.select(scope.inner(), depth, kinds).text

    # -- SELECT

    def query(self, scope: Scope, depth: int, kinds: list[str] | None = None) -> Query:
        """A SELECT, a set operation, VALUES; perhaps with ORDER BY over all its columns and LIMIT."""
        options: dict[str, Callable[[], Query]] = {"select": lambda: self.select(scope, depth, kinds)}
        if depth > 0:
            options["set_operation"] = lambda: self.set_operation(scope, depth - 1, kinds)
            options["with"] = lambda: self._nested_with(scope, depth - 1, kinds)
        if kinds is None:
            options["values"] = lambda: self._values_query(scope, depth)
        made = self.dice.produce("query", options, {"select": 8, "set_operation": 1.5, "values": 0.3, "with": 0.6})
        if all(one.kind in SORTABLE for one in made.columns) and self.dice.maybe("query.ordered", 0.35):
            return self.ordered(made)
        return made

    def ordered(self, made: Query) -> Query:
        """ORDER BY all columns, so that rows which tie are the same; then LIMIT and OFFSET mean the same everywhere."""
        how = self.dice.pick("order", {"number": 3, "name": 3, "descending": 2, "nulls_first": 1})
        suffix = {"descending": " DESC", "nulls_first": " NULLS FIRST"}.get(how, "")
        by = [str(at + 1) if how == "number" else one.name for at, one in enumerate(made.columns)]
        text = f"{made.text} ORDER BY {', '.join(one + suffix for one in by)}"
        limit = self.dice.pick(
            "limit", {"none": 4, "count": 2, "offset": 1, "fetch": 0.6, "ties": 0.5, "sub_select": 0.7, "loud": 0.5}
        )
        nobody = Scope([], [])
        if limit == "count":
            text += f" LIMIT {self.constant('int').replace('(-1)', '2')}"
        elif limit == "offset":
            text += f" LIMIT {self.dice.randint(1, 9)} OFFSET {self.dice.randint(0, 3)}"
        elif limit == "fetch":
            text += f" OFFSET 1 FETCH FIRST {self.dice.randint(1, 5)} ROWS ONLY"
        elif limit == "ties":
            text += f" FETCH FIRST {self.dice.randint(1, 5)} ROWS WITH TIES"
        elif limit == "sub_select":
            text += f" LIMIT {self.scalar('int', nobody, 0)}"
        elif limit == "loud":
            inner = Scope([], [])
            source = self._table(inner)
            text += f" LIMIT (SELECT max(abs({self.value('int', inner, 0, 'limit')})) FROM {source})"
        return Query(text, made.columns, ordered=True)

    def _nested_with(self, scope: Scope, depth: int, kinds: list[str] | None) -> Query:
        known = len(self.ctes)
        text = self.with_clause(min(depth, 1), None)
        made = self.select(scope, depth, kinds)
        del self.ctes[known:]
        return Query(text + made.text, made.columns)

    def _values_query(self, scope: Scope, depth: int) -> Query:
        rows = [
            f"({self.value('int', scope, 0)}, {self.scalar('text', scope, max(0, depth - 1))})"
            for _ in range(self.dice.randint(1, 2))
        ]
        return Query(f"VALUES {', '.join(rows)}", (Column("column1", "int"), Column("column2", "text")))

    def set_operation(self, scope: Scope, depth: int, kinds: list[str] | None) -> Query:
        """UNION, INTERSECT or EXCEPT of two arms with columns of the same kinds; not numeric, whose equals may look unlike."""
        wanted = kinds or [
            self.dice.choice(("int", "text", "date", "time", "key")) for _ in range(self.dice.randint(1, 3))
        ]
        operator = self.dice.pick(
            "set", {"UNION ALL": 3, "UNION": 2, "INTERSECT": 1, "EXCEPT": 1, "INTERSECT ALL": 0.5}
        )
        left = self.select(scope, depth, wanted)
        right = self.select(Scope([], scope.outer), depth, wanted)
        if self.dice.maybe("set.three_arms", 0.15):
            third = self.select(Scope([], scope.outer), 0, wanted)
            right = Query(f"({right.text} EXCEPT {third.text})", right.columns)
        if self.dice.maybe("set.parenthesised", 0.3):
            left = Query(f"({left.text})", left.columns)
        return Query(f"{left.text} {operator} {right.text}", left.columns)

    def simple_select(self, scope: Scope, depth: int, *, lock: bool) -> Query:
        """Columns FROM tables WHERE, which may be locked."""
        source = self.from_clause(scope, 0 if lock else depth, 1)
        targets, columns = self._targets(scope, depth, None)
        text = f"SELECT {targets} FROM {source}"
        if self.dice.random() < 0.6:
            text += f" WHERE {self.condition(scope, depth, 'where.locking')}"
        lockable = all(one.source == "table" for one in scope.items)
        if lock and lockable:
            text += self.dice.pick(
                "lock", {" FOR UPDATE": 2, " FOR SHARE": 1, " FOR NO KEY UPDATE": 1, " FOR KEY SHARE": 1}
            )
        return Query(text, columns)

    def select(self, scope: Scope, depth: int, kinds: list[str] | None) -> Query:
        """One SELECT arm. The scope's items are what its FROM makes."""
        dice = self.dice
        if dice.maybe("select.no_from", 0.02):
            targets, columns = self._targets(scope, depth, kinds)
            return Query(f"SELECT {targets}", columns)
        count = dice.choices([1, 2, 3], [5, 4, 1.2 if depth > 0 else 0.2])[0]
        source = self.from_clause(scope, depth, count)
        where = f" WHERE {self.condition(scope, depth, 'where')}" if dice.maybe("select.where", 0.75) else ""
        if kinds is None and dice.random() < 0.22:
            return self._grouped(scope, depth, source, where)
        if kinds is None and dice.random() < 0.1:
            return self._windowed(scope, depth, source, where)
        if kinds is None and dice.random() < 0.06:
            return self._starred(scope, source, where)
        targets, columns = self._targets(scope, depth, kinds)
        if dice.maybe("select.distinct", 0.07) and all(one.kind in SORTABLE for one in columns):
            return Query(f"SELECT DISTINCT {targets} FROM {source}{where}", columns)
        if dice.random() < 0.05 and all(one.kind in SORTABLE for one in columns):
            return self._distinct_on(scope, depth, (targets, columns), source, where)
        return Query(f"SELECT {targets} FROM {source}{where}", columns, plain=True)

    def _targets(self, scope: Scope, depth: int, kinds: list[str] | None) -> tuple[str, tuple[Column, ...]]:
        wanted = kinds or [self.dice.choice(OUTPUTS[:9]) if self.dice.random() < 0.85 else self.dice.choice(OUTPUTS)
                           for _ in range(self.dice.randint(1, 4))]  # fmt: skip
        parts, columns = [], []
        for kind in wanted:
            name = self.name("c")
            parts.append(f"{self.value(kind, scope, min(depth, 1), 'target')} AS {name}")
            columns.append(Column(name, kind))
        return ", ".join(parts), tuple(columns)

    def _starred(self, scope: Scope, source: str, where: str) -> Query:
        item = self.dice.choice(scope.items)
        self.dice.count("select.star")
        return Query(f"SELECT {item.alias}.* FROM {source}{where}", item.columns)

    def _distinct_on(
        self, scope: Scope, depth: int, made: tuple[str, tuple[Column, ...]], source: str, where: str
    ) -> Query:
        by = self.value("int", scope, min(depth, 1), "distinct_on")
        self.dice.count("select.distinct_on")
        if by.lstrip("(").split(":")[0].lstrip("-$").replace(")", "").isdigit():
            by = f"({by} + 0)"
        names = ", ".join(one.name for one in made[1])
        text = f"SELECT DISTINCT ON ({by}) {made[0]} FROM {source}{where} ORDER BY {by}, {names}"
        return Query(f"SELECT * FROM ({text}) AS {self.name('d')}", made[1])

    def _grouped(self, scope: Scope, depth: int, source: str, where: str) -> Query:
        dice = self.dice
        keys = [self._groupable(scope, depth) for _ in range(dice.randint(1, 2))]
        names = [self.name("c") for _ in keys]
        how = dice.pick(
            "group", {"plain": 5, "sets": 1.3, "cube": 1.2, "rollup": 1.3, "primary_key": 3, "all": 1, "number": 1.3}
        )
        targets = [f"{text} AS {name}" for (text, _), name in zip(keys, names, strict=True)]
        columns = [Column(name, kind) for (_, kind), name in zip(keys, names, strict=True)]
        listed = ", ".join(text for text, _ in keys)
        by = {
            "plain": listed, "sets": f"GROUPING SETS (({listed}), ())", "cube": f"CUBE ({listed})",
            "rollup": f"ROLLUP ({listed})", "number": ", ".join(str(at + 1) for at in range(len(keys))),
        }.get(how)  # fmt: skip
        keyed = [one for one in scope.items if one.table is not None and one.table.name in ("orders", "customers", "users")
                 and one.columns == one.table.columns]  # fmt: skip
        if how == "primary_key" and keyed:
            item = keyed[0]
            name = self.name("c")
            targets, columns = (
                [f"{self.loud('int', Scope([item], []), 'group.dependent') or item.alias + '.id'} AS {name}"],
                [Column(name, "int")],
            )
            by = f"{item.alias}.tenant_id, {item.alias}.id"
        elif how in ("all", "primary_key"):
            targets, columns, by = [], [], None
        for _ in range(dice.randint(1, 2)):
            text, kind = self.aggregate(scope, depth)
            name = self.name("c")
            targets.append(f"{text} AS {name}")
            columns.append(Column(name, kind))
        text = f"SELECT {', '.join(targets)} FROM {source}{where}"
        text += f" GROUP BY {by}" if by else ""
        if dice.maybe("select.having", 0.4):
            text += f" HAVING {self._having(scope, depth, keys if by and how in ('plain', 'number') else [])}"
        return Query(text, tuple(columns))

    def _groupable(self, scope: Scope, depth: int) -> tuple[str, str]:
        """A key that names a column: one that is the same in every row is sorted wrongly above GROUPING SETS, by 15."""
        kind = self.dice.choice(("int", "text", "enum", "key", "time"))
        text = self.value(kind, scope, min(depth, 1), "group_by")
        if "." in text and "SELECT" not in text:
            return text, kind
        found = self.column(tuple(OUTPUTS), scope)
        return (found[0], "int" if found[2] == "key" else found[2]) if found else ("1 + 1", "int")

    def _having(self, scope: Scope, depth: int, keys: list[tuple[str, str]]) -> str:
        options: dict[str, Callable[[], str]] = {
            "count": lambda: "count(*) >= 1",
            "aggregate": lambda: f"max({self.value('int', scope, 0, 'having')}) IS NOT NULL",
            "loud_aggregate": lambda: f"12 / max({self.value('int', scope, 0)}) < 100",
            "sublink": lambda: f"count(*) > {self.scalar('int', Scope([], scope.outer), max(0, depth - 1))}",
        }
        if keys:
            text, kind = keys[0]
            options["key"] = lambda: f"{text} IS NOT NULL"
            if kind in ("int", "key"):
                self.loud_outside = True
                options["loud_key"] = lambda: f"60 / ({text}) IS NOT NULL"
            options["both"] = lambda: f"({text} IS NOT NULL AND count(*) > 0)"
        return self.dice.produce("having", options, {"loud_key": 4})

    def aggregate(self, scope: Scope, depth: int) -> tuple[str, str]:
        """An aggregate whose value no order decides."""
        low = min(depth, 1)

        def of(kind: str) -> str:
            return self.value(kind, scope, low, "aggregate")

        options: dict[str, Callable[[], tuple[str, str]]] = {
            "count": lambda: ("count(*)::int", "int"),
            "count_distinct": lambda: (f"count(DISTINCT {of('int')})::int", "int"),
            "sum": lambda: (f"sum({of('int')})::int", "int"),
            "max": lambda: (f"max({of('text')})", "text"),
            "min": lambda: (f"min({of('time')})", "time"),
            "average": lambda: (f"avg({of('num')})", "num"),
            "bool_and": lambda: (f"bool_and({self.condition(scope, low, 'aggregate')})", "bool"),
            "string_agg": lambda: self._ordered_agg("string_agg", of("text")),
            "array_agg": lambda: self._ordered_agg("array_agg", of("text")),
            "percentile": lambda: (f"percentile_disc(0.5) WITHIN GROUP (ORDER BY {of('int')})", "int"),
        }
        text, kind = self.dice.produce("aggregate", options)
        if kind == "int" and "::int" not in text[-5:]:
            return text, kind
        if self.dice.maybe("aggregate.filter", 0.2):
            head, cast = (text[:-5], "::int") if text.endswith("::int") else (text, "")
            text = f"({head} FILTER (WHERE {self.condition(scope, low, 'filter')})){cast}"
        return text, kind

    @staticmethod
    def _ordered_agg(name: str, argument: str) -> tuple[str, str]:
        if name == "string_agg":
            return f"string_agg({argument}, ',' ORDER BY {argument})", "text"
        return f"array_agg({argument} ORDER BY {argument} DESC)", "array"

    def _windowed(self, scope: Scope, depth: int, source: str, where: str) -> Query:
        targets, columns = self._targets(scope, depth, None)
        low = min(depth, 1)
        partition = f"PARTITION BY {self.value('int', scope, low, 'window.partition')}"
        order = f"ORDER BY {self.value(self.dice.choice(('int', 'text', 'time')), scope, low, 'window.order')}"
        call = self.dice.pick(
            "window", {"rank()": 1, "dense_rank()": 1, "count(*)": 1, "percent_rank()": 0.5, "sum": 1, "max": 1}
        )
        if call in ("sum", "max"):
            call = f"{call}({self.value('int', scope, low, 'window.argument')})"
        frame = self.dice.pick("frame", {"": 2, "RANGE UNBOUNDED PRECEDING": 1, "GROUPS 1 PRECEDING": 1})
        window = f"{partition} {order} {frame}".strip()
        name = self.name("c")
        clause = ""
        if self.dice.maybe("window.named", 0.4):
            label = self.name("w")
            window, clause = label, f" WINDOW {label} AS ({window})"
            over = f"{call} OVER {window}"
        else:
            over = f"{call} OVER ({window})"
        kind = "float" if call == "percent_rank()" else "int"
        return Query(f"SELECT {targets}, {over} AS {name} FROM {source}{where}{clause}", (*columns, Column(name, kind)))

    # -- WITH

    def with_clause(self, depth: int, changing: Callable[[], Query] | None) -> str:
        """WITH items, which the rest of the statement can name; `changing` makes a data-modifying one."""
        parts: list[str] = []
        recursive = self.dice.maybe("with.recursive", 0.25)
        for _ in range(self.dice.randint(1, 2)):
            options: dict[str, Callable[[], str]] = {
                "plain": lambda: self._with_query(depth, ""),
                "materialized": lambda: self._with_query(depth, "MATERIALIZED "),
                "not_materialized": lambda: self._with_query(depth, "NOT MATERIALIZED "),
                "shadowing": lambda: self._shadowing(depth),
            }
            if recursive:
                options["recursive"] = self._recursive
            if changing is not None and not any("RETURNING" in one for one in parts):
                options["changing"] = lambda: self._with_change(changing)
            parts.append(self.dice.produce("with", options, {"recursive": 2, "changing": 1.5}))
        return f"WITH {'RECURSIVE ' if recursive else ''}{', '.join(parts)} "

    def _with_query(self, depth: int, how: str) -> str:
        made = self.query(Scope([], []), depth)
        name = self.name("q")
        self.ctes.append(Item(name, made.columns, "cte"))
        return f"{name} AS {how}({made.text})"

    def _shadowing(self, depth: int) -> str:
        """A WITH item named as a table; inside it the name is the table, outside the item."""
        made = self.select(Scope([], []), depth, ["int", "text"])
        name = self.name("q")
        self.ctes.append(Item(name, made.columns, "cte"))
        return f"{name} AS (WITH orders AS ({made.text}) SELECT * FROM orders)"

    def _with_change(self, changing: Callable[[], Query]) -> str:
        made = changing()
        name = self.name("q")
        self.ctes.append(Item(name, made.columns, "cte"))
        return f"{name} AS ({made.text})"

    def _recursive(self) -> str:
        name, one, two = self.name("q"), self.name("n"), self.name("n")
        scope = Scope([], [])
        source = self._table(scope)
        start = f"SELECT {self.value('int', scope, 0, 'recursive.start')}, 1 FROM {source} WHERE {self.condition(scope, 0, 'recursive.start')}"
        step = Scope([Item("r", (Column(one, "int"), Column(two, "int")), "cte")], [])
        joined = self._table(step)
        table = step.items[1]
        on = self._equation(Scope(step.items[:1], []), [table], loud=False) or "true"
        more = self.condition(step, 0, "recursive.step")
        again = f"SELECT {self.value('int', Scope([table], []), 0)}, r.{two} + 1 FROM {name} r JOIN {joined} ON {on} WHERE r.{two} < 3 AND {more}"
        self.ctes.append(Item(name, (Column(one, "int"), Column(two, "int")), "cte"))
        return f"{name} ({one}, {two}) AS ({start} UNION {again})"
