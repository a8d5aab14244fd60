"""The server's hash of a row is the hash of the line that COPY writes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from proxy.backup.rowhash import digest, found_by, hashed, line
from proxy.backup.selection import selected
from proxy.backup.snapshot import READING, WRITING, opened, taken
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Column, Key, Relation
from tests.backup.shelf import operators, sample_grant
from tests.kit.postgres import Cluster
from tests.kit.sample import load_sample

# What casts, NULLs and escapes could get wrong.
ODD = r"""
CREATE DOMAIN label AS text;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE mood AS ENUM ('so\so', E'a\tb');
CREATE TABLE odd (
  b bool, c character(6), ch "char", n name, ip inet, net cidr, m money, t text, l label, p pair, mo mood,
  by bytea, j jsonb, js json, ta text[], ia int[], pa pair[], iv interval, f float8, r numrange, ts timestamptz, i int,
  nu numeric, bt bit(3), pt point, vec tsvector, u uuid, v varchar(9));
INSERT INTO odd SELECT;
INSERT INTO odd VALUES
 (true, 'ab', 'x', 'name', '10.0.0.1', '10.0.0.0/8', 1.5, E'\\ \b\f\n\r\t\v \x01 ''"', '\N', ROW(NULL, NULL),
  E'a\tb', '\x5c0a00', '{"a": "\\ \n"}', E'{"b":\n "\\\\"}', ARRAY[E'\n', NULL, '"', '\', ''], '{1,NULL}',
  ARRAY[ROW(1, E'\t')::pair], '-1 mon 2 days 03:04:05', 0.1 + 0.2::float8, '[1,2)', '2026-11-26 10:00:00.5+02', -1,
  1.00, '101', '(0.1,2)', 'a:1 b', '00000000-0000-4000-8000-000000000001', 'ü'),
 (false, '', '', '', '::1/64', '::/0', -2, '', '', ROW(1, '\'), 'so\so', '', '[]', '[]', '{}', '{}', '{}', '0', 'NaN',
  'empty', 'infinity', 0, 'NaN', '000', '(-0,0)', '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '\.');
"""


async def test_every_type_is_hashed_as_copy_writes_it(server: Cluster) -> None:
    load_sample(server)
    for database, options in (("hashes", ""), ("hashes1", "ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")):
        server.psql("postgres", f"DROP DATABASE IF EXISTS {database}")
        server.psql("postgres", f"CREATE DATABASE {database} {options}")
        try:
            server.psql(database, ODD)
            for settings in (READING, WRITING):
                connection = await opened(operators(server, database), settings)
                try:
                    relation = (await introspect(connection, 1)).relations["public", "odd"]
                    lines = bytearray()
                    names = [one.name for one in relation.columns]
                    await connection.copy_from_table("odd", schema_name="public", columns=names, output=_into(lines))
                    rows = await connection.fetch(
                        f"SELECT {line(relation.columns, 'o')}, {digest(relation.columns, 'o')} FROM public.odd o"
                    )
                finally:
                    await connection.close()
                written = bytes(lines).split(b"\n")[:-1]
                assert [row[0].encode() for row in rows] == written
                assert [row[1] for row in rows] == [hashed(one) for one in written]
        finally:
            server.drop_database(database)


async def test_every_row_of_the_sample_set_has_the_hash_of_its_line(shared_server: Cluster) -> None:
    grant = sample_grant(shared_server, tenant="acme")
    place = operators(shared_server, "shared")
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        for kept in snapshot.kept:
            lines = bytearray()
            await snapshot.connection.copy_from_query(kept.rows(grant), output=_into(lines))
            query = f"SELECT {digest(kept.columns)} AS h FROM {kept.only} WHERE {kept.owned(grant)}"
            found = Counter(row["h"] for row in await snapshot.connection.fetch(query))
            assert found == Counter(hashed(one) for one in bytes(lines).split(b"\n")[:-1]), kept.full


async def test_a_table_of_more_columns_than_a_function_takes_arguments_is_hashed(postgres18: Cluster) -> None:
    columns = tuple(Column(number, f"c{number}", 23) for number in range(1, 1501))
    connection = await opened(operators(postgres18, "postgres"), READING)
    try:
        values = ", ".join(f"{one.number} AS {one.name}" for one in columns)
        found = await connection.fetchval(f"SELECT {digest(columns, 'w')} FROM (SELECT {values}) w")
        assert found == hashed("\t".join(str(one.number) for one in columns).encode())
        assert await connection.fetchval(f"SELECT {line(())}") == ""
    finally:
        await connection.close()


def test_a_row_is_found_by_its_primary_key_or_by_one_that_holds_no_null() -> None:
    a, b, c = (Column(number, name, 23, not_null=name != "c") for number, name in enumerate("abc", 1))
    unique, primary = Key("a_unique", "u", (2,)), Key("z", "p", (1, 2))
    relation = Relation(1, "public", "t", "r", columns=(a, b, c), keys=(unique, primary))
    assert found_by(relation, (c, b, a)) == (a, b)
    assert found_by(relation, (b, c)) == (b,)
    assert found_by(relation, (c,)) == ()
    for bad in (
        Key("k", "x", (1,)), Key("k", "u", (1,), partial=True), Key("k", "u", (1,), valid=False), Key("k", "u", (3,)),
        Key("k", "i", (0, 1)),
    ):  # fmt: skip
        assert found_by(replace(relation, keys=(bad,)), (a, b, c)) == ()


def _into(lines: bytearray) -> Callable[[bytes], Coroutine[Any, Any, None]]:
    async def take(data: bytes) -> None:
        lines.extend(data)

    return take
