"""INSERT, UPDATE, DELETE and MERGE. What a change reads from other items decides no value that is kept: which of several
joined rows wins is nobody's promise.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.equivalence.grammar.queries import Queries
from tests.equivalence.grammar.sources import Query
from tests.equivalence.grammar.tables import TABLES, Column, Item, Scope, Table, quoted

# Tables that are written, the columns that an INSERT gives (a key that is free, then the rest), and what UPDATE sets.
WRITTEN: dict[str, tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]] = {
    "customers": (
        (("id", "900 + {n}"), ("name", "text"), ("email", "text"), ("city", "text"), ("credit", "num")),
        (("name", "text"), ("email", "text"), ("credit", "num"), ("created_at", "time")),
    ),
    "orders": (
        (("id", "900 + {n}"), ("customer_id", "2"), ("qty", "int"), ("secret", "text"), ("note", "text"), ("status", "enum"),
         ("meta", "json")),
        (("qty", "int"), ("note", "text"), ("secret", "text"), ("status", "enum"), ("meta", "json"), ("version", "int")),
    ),
    "notes": ((("id", "900 + {n}"), ("body", "text"), ("author", "text")), (("body", "text"), ("updated_at", "time"))),
    "documents": ((("id", "900 + {n}"), ("title", "text"), ("body", "text")), (("title", "text"), ("body", "text"))),
    "events": ((("id", "900 + {n}"), ("kind", "text"), ("payload", "json"), ("at", "time")), (("kind", "text"), ("payload", "json"))),
    "assets": ((("id", "900 + {n}"), ("label", "text"), ("cost", "num")), (("label", "text"), ("cost", "num"))),
    "order_items": ((("order_id", "3"), ("line", "90 + {n}"), ("product_id", "5"), ("price", "num")), (("price", "num"), ("product_id", "1"))),
    "users": ((("id", "900 + {n}"), ("email", "'new' || {n}"), ("name", "text"), ("tags", "array")), (("name", "text"), ("prefs", "json"), ("is_active", "bool"))),
    "Order Details": ((("Id", "900 + {n}"), ("select", "text")), (("select", "text"),)),
    "odd": ((("id", "900 + {n}"), ("k", "text"), ("body", "text"), ("d", "date"), ("jb", "json")), (("body", "text"), ("big", "int"), ("dbl", "float"), ("d", "date"))),
}  # fmt: skip
CONFLICTS = {
    "customers": "tenant_id, id", "orders": "tenant_id, id", "notes": "tenant, id", "documents": "tenant_uid, id",
    "users": "tenant_id, email", "Order Details": '"TenantId", "Id"', "odd": "tenant_id, id",
}  # fmt: skip
OWN_KEY = {"key": "1", "skey": "'acme'", "ukey": "'00000000-0000-4000-8000-000000000001'"}


class Changes(Queries):
    """Changes of one table each."""

    major = 15

    def change(self, depth: int) -> Query:
        """A change with RETURNING."""
        return self.produce_change(depth, returning=1.0, merge=False)

    def produce_change(self, depth: int, *, returning: float = 0.7, merge: bool = True) -> Query:
        options: dict[str, Callable[[], Query]] = {
            "insert": lambda: self.insert(depth, returning),
            "update": lambda: self.update(depth, returning),
            "delete": lambda: self.delete(depth, returning),
        }
        if merge:
            options["merge"] = lambda: self.merge(depth)
        return self.dice.produce("change", options, {"merge": 0.8})

    def _target(self) -> tuple[Table, str, Item]:
        table = TABLES[self.dice.choice(list(WRITTEN))]
        self.dice.count(f"written.{table.name}")
        alias = self.name("t")
        return table, f"{quoted(table.name)} AS {alias}", Item(alias, table.columns, "table", table)

    def _returning(self, item: Item, depth: int, chance: float) -> tuple[str, tuple[Column, ...]]:
        if self.dice.random() >= chance:
            return "", ()
        scope = Scope([item], [])
        parts, columns = [], []
        for kind in self.dice.sample(("int", "text", "num", "key", "time"), self.dice.randint(1, 3)):
            name = self.name("c")
            parts.append(f"{self.value(kind, scope, min(depth, 1), 'returning')} AS {name}")
            columns.append(Column(name, kind))
        self.dice.count("change.returning")
        return f" RETURNING {', '.join(parts)}", tuple(columns)

    # -- INSERT

    def insert(self, depth: int, returning: float) -> Query:
        """VALUES, a query or defaults; with ON CONFLICT or without."""
        table, text, item = self._target()
        given = list(WRITTEN[table.name][0])
        how = self.dice.pick("insert", {"values": 2, "select": 3, "key_given": 0.7, "key_default": 0.5, "existing": 3})
        names = [quoted(name) for name, _ in given]
        number = self.dice.randint(1, 5)
        if how == "select":
            scope = Scope([], [])
            source = self._table(scope)
            row = self._row(given, number, scope, depth)
            where = self.condition(scope, min(depth, 1), "insert.source")
            body = f"SELECT DISTINCT {', '.join(row)} FROM {source} WHERE {where}"
            if self.dice.maybe(
                "insert.first", 0.7
            ):  # rows of one key: the first by all columns, or one of them would win
                body += f" ORDER BY {', '.join(str(at + 1) for at in range(len(row)))} LIMIT 1"
        else:
            rows = []
            for at in range(self.dice.randint(1, 3)):
                row = self._row(given, number + at, Scope([], []), depth)
                if how == "existing":
                    row[0] = str(number + at) if table.name != "order_items" else row[0]
                if how in ("key_given", "key_default"):
                    row.append("DEFAULT" if how == "key_default" else OWN_KEY[table.key.kind])
                rows.append(f"({', '.join(row)})")
            if how in ("key_given", "key_default"):
                names.append(quoted(table.key.name))
            body = f"VALUES {', '.join(rows)}"
        made = f"INSERT INTO {text} ({', '.join(names)}) {body}"
        chance = 0.3 if how != "select" or body.endswith("LIMIT 1") else 0.0
        if table.name in CONFLICTS and (how == "existing" or self.dice.random() < chance):
            made += self._conflict(table, item, depth)
        suffix, columns = self._returning(item, depth, returning)
        return Query(made + suffix, columns)

    def _row(self, given: list[tuple[str, str]], number: int, scope: Scope, depth: int) -> list[str]:
        """A value for each column: the key as the table says, the rest random and of a kind that any row may have."""
        row = []
        for at, (_, rule) in enumerate(given):
            if at == 0 or not rule.isalpha():
                row.append(rule.format(n=number))
            elif rule in ("text", "num", "json", "array", "enum", "time"):
                value = (
                    self.value(rule, scope, min(depth, 1), "insert.values")
                    if self.dice.random() < 0.75
                    else self.constant(rule)
                )
                row.append(f"coalesce({value}, {_SPARE[rule]})")
            else:
                row.append(f"coalesce({self.constant(rule)}, {_SPARE[rule]})")
        return row

    def _conflict(self, table: Table, item: Item, depth: int) -> str:
        target = CONFLICTS[table.name]
        how = self.dice.pick("conflict", {"nothing": 1.5, "any_nothing": 1.5, "update": 3, "update_where": 3})
        if how == "any_nothing":
            return " ON CONFLICT DO NOTHING"
        if how == "nothing":
            return f" ON CONFLICT ({target}) DO NOTHING"
        excluded = Item("excluded", table.columns, "excluded", table)
        both = Scope([item, excluded], [])
        name, kind = self.dice.choice(WRITTEN[table.name][1])
        value = self.loud(kind, both, "conflict.set") or self.value(kind, both, min(depth, 1))
        value = f"coalesce({value}, {_SPARE[kind]})"
        made = f" ON CONFLICT ({target}) DO UPDATE SET {quoted(name)} = {value}"
        if how == "update_where":
            made += f" WHERE {self.condition(both, min(depth, 1), 'conflict.where')}"
        return made

    # -- UPDATE, DELETE

    def _assignments(self, table: Table, item: Item, depth: int, position: str) -> str:
        columns = self.dice.sample(WRITTEN[table.name][1], self.dice.randint(1, min(2, len(WRITTEN[table.name][1]))))
        parts = []
        for name, rule in columns:
            kind, scope = (rule if rule.isalpha() else "int"), Scope([item], [])
            value = (
                rule
                if not rule.isalpha()
                else f"coalesce({self.value(kind, scope, min(depth, 1), position)}, {_SPARE[kind]})"
            )
            if len(columns) == 1 and self.dice.maybe("set.row", 0.15):
                return f"({quoted(name)}) = ROW({value})"
            if kind != "int" and len(columns) == 1 and self.dice.maybe("set.sub_select", 0.15):
                return f"({quoted(name)}) = (SELECT {value})"
            parts.append(f"{quoted(name)} = {value}")
        return ", ".join(parts)

    def update(self, depth: int, returning: float) -> Query:
        table, text, item = self._target()
        made = f"UPDATE {text} SET {self._assignments(table, item, depth, 'set')}"
        scope = Scope([item], [])
        if self.dice.maybe("update.from", 0.35):
            more = Scope([], [])
            made += f" FROM {self.from_clause(more, min(depth, 1), self.dice.randint(1, 2))}"
            scope.items += more.items
        made += self._where(scope, depth, "update.where")
        suffix, columns = self._returning(item, depth, returning)
        return Query(made + suffix, columns)

    def delete(self, depth: int, returning: float) -> Query:
        _, text, item = self._target()
        made, scope = f"DELETE FROM {text}", Scope([item], [])
        if self.dice.maybe("delete.using", 0.35):
            more = Scope([], [])
            made += f" USING {self.from_clause(more, min(depth, 1), self.dice.randint(1, 2))}"
            scope.items += more.items
        made += self._where(scope, depth, "delete.where")
        suffix, columns = self._returning(item, depth, returning)
        return Query(made + suffix, columns)

    def _where(self, scope: Scope, depth: int, position: str) -> str:
        if len(scope.items) > 1:
            equation = self._equation(Scope(scope.items[:1], []), scope.items[1:], loud=False)
            return f" WHERE {equation or 'true'} AND {self.condition(scope, depth, position)}"
        return f" WHERE {self.condition(scope, depth, position)}" if self.dice.random() < 0.9 else ""

    # -- MERGE

    def merge(self, depth: int) -> Query:
        """Source rows that match at most one target row each, so that the outcome is one."""
        name = self.dice.choice(("customers", "orders", "notes", "documents", "odd", "assets"))
        table = TABLES[name]
        alias = self.name("t")
        target = Item(alias, table.columns, "table", table)
        if self.dice.maybe("merge.table", 0.25):
            other, label = self.dice.choice(
                (("customers", "name"), ("notes", "body"), ("documents", "title"), ("odd", "k"))
            )
            key = "id"
            shown = Item(self.name("s"), (Column(key, "int"), Column(label, "text")), "table")
            using = f"{other} AS {shown.alias}"
        else:
            key, label = self.name("n"), self.name("n")
            shown = Item(self.name("s"), (Column(key, "int"), Column(label, "text")), "sub-select")
            using = f"({self._merge_source(depth)}) AS {shown.alias} ({key}, {label})"
        both = Scope([target, shown], [])
        on = f"{alias}.id = {shown.alias}.{key}"
        if self.dice.maybe("merge.loud_on", 0.4):
            on += f" AND {self.condition(both, 0, 'merge.on')}"
        made = f"MERGE INTO {quoted(name)} AS {alias} USING {using} ON {on}"
        condition = f" AND {self.condition(both, 0, 'merge.when')}" if self.dice.random() < 0.5 else ""
        action = self.dice.pick("merge", {"update": 2, "delete": 1, "nothing": 0.7})
        what = {"delete": "DELETE", "nothing": "DO NOTHING"}.get(action)
        made += f" WHEN MATCHED{condition} THEN {what or 'UPDATE SET ' + self._assignments(table, target, depth, 'merge.set')}"
        if self.dice.maybe("merge.insert", 0.4):
            given = list(WRITTEN[name][0])
            values = [
                f"700 + {shown.alias}.{key}",
                *(f"coalesce({self.constant(r)}, {_SPARE[r]})" if r.isalpha() else r for _, r in given[1:]),
            ]
            made += f" WHEN NOT MATCHED AND {shown.alias}.{key} > 0 THEN INSERT ({', '.join(quoted(n) for n, _ in given)}) VALUES ({', '.join(values)})"
        if self.major >= 17 and self.dice.maybe("merge.by_source", 0.3):
            made += f" WHEN NOT MATCHED BY SOURCE AND {self.condition(Scope([target], []), 0, 'merge.by_source')} THEN DELETE"
        return Query(made, ())

    def _merge_source(self, depth: int) -> str:
        """Rows of one key each."""
        scope = Scope([], [])
        source = self._table(scope)
        row = f"{self.value('int', scope, 0, 'merge.source')}, max({self.value('text', scope, 0, 'merge.source')})"
        where = self.condition(scope, min(depth, 1), "merge.source")
        return f"SELECT {row} FROM {source} WHERE {where} GROUP BY 1"


_SPARE = {
    "text": "'s'", "num": "1", "json": "'{}'", "array": "'{1,2}'", "enum": "'new'", "time": "'2024-05-05 00:00+00'",
    "int": "1", "bool": "true", "date": "'2024-01-02'", "float": "1",
}  # fmt: skip
