"""Typed expressions over what a scope can name."""

from __future__ import annotations

from collections.abc import Callable

from tests.equivalence.grammar.dice import Dice
from tests.equivalence.grammar.loud import LOUD, OWN
from tests.equivalence.grammar.tables import KINDS, Item, Scope, quoted

Option = Callable[[], str]
OIDS = {"int4": 23, "text": 25, "numeric": 1700, "float8": 701, "bool": 16, "timestamptz": 1184, "date": 1082,
        "jsonb": 3802, "text[]": 1009, "uuid": 2950}  # fmt: skip
LIKE_INTEGERS = ("int", "key")
LIKE_TEXTS = ("text", "word", "skey")


class Expressions:
    """dice: the choices; parameters: (type OID or 0, value) of each `$n` so far; bound: whether there may be any."""

    def __init__(self, dice: Dice, *, bound: bool) -> None:
        self.dice = dice
        self.bound = bound
        self.parameters: list[tuple[int, str | None]] = []
        self.loud_outside = False
        self.names = 0

    def name(self, letter: str) -> str:
        """A name that the statement does not have yet."""
        self.names += 1
        return f"{letter}{self.names}"

    # -- columns and constants

    def column(self, kinds: tuple[str, ...], scope: Scope) -> tuple[str, Item, str] | None:
        """A column of one of these kinds: its text, its item and its kind."""
        near = [(item, one) for item in scope.items for one in item.columns if one.kind in kinds]
        far = [(item, one) for item in scope.outer[:3] for one in item.columns if one.kind in kinds]
        outward = bool(far) and (not near or self.dice.random() < 0.2)
        if not near and not far:
            return None
        item, one = self.dice.choice(far if outward else near)
        self.dice.count(f"column.{'correlated' if outward else 'near'}")
        return f"{item.alias}.{quoted(one.name)}", item, one.kind

    def constant(self, kind: str) -> str:
        """A literal of the kind, or a bind parameter."""
        kind = "text" if kind == "word" else kind
        value = self._value(kind)
        if (
            self.bound
            and len(self.parameters) < 20
            and self.dice.maybe(f"parameter.{kind}", 0.8 if kind in ("skey", "ukey") else 0.5)
        ):
            return self._parameter(kind, value)
        if kind in ("int", "key", "num", "float") and value is not None:
            return value if not value.startswith("-") else f"({value})"
        if value is None:
            return f"NULL::{KINDS[kind]}"
        text = "'" + value.replace("'", "''") + "'"
        return text if kind in ("text", "word", "skey") and self.dice.random() < 0.7 else f"{text}::{KINDS[kind]}"

    def _parameter(self, kind: str, value: str | None) -> str:
        wanted = OIDS.get(KINDS[kind], 0)
        told = self.dice.maybe("parameter.typed", 0.3)
        self.parameters.append((wanted if told else 0, value))
        number = f"${len(self.parameters)}"
        return number if told and wanted else f"{number}::{KINDS[kind]}"

    def _value(self, kind: str) -> str | None:
        dice = self.dice
        if dice.maybe("constant.null", 0.02):
            return None
        match kind:
            case "int":
                return str(dice.choice([1, 1, 2, 3, 4, 5, 7, 8, 12, 20, 100, -1]))
            case "key":
                return str(dice.choice([1, 1, 2, 3]))
            case "num":
                return dice.choice(["1.5", "100", "113.50", "0.25", "7", "250.75"])
            case "float":
                return dice.choice(["1", "2.5", "10", "0.5"])
            case "bool":
                return dice.choice(["true", "false"])
            case "time":
                return f"2024-{dice.randint(1, 12):02}-{dice.randint(1, 28):02} 00:00+00"
            case "date":
                return f"2024-01-{dice.randint(1, 12):02}"
            case "json":
                return dice.choice(['{"n": "2"}', '{"m": 1}', "{}", '{"m": 2, "n": "3"}'])
            case "array":
                return dice.choice(["{1,2}", "{2}", "{3,3}", "{}"])
            case "enum":
                return dice.choice(["new", "paid", "shipped", "cancelled"])
            case "ukey":
                return f"00000000-0000-4000-8000-00000000000{dice.choice([1, 1, 2, 3])}"
            case "skey":
                return dice.choice(["acme", "acme", "globex", "initech"])
            case _:
                return dice.choice(["1", "2", "5", "7", "acme", "globex 3 \\", "x", ""])

    # -- values

    def value(self, kind: str, scope: Scope, depth: int, position: str = "") -> str:
        """An expression of this kind; with a position, one that may throw in a third of the cases."""
        if position and self.dice.random() < 0.3:
            loud = self.loud(kind, scope, position)
            if loud is not None:
                return loud
        kind = "text" if kind == "word" else kind
        like = LIKE_INTEGERS if kind == "int" else LIKE_TEXTS if kind == "text" else (kind,)
        found = self.column(like, scope)
        options: dict[str, Option] = {"constant": lambda: self.constant(kind)}
        if found is not None:
            options["column"] = lambda: found[0]
        if depth > 0 and kind in KINDS and kind not in ("skey", "ukey"):
            options |= self._compound(kind, scope, depth - 1)
        return self.dice.produce(
            f"value.{kind}", options, {"column": 6, "constant": 4 if kind in ("skey", "ukey") else 1.2}
        )

    def _compound(self, kind: str, scope: Scope, depth: int) -> dict[str, Option]:
        def of(wanted: str) -> str:
            return self.value(wanted, scope, depth)

        common: dict[str, Option] = {
            "coalesce": lambda: f"coalesce({of(kind)}, {of(kind)})",
            "case": lambda: f"CASE WHEN {self.condition(scope, depth)} THEN {of(kind)} ELSE {of(kind)} END",
            "nullif": lambda: f"nullif({of(kind)}, {of(kind)})",
            "scalar": lambda: self.scalar(kind, scope, depth),
        }
        own: dict[str, dict[str, Option]] = {
            "int": {
                "plus": lambda: f"({of('int')} + {of('int')})",
                "minus": lambda: f"({of('int')} - 1)",
                "length": lambda: f"length({of('text')})",
                "position": lambda: f"position('a' IN {of('text')})",
                "greatest": lambda: f"greatest({of('int')}, {of('int')})",
            },
            "text": {
                "concat": lambda: f"({of('text')} || {of('text')})",
                "lower": lambda: f"lower({of('text')})",
                "left": lambda: f"left({of('text')}, 3)",
                "to_text": lambda: f"({of('int')})::text",
                "function": lambda: f"slugify({of('text')})",
                "collate": lambda: f'({of("text")} COLLATE "C")',
                "replace": lambda: f"replace({of('text')}, 'e', 'E')",
            },
            "num": {"times": lambda: f"({of('num')} * 2)", "round": lambda: f"round({of('num')}, 1)"},
            "float": {"half": lambda: f"({of('float')} * 2)"},
            "bool": {"test": lambda: f"({self.condition(scope, depth)})"},
            "time": {"later": lambda: f"({of('time')} + interval '1 day')", "trunc": lambda: f"date_trunc('month', {of('time')})"},
            "date": {"cast": lambda: f"({of('time')} + interval '1 h')::timestamp(0)::date" if depth < 0 else of("date")},
            "json": {"built": lambda: f"jsonb_build_object('n', {of('text')}, 'm', {of('int')})"},
            "array": {"made": lambda: f"ARRAY[{of('text')}, {of('text')}]"},
        }  # fmt: skip
        return common | own.get(kind, {})

    def scalar(self, kind: str, scope: Scope, depth: int) -> str:
        raise NotImplementedError

    def subquery(self, kinds: list[str], scope: Scope, depth: int) -> str:
        raise NotImplementedError

    # -- what may throw

    def loud(self, kind: str, scope: Scope, position: str) -> str | None:
        """An expression of this kind that may throw, or None where no column is fit. Counted by position and by what
        the column belongs to.
        """
        own = self.dice.random() < 0.04
        table = OWN if own else LOUD
        wanted = "int" if kind == "key" else kind
        fit = {one: [rule for rule in rules if kind == "bool" or rule[2] == wanted] for one, rules in table.items()}
        found = self.column(tuple(one for one, rules in fit.items() if rules), scope)
        if found is None:
            return None
        text, item, of = found
        name, template, result = self.dice.choice(fit[of])
        made = template.format(c=text, k=self.dice.randint(1, 9))
        self.dice.count(f"loud.{name}")
        self.dice.count(f"loud.at.{position}")
        self.dice.count(f"loud.over.{'correlated' if item not in scope.items else item.source}")
        self.loud_outside = self.loud_outside or position != "target"
        if kind == "bool" and result != "bool":
            ends = {"int": "> 0", "num": "> 0", "float": "> 0", "text": "<> 'q'"}
            made = f"{made} {ends[result] if result in ends and self.dice.random() < 0.5 else 'IS NOT NULL'}"
        return f"({made})"

    # -- conditions

    def condition(self, scope: Scope, depth: int, position: str = "") -> str:
        """A truth value; with a position, with parts that may throw."""
        if depth > 0 and self.dice.random() < 0.35:

            def part() -> str:
                return self.condition(scope, depth - 1, position)

            options: dict[str, Option] = {
                "and": lambda: f"({part()} AND {part()})",
                "or": lambda: f"({part()} OR {part()})",
                "not": lambda: f"(NOT {part()})",
                "is_true": lambda: f"({part()} IS NOT FALSE)",
            }
            return self.dice.produce("condition", options, {"and": 4, "or": 2})
        if position and self.dice.random() < 0.4:
            loud = self.loud("bool", scope, position)
            if loud is not None:
                return loud
        return self._simple(scope, depth)

    def _simple(self, scope: Scope, depth: int) -> str:
        kinds = (
            "int",
            "key",
            "text",
            "num",
            "bool",
            "time",
            "date",
            "enum",
            "json",
            "array",
            "skey",
            "ukey",
            "word",
            "float",
        )
        # rare kinds first in half of the cases: a schema has more integers than uuids
        rare = ("skey", "ukey", "float", "bool", "date", "array")
        found = (self.column((self.dice.choice(rare),), scope) if self.dice.random() < 0.5 else None) or self.column(
            kinds, scope
        )
        if found is None:
            return self.dice.choice(["true", "1 = 1", "true"])
        text, _, kind = found

        def other() -> str:
            plain = "int" if kind == "key" and self.dice.random() < 0.3 else kind
            keyed = kind in ("skey", "ukey")  # whose only values are a constant and a column
            return (
                self.constant(kind)
                if not keyed and self.dice.random() < 0.5
                else self.value(plain, scope, max(0, depth - 1))
            )

        options: dict[str, Option] = {
            "equal": lambda: f"{text} = {other()}",
            "not_equal": lambda: f"{text} <> {other()}",
            "less": lambda: f"{text} < {other()}",
            "at_least": lambda: f"{text} >= {other()}",
            "is_null": lambda: f"{text} IS NOT NULL",
            "distinct": lambda: f"{text} IS DISTINCT FROM {other()}",
            "in": lambda: f"{text} IN ({other()}, {self.constant(kind)}, {self.constant(kind)})",
            "between": lambda: f"{text} BETWEEN {self.constant(kind)} AND {other()}",
            "row": lambda: f"({text}, 1) <= ({other()}, 2)",
            "any_array": lambda: f"{text} = ANY (ARRAY[{self.constant(kind)}, {self.constant(kind)}])",
        }
        weights = {
            "is_null": 1.5,
            "not_equal": 2.0,
            "at_least": 2.0,
            "contains": 2.0,
            "has_key": 2.0,
            "overlaps": 4.0,
            "itself": 5.0,
        }
        if kind in LIKE_TEXTS:
            options["like"] = lambda: f"{text} LIKE {self.dice.choice(['%a%', '1%', '_', '%'])!r}"
            options["matches"] = lambda: f"{text} ~ '^[0-9a]'"
            options["ilike"] = lambda: f"{text} NOT ILIKE 'A%'"
        if kind == "json":
            options["contains"] = lambda: f"{text} @> {self.constant('json')}"
            options["has_key"] = lambda: f"{text} ? 'n'"
        if kind == "array":
            options["overlaps"] = lambda: f"{text} && {self.constant('array')}"
        if kind == "bool":
            options["itself"] = lambda: text
        if depth > 0:
            inner = depth - 1
            options["exists"] = lambda: f"EXISTS ({self.subquery(['int'], scope, inner)})"
            options["not_exists"] = lambda: f"NOT EXISTS ({self.subquery(['int'], scope, inner)})"
            options["in_select"] = lambda: f"{text} IN ({self.subquery([kind], scope, inner)})"
            options["any_select"] = lambda: f"{text} = ANY ({self.subquery([kind], scope, inner)})"
            options["not_in_select"] = lambda: f"{text} NOT IN ({self.subquery([kind], scope, inner)})"
            options["array_select"] = lambda: f"cardinality(ARRAY({self.subquery([kind], scope, inner)})) >= 0"
            options["scalar_select"] = lambda: f"{text} >= {self.scalar(kind, scope, inner)}"
            weights |= {"exists": 1.5, "in_select": 1.5}
        return "(" + self.dice.produce("compare", options, weights) + ")"
