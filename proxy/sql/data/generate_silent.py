"""Writes silent.json: which operators and functions cannot throw for any two values of which types, and what runs then.

    python -m proxy.sql.data.generate_silent --queries | psql -XqAt … | python -m proxy.sql.data.generate_silent > FILE

over servers of several majors, their answers one after the other. Which operator an expression means is read from the
tree that the server stores for a view. An entry counts only where every major resolves it to the same functions, all
of them IMMUTABLE, or STABLE for reading TimeZone only; tests/sql/test_silent_trial.py tries each on real servers.
A type stands by its name in pg_catalog, anyenum for every enum, with _ in front for its array.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

INTEGERS = ("int2", "int4", "int8")
STRINGS = ("text", "varchar", "name")
INSTANTS = ("date", "timestamp", "timestamptz")
FLOATS = ("float4", "float8")
RANGES = ("int4range", "int8range", "daterange", "tsrange", "tstzrange")
SCALARS = (
    *INTEGERS, *STRINGS, *INSTANTS, *FLOATS, *RANGES, "bpchar", "time", "timetz", "interval", "numeric", "bool", "uuid",
    "bytea", "inet", "cidr", "macaddr", "oid", "jsonb", "tsvector", "anyenum",
)  # fmt: skip
ARRAYS = tuple(f"_{name}" for name in SCALARS)
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
LIKES = ("~~", "!~~", "~~*", "!~~*")
# Both sides are brought to one time zone: that alone is why these functions are STABLE.
READS_TIME_ZONE = frozenset({("date", "timestamptz"), ("timestamp", "timestamptz")})
CALLS = ("lower", "upper", "length", "char_length", "octet_length")


def pairs() -> Iterator[tuple[str, str]]:
    """Pairs of types that compare, as isolation.md 2.5, rule 2 has them."""
    yield from ((name, name) for name in (*SCALARS, *ARRAYS))
    for group in (INTEGERS, STRINGS, INSTANTS, FLOATS):
        yield from ((one, other) for one in group for other in group if one != other)
    for one in INTEGERS:
        for other in ("numeric", *FLOATS):
            yield one, other
            yield other, one


def entries() -> Iterator[tuple[str, str, str]]:
    """(operator or function, left type, right type), the right one "" for a function."""
    yield from ((operator, *pair) for operator in COMPARISONS for pair in pairs())
    yield from ((operator, name, "text") for operator in LIKES for name in STRINGS)
    yield from ((call, name, "") for call in CALLS for name in STRINGS)
    yield from ((operator, name, name) for operator in ("@>", "<@", "&&") for name in (*ARRAYS, *RANGES))
    yield from ((operator, "jsonb", key) for operator in ("->", "->>") for key in ("int4", "text"))
    yield from (("?", "jsonb", "text"), ("@>", "jsonb", "jsonb"), ("@@", "tsvector", "tsquery"))


def declared(name: str) -> str:
    """The type as a column of the trial table has it."""
    element = name.removeprefix("_").replace("anyenum", "trial_enum")
    return element + ("[]" if name.startswith("_") else "")


def expression(symbol: str, left: str, right: str) -> str:
    """The entry over the columns l_TYPE and r_TYPE."""
    return f"l_{left} {symbol} r_{right}" if right else f"{symbol}(l_{left})"


def queries() -> Iterator[str]:
    """What to ask a server; nothing stays there."""
    yield "BEGIN; SET LOCAL client_min_messages = error; CREATE TYPE pg_temp.trial_enum AS ENUM ('a', 'b');"
    types = dict.fromkeys((*SCALARS, *ARRAYS, "tsquery"))
    columns = ", ".join(f"{side}_{name} {_temporary(name)}" for side in "lr" for name in types)
    yield f"CREATE TEMP TABLE trial ({columns}); CREATE TEMP TABLE entry (view name, said text);"
    for number, (symbol, left, right) in enumerate(entries()):
        view = f"entry_{number}"
        yield f"CREATE TEMP VIEW {view} AS SELECT {expression(symbol, left, right)} AS e FROM trial;"
        yield f"INSERT INTO entry VALUES ('{view}', '{symbol} {left} {right}');"
    yield r"""
    SELECT current_setting('server_version_num')::int / 10000, trim(said), string_agg(p.oid::regprocedure || '/' || p.provolatile::text, ';'
      ORDER BY found.place) FROM entry JOIN pg_class c ON c.relname = entry.view AND
      c.relnamespace = pg_my_temp_schema() JOIN pg_rewrite r ON r.ev_class = c.oid,
      regexp_matches(r.ev_action::text, ':(?:opfuncid|funcid) (\d+)', 'g') WITH ORDINALITY AS found(id, place)
      JOIN pg_proc p ON p.oid = found.id[1]::oid GROUP BY said;"""
    yield "ROLLBACK;"


def _temporary(name: str) -> str:
    return declared(name).replace("trial_enum", "pg_temp.trial_enum")


def gathered(lines: Iterable[str]) -> dict[str, Any]:
    """The data; `lines` are what the servers said."""
    found: dict[str, dict[int, str]] = {}
    for line in lines:
        major, entry, functions = line.rstrip("\n").split("|")
        found.setdefault(entry, {})[int(major)] = functions
    majors = sorted({major for one in found.values() for major in one})
    kept = {}
    for symbol, left, right in entries():
        entry = f"{symbol} {left} {right}".strip()
        said = set(found.get(entry, {}).values())
        stable = (left, right) in READS_TIME_ZONE or (right, left) in READS_TIME_ZONE
        harmless = all(one[-1] == "i" or (one[-1] == "s" and stable) for some in said for one in some.split(";"))
        if set(found.get(entry, {})) != set(majors) or len(said) != 1 or not harmless:
            print(f"left out: {entry} {found.get(entry)}", file=sys.stderr)
            continue
        kept[entry] = [one.rpartition("/")[0] for one in said.pop().split(";")]
    return {"majors": majors, "entries": kept}


if __name__ == "__main__":
    if sys.argv[1:] == ["--queries"]:
        print("\n".join(queries()))
    else:
        json.dump(gathered(sys.stdin), sys.stdout, indent=0)
        print()
