"""A tenant's tables stand still while an operator works with them, and none of what it wrote runs as the operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from proxy.backup import holding as module
from proxy.backup.ends import MOVING
from proxy.backup.holding import held
from proxy.backup.leaving import clean
from proxy.backup.moving import abort, tried
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import opened
from proxy.catalog.introspect import introspect
from tests.backup.crossing import NoDoors
from tests.backup.modes import OWN_ROLE, ROWS, WRITES, Spot, between, moved, spots
from tests.backup.shelf import operators
from tests.kit.postgres import Cluster

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# It gives itself away when it runs as anybody but the tenant, and is taken for one that only computes.
EVIL = f"""
CREATE FUNCTION spoil() RETURNS int LANGUAGE plpgsql AS
  'BEGIN IF current_user <> ''{OWN_ROLE}'' THEN RAISE EXCEPTION ''it was run by %'', current_user; END IF;
   RETURN 1; END';
CREATE FUNCTION evil(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN PERFORM globex.spoil(); RETURN $1; END';
CREATE FUNCTION evil(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * globex.spoil()';
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM globex.spoil(); RETURN NULL; END';
CREATE FUNCTION evil(a text, b text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN RETURN globex.spoil() = 1; END';
"""
PLANTED = {
    "CREATE INDEX planted ON parts (evil(label))": "the index globex.planted of globex.parts",
    "CREATE INDEX planted ON parts (id) WHERE evil(3) = 3": "the index globex.planted of globex.parts",
    "CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = evil);"
    " CREATE INDEX planted ON bills (id) WHERE 'a'::text === 'b'::text": "the index globex.planted of globex.bills",
    "CREATE STATISTICS planted ON (evil(label)), id FROM parts": "the statistics planted of globex.parts",
    "ALTER TABLE bills ADD CONSTRAINT planted CHECK (evil(id) > 0)": "the constraint planted of globex.bills",
    "ALTER TABLE bills ADD CONSTRAINT planted CHECK (table_to_xml('globex.marks', true, true, '') IS NOT NULL)": (
        "the constraint planted of globex.bills"
    ),
    "ALTER TABLE bills ADD CONSTRAINT planted CHECK (id::text::checked > '')": "the constraint planted of globex.bills",
    "ALTER TABLE bills ADD planted int GENERATED ALWAYS AS (evil(3)) STORED": "the column planted of globex.bills",
    "CREATE RULE planted AS ON DELETE TO marks DO ALSO SELECT evil(1)": "the rule planted of globex.marks",
    "CREATE TRIGGER planted AFTER DELETE ON marks FOR EACH ROW EXECUTE FUNCTION fired();"
    " ALTER TABLE marks ENABLE ALWAYS TRIGGER planted": "the trigger planted of globex.marks",
    "CREATE TRIGGER planted BEFORE INSERT ON marks FOR EACH ROW WHEN (evil(3) = 3)"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger(); ALTER TABLE marks ENABLE REPLICA TRIGGER planted": (
        "the trigger planted of globex.marks"
    ),
    "CREATE TABLE rest PARTITION OF years DEFAULT; CREATE INDEX planted ON rest (evil(id))": (
        "the index globex.planted of globex.rest"
    ),
}
# Nothing in the tree of such an expression names what the server looks up when it is run.
VAULT = """
CREATE SCHEMA vault; GRANT USAGE ON SCHEMA vault TO PUBLIC; CREATE TABLE vault.canary (what text);
CREATE DOMAIN vault.positive AS int CHECK (VALUE > 0);
"""
HIDDEN = """
CREATE FUNCTION sing(what text) RETURNS bool LANGUAGE plpgsql AS
  'BEGIN INSERT INTO vault.canary VALUES (what); RETURN true; EXCEPTION WHEN OTHERS THEN RETURN true; END';
CREATE FUNCTION still(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN globex.sing($1); END';
CREATE FUNCTION told(int, int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN globex.sing(''o''); END';
CREATE FUNCTION felt(mood) RETURNS json IMMUTABLE LANGUAGE plpgsql AS
  'BEGIN PERFORM globex.sing(''c''); RETURN ''1''; END';
CREATE DOMAIN checked AS text CHECK (still(VALUE));
CREATE CAST (mood AS json) WITH FUNCTION felt(mood);
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_catalog.int4eq, NEGATOR = !==);
CREATE OPERATOR !== (LEFTARG = int, RIGHTARG = int, FUNCTION = told, NEGATOR = ===);
"""
NOT_NAMED = {
    "a domain of RETURNING": "CHECK (JSON_VALUE(doc, '$.a' RETURNING checked) <> 'x')",
    "a domain of JSON_QUERY": "CHECK (JSON_QUERY(doc, '$.a' RETURNING checked) <> 'x')",
    "a cast to json": "CHECK (JSON_OBJECT('a': felt RETURNING text) <> '')",
    "a cast to json in a list": "CHECK (JSON_ARRAY(felt RETURNING text) <> '')",
    "the negator of an operator": "CHECK (NOT (id === 7))",
}
HARMLESS = """
ALTER TABLE bills ADD CONSTRAINT fine CHECK (sum > 0 AND sum < 10 ^ 9), ADD at timestamptz CHECK (at <= now());
CREATE INDEX fine ON parts (lower(label), (above + 1)) WHERE label ~ '^p' AND felt = 'glad';
CREATE STATISTICS also_fine ON (lower(label)), id FROM parts;
CREATE TABLE plain (id int, name text, short varchar(20), code char(3), at timestamptz, day date, many int[], doc jsonb,
  felt mood, ok bool, price numeric(10, 2), twice int GENERATED ALWAYS AS (id * 2 + 1) STORED,
  whole text GENERATED ALWAYS AS (COALESCE(name, '') || ' ' || upper(short)) STORED,
  CHECK (length(name) < 80 AND char_length(trim(short)) > 0), CHECK (id IN (1, 2, 3) OR name IN ('a', 'b')),
  CHECK (short IN ('a', 'b') OR short = ANY (ARRAY['c', 'd'])), CHECK (id BETWEEN 1 AND 9), CHECK (price >= 0),
  CHECK (CASE WHEN id > 1 THEN ok ELSE NOT ok END), CHECK (CASE name WHEN 'a' THEN 1 ELSE 2 END > 1),
  CHECK (COALESCE(name, short, 'x') <> ''), CHECK (GREATEST(id, 1) > LEAST(id, 0)), CHECK (NULLIF(id, 2) IS NULL),
  CHECK (id IS DISTINCT FROM 3), CHECK (ok IS NOT TRUE), CHECK (many[1] > 0 AND many <> '{}'),
  CHECK (id::bigint > 0 AND id::text <> '' AND name::int > 0),
  CHECK (many::text[] <> '{}' AND many::bigint[] <> '{}'),
  CHECK (price::int > 0 AND day::timestamp > '2000-01-01'), CHECK ((id, name) = (1, 'a')),
  CHECK (code::text ~ '^[A-Z]'),
  CHECK ((id, name) IN ((1, 'a'), (2, 'b'))), CHECK (ROW(id, name) IS NOT NULL), CHECK (name COLLATE "C" > 'a'),
  most vault.positive, CHECK (id::vault.positive < 10),
  CHECK (current_user <> 'x' AND at > current_timestamp), CHECK (doc->>'a' = 'b' AND doc['b'] IS NOT NULL),
  CHECK (felt = 'glad' OR felt::text = 'sad'), CHECK (make_interval(days => id) > '0'), CHECK (name NOT LIKE 'a%'),
  CHECK (extract(year FROM day) > 2000), CHECK (name SIMILAR TO 'a' OR name ILIKE 'b'), CHECK (NOT (id = 4)));
CREATE INDEX ON plain ((name || short), (id % 7), (doc->'a')) WHERE ok AND NOT id = 3 AND at IS NOT NULL;
"""


@pytest.fixture(scope="module")
def spot(postgres15: Cluster) -> Iterator[Spot]:
    """A schema of globex's own, with functions that would do harm, which are nowhere used."""
    with harmful(postgres15) as one:
        yield one


@pytest.fixture(scope="module")
def spot18(postgres18: Cluster) -> Iterator[Spot]:
    """The same where the server knows SQL/JSON."""
    with harmful(postgres18) as one:
        yield one


@contextmanager
def harmful(cluster: Cluster) -> Iterator[Spot]:
    with spots(cluster, "schema") as (one,):
        one.sql(ROWS.format(key=2))
        one.sql(EVIL + HIDDEN + "CREATE TABLE years (id int NOT NULL) PARTITION BY RANGE (id);", OWN_ROLE)
        one.sql(VAULT)
        yield one


@asynccontextmanager
async def holding(spot: Spot, written: bool = True) -> AsyncIterator[CatalogConnection]:
    """A transaction of the superuser's that holds all tables of the schema."""
    connection = await opened(operators(spot.cluster, spot.database), MOVING)
    try:
        catalog = await introspect(connection, 1)
        tables = [one for one in catalog.relations.values() if one.schema == "globex" and one.kind in "rp"]
        async with connection.transaction():
            await held(connection, spot.grant, tables, written)
            yield connection
    finally:
        await connection.close()


async def test_what_only_computes_is_no_reason_to_refuse(spot: Spot, spot18: Spot) -> None:
    for one in (spot, spot18):
        one.sql(HARMLESS, OWN_ROLE)
        async with holding(one) as connection:
            assert await connection.fetchval("SELECT count(*) FROM globex.parts WHERE lower(label) = 'p1'") == 1
        one.sql("ALTER TABLE bills DROP at, DROP CONSTRAINT fine; DROP TABLE plain", OWN_ROLE)
        one.sql("DROP INDEX fine; DROP STATISTICS also_fine", OWN_ROLE)
    later = "CREATE TABLE plain (doc text CHECK (doc IS JSON OBJECT), double int GENERATED ALWAYS AS (length(doc)))"
    spot18.sql(later, OWN_ROLE)
    async with holding(spot18):
        pass
    spot18.sql("DROP TABLE plain", OWN_ROLE)


@pytest.mark.parametrize("what", NOT_NAMED)
async def test_nor_does_what_is_looked_up_when_an_expression_is_run(spot18: Spot, what: str) -> None:
    doc = """'{"a": "b"}'"""
    try:
        spot18.sql(
            f"CREATE TABLE planted (id int, doc jsonb, felt mood, CONSTRAINT hidden {NOT_NAMED[what]})", OWN_ROLE
        )
        with pytest.raises(Refused, match=r"the constraint hidden of globex\.planted may run"):
            async with holding(spot18, written=False):
                pass
        assert spot18.sql("SELECT count(*) FROM vault.canary") == "0"
        spot18.sql(f"INSERT INTO planted VALUES (1, {doc}, 'glad')")  # a superuser who does not look, and it is run
        assert int(spot18.sql("SELECT count(*) FROM vault.canary")) > 0
    finally:
        spot18.sql("DROP TABLE IF EXISTS planted; TRUNCATE vault.canary")


async def test_an_operator_that_is_not_the_servers_has_a_negator_that_is_not_either(spot: Spot) -> None:
    spot.sql("CREATE TABLE planted (id int, CONSTRAINT hidden CHECK (NOT (id === 7)))", OWN_ROLE)
    try:
        with pytest.raises(Refused, match=r"the constraint hidden of globex\.planted may run"):
            async with holding(spot):
                pass
    finally:
        spot.sql("DROP TABLE planted")


async def test_triggers_for_replicated_rows_are_the_moves_own_whoever_owns_their_functions(spot: Spot) -> None:
    """lo is an extension that tenants may make: its function unlinks the large object that a row says."""
    number = spot.sql("CREATE EXTENSION lo SCHEMA pg_catalog; SELECT lo_create(0)")
    spot.sql(
        "CREATE TABLE planted (a lo); CREATE TRIGGER unlinks BEFORE DELETE ON planted FOR EACH ROW EXECUTE FUNCTION"
        f" lo_manage(a); INSERT INTO planted VALUES ({number}); ALTER TABLE planted ENABLE ALWAYS TRIGGER unlinks",
        OWN_ROLE,
    )
    there = f"SELECT count(*) FROM pg_largeobject_metadata WHERE oid = {number}"
    try:
        with pytest.raises(Refused, match=r"the trigger unlinks of globex\.planted may run .* disable it for the move"):
            async with holding(spot, written=False):
                pass
        assert spot.sql(there) == "1"
        spot.sql("SET session_replication_role = replica; DELETE FROM planted")  # who does not look, loses it
        assert spot.sql(there) == "0"
    finally:
        spot.sql("DROP TABLE planted; DROP EXTENSION lo")


async def test_what_a_later_server_may_bring_is_not_known_to_be_harmless(
    spot: Spot, monkeypatch: pytest.MonkeyPatch
) -> None:
    spot.sql("CREATE TABLE planted (id int, CONSTRAINT hidden CHECK (ROW(id, id) < ROW(7, 7)))", OWN_ROLE)
    try:
        with pytest.raises(Refused, match=r"the constraint hidden of globex\.planted may run"):
            async with holding(spot):
                pass
        monkeypatch.setattr(module, "CODE", module.CODE.replace("'OPEXPR'", "'KNOWN'"))
        with pytest.raises(Refused, match=r"the constraint parts_label_check of globex\.parts may run"):
            async with holding(spot):
                pass
    finally:
        spot.sql("DROP TABLE planted")


@pytest.mark.parametrize("text", PLANTED)
async def test_what_would_run_as_the_operator_is_named_and_not_run(spot: Spot, text: str) -> None:
    spot.sql(text, OWN_ROLE)
    try:
        with pytest.raises(Refused, match=rf"{PLANTED[text]} may run what is not the server's own"):
            async with holding(spot, written=False):
                pass
    finally:
        spot.sql(
            "DROP RULE IF EXISTS planted ON marks; DROP TRIGGER IF EXISTS planted ON marks;"
            " DROP INDEX IF EXISTS planted; DROP STATISTICS IF EXISTS planted;"
            " ALTER TABLE bills DROP CONSTRAINT IF EXISTS planted, DROP COLUMN IF EXISTS planted;"
            " DROP TABLE IF EXISTS rest; DROP OPERATOR IF EXISTS === (text, text)",
            OWN_ROLE,
        )


async def test_types_that_check_what_they_hold_are_the_servers_where_rows_are_put(spot: Spot) -> None:
    spot.sql("CREATE DOMAIN short AS text CHECK (evil(VALUE) IS NOT NULL); CREATE TABLE held (a short)", OWN_ROLE)
    try:
        with pytest.raises(Refused, match=r"the type of the column a of globex\.held may run"):
            async with holding(spot):
                pass
        async with holding(spot, written=False):
            pass
    finally:
        spot.sql("DROP TABLE held; DROP DOMAIN short", OWN_ROLE)


async def test_a_foreign_key_that_is_compared_by_a_tenants_cast_is_refused_where_rows_are_put(spot: Spot) -> None:
    """Whether every row that is referenced is there is asked as the operator, and the cast is named nowhere."""
    spot.sql(
        "CREATE FUNCTION named(mood) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM globex.sing(''k''); RETURN ''glad''; END';"
        " CREATE CAST (mood AS text) WITH FUNCTION named(mood) AS IMPLICIT;"
        " CREATE TABLE names (name varchar PRIMARY KEY); CREATE TABLE moods (mood mood PRIMARY KEY, l mood[] UNIQUE);"
        " CREATE TABLE held (a mood CONSTRAINT hidden REFERENCES names, b mood REFERENCES moods, l mood[] REFERENCES"
        " moods (l), short text REFERENCES names); INSERT INTO names VALUES ('glad'); INSERT INTO held VALUES ('glad')",
        OWN_ROLE,
    )
    try:
        with pytest.raises(Refused) as refused:
            async with holding(spot):
                pass
        (problem,) = refused.value.problems
        assert problem.startswith("the foreign key hidden of globex.held may run what is not the server's own")
        assert spot.sql("SELECT count(*) FROM vault.canary") == "0"
        spot.sql("SELECT FROM held l JOIN names t ON t.name = l.a")  # a superuser who does not look, and it is run
        assert spot.sql("SELECT DISTINCT what FROM vault.canary") == "k"
        async with holding(spot, written=False):
            pass
    finally:
        spot.sql("DROP TABLE held, moods, names; DROP FUNCTION named CASCADE; TRUNCATE vault.canary")


async def test_meanwhile_nobody_alters_the_tables_and_everybody_writes(spot: Spot) -> None:
    given = f"ALTER SCHEMA globex OWNER TO {OWN_ROLE}; GRANT CREATE ON DATABASE {spot.database} TO {OWN_ROLE}"
    spot.cluster.psql(spot.database, given)
    dsn = spot.cluster.dsn(database=spot.database, user=OWN_ROLE)
    async with holding(spot):
        with psycopg.connect(dsn, autocommit=True) as tenant:
            tenant.execute("SET search_path = globex; SET lock_timeout = '50ms'")
            for text in (
                "CREATE INDEX late ON parts (evil(label))",
                "CREATE INDEX CONCURRENTLY late ON parts (evil(label))",
                "CREATE STATISTICS late ON (evil(label)), id FROM parts",
                "ALTER TABLE bills ADD CHECK (evil(id) > 0) NOT VALID",
                "CREATE RULE late AS ON DELETE TO marks DO ALSO SELECT evil(1)",
                "CREATE TABLE late PARTITION OF years DEFAULT",
                "ALTER TABLE bills RENAME TO other",
                "ALTER SCHEMA globex RENAME TO other",
            ):
                with pytest.raises(psycopg.errors.LockNotAvailable):
                    tenant.execute(text)
            tenant.execute("INSERT INTO marks (said) VALUES ('meanwhile')")


async def test_another_table_by_the_same_name_is_not_taken_for_it(spot: Spot) -> None:
    connection = await opened(operators(spot.cluster, spot.database), MOVING)
    try:
        catalog = await introspect(connection, 1)
        spot.sql("ALTER TABLE marks RENAME TO old; CREATE TABLE marks (LIKE old)", OWN_ROLE)
        async with connection.transaction():
            with pytest.raises(Refused, match=r"globex\.marks is another table than it was a moment ago"):
                await held(connection, spot.grant, [catalog.relations["globex", "marks"]])
    finally:
        await connection.close()
        spot.sql("DROP TABLE marks; ALTER TABLE old RENAME TO marks", OWN_ROLE)


@pytest.mark.parametrize(("here", "there"), [("schema", "row"), ("row", "schema")])
def test_what_a_tenant_plants_before_a_move_or_in_it_is_found_and_never_run(
    postgres15: Cluster, here: str, there: str
) -> None:
    with spots(postgres15, here, there) as (source, target):
        source.sql(ROWS.format(key=2))
        own = source if here == "schema" else target
        own.sql(EVIL, OWN_ROLE)
        # A type's cast runs its owner's code: what is put into the log and compared must not be cast.
        own.sql("CREATE FUNCTION felt(mood) RETURNS text LANGUAGE sql AS 'SELECT globex.evil(''x''::text)'", OWN_ROLE)
        own.sql("CREATE CAST (mood AS text) WITH FUNCTION felt(mood)", OWN_ROLE)
        if own is source:
            for name in ("spoil", "fired"):
                target.sql(f"CREATE FUNCTION {name}() RETURNS int LANGUAGE sql AS 'SELECT 1'")
            for arguments in ("text", "text, text", "int"):
                target.sql(f"CREATE FUNCTION evil({arguments}) RETURNS int LANGUAGE sql AS 'SELECT 1'")
            target.sql("CREATE FUNCTION felt(mood) RETURNS int LANGUAGE sql AS 'SELECT 1'")
        own.sql("CREATE INDEX planted ON parts (evil(label))", OWN_ROLE)
        with pytest.raises(Refused, match=r"the index globex\.planted of globex\.parts may run"):
            asyncio.run(tried(between(source, target)))
        own.sql("DROP INDEX planted", OWN_ROLE)

        def plant() -> None:
            source.sql(WRITES.format(at=100))
            own.sql("CREATE INDEX planted ON parts (evil(label))", OWN_ROLE)

        with pytest.raises(Refused, match=r"the index globex\.planted of globex\.parts may run"):
            moved(source, target, NoDoors(during=plant))
        assert (source.takes(), target.takes()) == (True, False)
        if own is target:
            with pytest.raises(Refused, match=r"the index globex\.planted of globex\.parts may run"):
                asyncio.run(abort(between(source, target), NoDoors()))
            assert source.takes()
        own.sql("DROP INDEX planted", OWN_ROLE)
        if own is target:
            asyncio.run(abort(between(source, target), NoDoors()))
            assert (target.rows(), source.traces(), target.traces()) == ([], 0, 0)
        doors = NoDoors()
        moved(source, target, doors)
        assert target.rows() == source.rows()
        if own is source:  # it may write there no more, and define what it likes
            own.sql("CREATE TRIGGER planted AFTER DELETE ON marks FOR EACH ROW EXECUTE FUNCTION fired()", OWN_ROLE)
            own.sql("ALTER TABLE marks ENABLE ALWAYS TRIGGER planted", OWN_ROLE)
            with pytest.raises(Refused, match=r"the trigger planted of globex\.marks may run"):
                asyncio.run(clean(between(source, target), doors))
            own.sql("DROP TRIGGER planted ON marks", OWN_ROLE)
        asyncio.run(clean(between(source, target), doors))
        assert (source.rows(), source.traces(), target.traces()) == ([], 0, 0)
