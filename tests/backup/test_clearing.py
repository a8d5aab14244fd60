"""All that a role has in its schema goes, of whatever kind; what is not its own, or outside, is a reason to refuse."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import asyncpg
import pytest

from proxy.backup.clearing import CONTENT, KINDS, check_empty, cleared, finished
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import WRITING, opened
from proxy.tenancy.servers import Place, place_of
from tests.kit.postgres import Cluster
from tests.kit.schemas import empty_schemas

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

_numbers = count(1)
EVERYTHING = """
SET search_path = globex;
CREATE TYPE mood AS ENUM ('a'); CREATE TYPE pair AS (a int, b mood); CREATE TYPE span AS RANGE (subtype = int);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE parent (id int GENERATED ALWAYS AS IDENTITY, s serial, p pair, d short, m mood) PARTITION BY RANGE (id);
CREATE TABLE "a ""part" PARTITION OF parent FOR VALUES FROM (1) TO (9);
CREATE TABLE uses (p parent, r span); CREATE SEQUENCE free; ALTER TABLE uses ADD n int DEFAULT nextval('free');
CREATE STATISTICS several ON id, s FROM "a ""part";
CREATE FUNCTION f(p parent) RETURNS mood LANGUAGE sql AS 'SELECT m FROM globex.parent';
CREATE FUNCTION g(int, VARIADIC text[] DEFAULT '{}') RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE PROCEDURE proc(INOUT a int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE agg(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE FUNCTION equal(pair, pair) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR === (LEFTARG = pair, RIGHTARG = pair, FUNCTION = equal);
CREATE VIEW v AS SELECT f(parent) FROM parent; CREATE MATERIALIZED VIEW m AS SELECT count(*), g(1) FROM v;
CREATE INDEX ON uses (g(n)); CREATE COLLATION c FROM "C";
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = pg_catalog.simple);
CREATE TEXT SEARCH CONFIGURATION search (COPY = pg_catalog.simple);
"""
# What only a superuser makes, and may be given to the role.
GIVEN = """
CREATE FUNCTION globex.kept() RETURNS int LANGUAGE sql AS 'SELECT 1';
ALTER EXTENSION plpgsql ADD FUNCTION globex.kept();
CREATE OPERATOR FAMILY globex.family USING hash; ALTER OPERATOR FAMILY globex.family USING hash OWNER TO globex_rw;
CREATE OPERATOR CLASS globex.class FOR TYPE globex.pair USING hash AS OPERATOR 1 globex.===;
ALTER OPERATOR CLASS globex.class USING hash OWNER TO globex_rw;
ALTER OPERATOR FAMILY globex.class USING hash OWNER TO globex_rw;
CREATE CONVERSION globex.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
ALTER CONVERSION globex.conv OWNER TO globex_rw;
CREATE FOREIGN DATA WRAPPER w;
CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE globex.away (id int) SERVER s;
ALTER FOREIGN TABLE globex.away OWNER TO globex_rw;
"""


@pytest.fixture
def place(server: Cluster) -> Iterator[Place]:
    """A database with a schema of everything, as the role whose own it is."""
    with empty_schemas(server, f"clearing{next(_numbers)}", ("globex",)) as name:
        server.psql(name, EVERYTHING, user="globex_rw")
        server.psql(name, GIVEN)
        yield place_of(f"postgresql://globex_rw@127.0.0.1:{server.port}/{name}?sslmode=disable", None)


async def content(connection: CatalogConnection) -> list[str]:
    return [row["kind"] for row in await connection.fetch(CONTENT, "globex", list(KINDS), [])]


def test_everything_goes_but_what_belongs_to_an_extension(place: Place) -> None:
    async def go() -> None:
        connection = await opened(place, WRITING)
        try:
            assert set(await content(connection)) == set(KINDS)
            with pytest.raises(Refused, match="the schema is not empty: "):
                await check_empty(connection, "globex")
            async with connection.transaction():
                await cleared(connection, "globex")
            assert await content(connection) == []
            await check_empty(connection, "globex")
            assert await connection.fetchval("SELECT globex.kept()")
        finally:
            await connection.close()

    asyncio.run(go())


LENT = """
CREATE TABLE reference.plain (a int, b text);
SET ROLE globex_rw; CREATE FUNCTION globex.fine(text) RETURNS bool IMMUTABLE LANGUAGE sql RETURN true;
CREATE FUNCTION globex.alike(int, text) RETURNS bool IMMUTABLE LANGUAGE sql RETURN true;
CREATE FUNCTION globex.counted(macaddr) RETURNS int IMMUTABLE LANGUAGE sql RETURN 1; RESET ROLE;
"""
# What has no name that a table's or a function's would take along.
OUTSIDE_TOO = {
    "CREATE RULE audit AS ON INSERT TO reference.plain DO ALSO INSERT INTO globex.uses DEFAULT VALUES": (
        "rule audit of reference.plain", "DROP RULE audit ON reference.plain"),
    "CREATE DOMAIN reference.kind AS text CONSTRAINT checked CHECK (globex.fine(VALUE))": (
        "constraint checked of reference.kind", "DROP DOMAIN reference.kind"),
    "CREATE STATISTICS reference.some ON (globex.fine(b)), a FROM reference.plain": (
        "statistics some of reference.plain", "DROP STATISTICS reference.some"),
    "CREATE OPERATOR reference.=== (LEFTARG = int, RIGHTARG = text, FUNCTION = globex.alike)": (
        "operator reference.===(integer,text)", "DROP OPERATOR reference.=== (int, text)"),
    "CREATE CAST (macaddr AS int) WITH FUNCTION globex.counted(macaddr)": (
        "cast (macaddr AS integer)", "DROP CAST (macaddr AS int)"),
    "CREATE TEXT SEARCH CONFIGURATION reference.read (COPY = pg_catalog.simple);"
    " ALTER TEXT SEARCH CONFIGURATION reference.read ALTER MAPPING FOR asciiword WITH globex.words": (
        "text search configuration reference.read", "DROP TEXT SEARCH CONFIGURATION reference.read"),
    "CREATE FUNCTION globex.told() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
    " ALTER FUNCTION globex.told() OWNER TO globex_rw;"
    " CREATE EVENT TRIGGER told ON ddl_command_end WHEN TAG IN ('CREATE CONVERSION') EXECUTE FUNCTION globex.told()": (
        "event trigger told", "DROP EVENT TRIGGER told; DROP FUNCTION globex.told()"),
}  # fmt: skip


def test_what_is_outside_or_anothers_is_a_reason_to_refuse(place: Place, server: Cluster) -> None:
    async def go(error: type[Exception], why: str) -> None:
        connection = await opened(place, WRITING)
        try:
            before = await content(connection)
            with pytest.raises(error, match=why):
                async with connection.transaction():
                    await cleared(connection, "globex")
            assert await content(connection) == before
        finally:
            await connection.close()

    database = place[0].database
    server.psql(database, "CREATE TABLE reference.moods (m globex.mood)")
    asyncio.run(go(Refused, r"outside the schema globex there depends on what is in it: column reference\.moods\.m"))
    server.psql(database, f"DROP TABLE reference.moods; {LENT}")
    for made, (lost, undone) in OUTSIDE_TOO.items():
        server.psql(database, made)
        asyncio.run(go(Refused, re.escape(f"outside the schema globex there depends on what is in it: {lost}")))
        server.psql(database, undone)
    server.psql(database, "CREATE TABLE globex.strange (id int)")
    asyncio.run(go(asyncpg.InsufficientPrivilegeError, "must be owner of table strange"))


LEADS = """
GRANT REFERENCES ON reference.countries TO globex_rw; SET ROLE globex_rw; SET search_path = globex;
CREATE TABLE leads (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial UNIQUE, m mood,
  country text REFERENCES reference.countries);
CREATE TABLE split (id int, country text REFERENCES reference.countries) PARTITION BY LIST (country);
CREATE TABLE split_no PARTITION OF split FOR VALUES IN ('no'); CREATE INDEX split_ix ON split (id);
ALTER TABLE uses ADD lead int REFERENCES leads; CREATE VIEW led AS SELECT * FROM leads;
"""
AGAIN = "CREATE TABLE globex.leads (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial UNIQUE)"


def test_what_others_read_is_locked_for_them_at_the_end_only(place: Place, server: Cluster) -> None:
    async def go() -> None:
        connection, reader = await opened(place, WRITING), await opened(place, WRITING)
        try:
            await reader.execute("SET lock_timeout = '1s'")
            async with connection.transaction():
                left = await cleared(connection, "globex")
                assert len(left.tables) == 3
                await connection.execute(f"{AGAIN}; CREATE TABLE globex.split (); CREATE TABLE globex.split_ix ()")
                assert await reader.fetchval("SELECT count(*) FROM reference.countries") == 2
                server.psql(place[0].database, "DROP TABLE public.passing")  # which is no matter of ours
                await finished(connection, "globex", left)
            assert sorted(await content(connection)) == ["sequence", "table", "table", "table"]
        finally:
            await connection.close()
            await reader.close()

    server.psql(place[0].database, f"CREATE TABLE public.passing (id int);{LEADS}")
    asyncio.run(go())


def test_what_came_to_depend_from_outside_meanwhile_is_a_reason_to_refuse_at_the_end(
    place: Place, server: Cluster
) -> None:
    async def go() -> None:
        connection = await opened(place, WRITING)
        try:
            with pytest.raises(Refused, match=r"depends on what is in it: view public\.late depends on table globex\."):
                async with connection.transaction():
                    left = await cleared(connection, "globex")
                    await connection.execute(f"CREATE VIEW public.late AS SELECT FROM {left.tables[0]}")
                    await finished(connection, "globex", left)
        finally:
            await connection.close()

    server.psql(place[0].database, f"GRANT CREATE ON SCHEMA public TO globex_rw;{LEADS}")
    asyncio.run(go())
