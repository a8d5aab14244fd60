"""Probes: statements that answer nothing for a tenant without rows, unless the wall has a hole.

Made of the tenant relations that a policy shows, with columns of the types that each shape needs. A tenant that owns
no row must see no row, no count, no value and no error that only a row could cause; so every other answer is a leak,
and no foreign value need be known to tell. Pure; statements that only read. Source: the attackers' corpus, by shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from proxy.catalog.model import Column
from proxy.sql.world import Visible, World

TEXTS = frozenset({25, 1043})  # text, varchar
PLAIN = TEXTS | {21, 23, 20, 16, 2950, 1082, 1114, 1184, 1700}  # what compares, groups and joins on every server

# Each answers no row, or one of zeros and NULLs. {r} relation, {p} a plain column, {t} a text column
SHAPES = (
    "SELECT count(*) FROM {r}",
    "SELECT {p}::text FROM {r}",
    "SELECT count(*) FROM {r} WHERE {p} IS NULL OR true",
    "SELECT count(*) FROM {r} WHERE ({p} IS NULL OR true) BETWEEN false AND true",
    "SELECT count(*) FROM {r} WHERE NOT ({p} IS NULL AND {p} IS NOT NULL)",
    "SELECT count(y.{p}) FROM {r} x LEFT JOIN {r} y ON x.{p} IS NOT DISTINCT FROM y.{p} OR true",
    "SELECT count(x.{p}) FROM (SELECT 1) o LEFT JOIN {r} x ON true",
    "SELECT count(x.{p}), count(y.{p}) FROM {r} x FULL JOIN {r} y ON x.{p} = y.{p}",
    "SELECT count(*) FROM {r} x JOIN {r} y USING ({p})",
    "SELECT count(*) FROM {r} x CROSS JOIN LATERAL (SELECT x.{p} FROM {r} LIMIT 1) y",
    "SELECT (SELECT max({p}::text) FROM {r})",
    "SELECT max({p}::text), min({p}::text) FROM {r}",
    "SELECT 1 WHERE EXISTS (SELECT FROM {r})",
    "SELECT NULL FROM {r} UNION ALL SELECT NULL FROM {r}",
    "SELECT {p} FROM {r} EXCEPT SELECT NULL",
    "SELECT {p} FROM {r} INTERSECT SELECT {p} FROM {r}",
    "WITH c AS (SELECT * FROM {r}) SELECT count(*) FROM c",
    "WITH c AS NOT MATERIALIZED (SELECT * FROM {r}) SELECT count(*) FROM c x, c y WHERE x.{p} = y.{p}",
    "WITH RECURSIVE c AS (SELECT {p} FROM {r} UNION SELECT c.{p} FROM c JOIN {r} x ON x.{p} = c.{p}) SELECT {p} FROM c",
    "SELECT count(*) OVER () FROM {r}",
    "SELECT DISTINCT ON ({p}) {p} FROM {r} ORDER BY {p}",
    "SELECT {p}, count(*) FROM {r} GROUP BY GROUPING SETS (({p})) HAVING count(*) > 0",
    "SELECT json_agg(x) FROM {r} x",
    "SELECT 1 LIMIT (SELECT count(*) FROM {r})",
    "SELECT array_agg({p} ORDER BY {p}) FILTER (WHERE {p} IS NOT NULL) FROM {r}",
    "SELECT count(*) FROM {r} WHERE CASE WHEN {p} IS NOT NULL THEN (SELECT g FROM generate_series(1, 2) g) END IS NULL",
    "SELECT count(*) FROM {r} WHERE 1 / (CASE WHEN {p} IS NULL THEN 1 ELSE 0 END) = 1",
    "SELECT count(*) FROM {r} WHERE ARRAY[ARRAY['x'], CASE WHEN {p} IS NULL THEN ARRAY['y'] ELSE ARRAY['a', 'b'] END]"
    " IS NULL",
    "SELECT count(*) FROM (SELECT {p}, 1 / (CASE WHEN {p} IS NULL THEN 1 ELSE 0 END) AS z FROM {r}) x WHERE z = 1",
    "SELECT {p} FROM {r} GROUP BY {p} HAVING 1 / (CASE WHEN {p} IS NULL THEN 1 ELSE 0 END) = 1",
    "SELECT count(*) FROM {r} x WHERE EXISTS"
    " (SELECT FROM {r} y WHERE 1 / (CASE WHEN x.{p} IS NULL THEN 1 ELSE 0 END) = 1)",
    "SELECT count(*) FROM {r} x LEFT JOIN {r} y ON 1 / (CASE WHEN x.{p} IS NULL THEN 1 ELSE 0 END) = 1",
    "SELECT count(*) FROM {r} WHERE {t} IS NOT NULL AND pg_size_bytes({t} || ' no size') IS NULL",
    "SELECT count(*) FROM {r} WHERE ({t} || ' no number')::int IS NULL",
    "SELECT count(*) FROM {r} WHERE {t} LIKE '%\\'",
    "SELECT count(*) FROM (SELECT {t} FROM {r}) x WHERE {t} LIKE '%\\'",
    "SELECT count(*) FROM {r} WHERE {t} ~ ('(' || {t})",
    "SELECT count(*) FROM {r} x, LATERAL (VALUES (pg_size_bytes(x.{t} || ' no size'))) v(s) WHERE s IS NULL",
    "SELECT query_to_xml('SELECT * FROM {r}', true, false, '')::text",
    "SELECT count(*) FROM ts_stat('SELECT to_tsvector({t}) FROM {r}')",
)


@dataclass(frozen=True, slots=True)
class Probe:
    """One statement, and the shape and relation it was made of."""

    shape: str
    relation: str
    text: str


def probes(world: World) -> tuple[Probe, ...]:
    """Every shape for every tenant relation that has the columns for it, shape by shape."""
    found = [one for one in _relations(world) if _column(one, PLAIN)]
    return tuple(probe for shape in SHAPES for one in found for probe in _made(shape, one))


def _relations(world: World) -> Iterator[Visible]:
    for schema, name in sorted(world.catalog.relations):
        visible = world.relation(schema, name)
        if visible is not None and visible.confined:
            yield visible


def _made(shape: str, visible: Visible) -> Iterator[Probe]:
    plain, text = _column(visible, PLAIN), _column(visible, TEXTS)
    if plain is not None and (text is not None or "{t}" not in shape):
        relation = f"{_quoted(visible.relation.schema)}.{_quoted(visible.relation.name)}"
        given = {"r": relation, "p": _quoted(plain.name), "t": _quoted(text.name) if text is not None else ""}
        if "'SELECT" in shape:
            given = {name: value.replace("'", "''") for name, value in given.items()}
        yield Probe(shape, relation, shape.format(**given))


def _column(visible: Visible, types: frozenset[int]) -> Column | None:
    """A column of one of these types, one that is no tenant column if there is any."""
    found = [one for one in visible.relation.columns if one.type in types and one.generated != "v"]
    others = [one for one in found if visible.column is None or one.number != visible.column.number]
    return next(iter(others or found), None)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
