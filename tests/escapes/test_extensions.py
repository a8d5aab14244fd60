"""Extensions through the whole proxy: what is listed works on the tenant's own rows, what is not does not exist, and
nothing of either throws on a foreign row. Each is tried on the servers of TRIED."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.sql.data.generate_extensions import gathered, query
from proxy.tenancy.extensions import reviewed, rules_of
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import pristine

# Of each extension: a column of its type with what tenant 2 has in it, what works, and what throws on tenant 2's rows.
LISTED: dict[str, tuple[str, str, list[str], list[str]]] = {
    "citext": (
        "citext", "'Foreign('",
        ["SELECT v FROM ext WHERE v = 'MINE'", "SELECT max(v) FROM ext", "SELECT replace(v, 'MINE', 'x') FROM ext",
         "SELECT count(*) FROM ext WHERE v LIKE 'mi%' GROUP BY v", "SELECT 'a'::citext = 'A'"],
        ["SELECT count(*) FROM ext WHERE 'x' ~ v",
         "SELECT count(*) FROM ext WHERE regexp_match('a'::citext, v) IS NULL"],
    ),
    "pg_trgm": (
        "text", "'foreign'",
        ["SELECT similarity(v, 'mine') FROM ext", "SELECT v FROM ext WHERE v % 'mine'", "SELECT 5 % 2",
         "SELECT v FROM ext ORDER BY v <-> 'mine' LIMIT 1", "SELECT show_trgm('a')"],
        ["SELECT count(*) FROM ext WHERE similarity(v, 'mine') / (tenant_id - 2) > 9"],
    ),
    "hstore": (
        "hstore", "'n=>foreign'",
        ["SELECT v -> 'n' FROM ext", "SELECT v ? 'n' FROM ext", "SELECT k FROM ext, skeys(v) AS k",
         "SELECT hstore('a', 'b') || v, hstore(e) FROM ext e", "SELECT count(*) FROM ext WHERE v @> 'n=>1'"],
        ["SELECT count(*) FROM ext WHERE (v -> 'n')::int > 0"],
    ),
    "uuid-ossp": ("uuid", "uuid_nil()", ["SELECT uuid_generate_v5(uuid_ns_dns(), 'a')", "SELECT uuid_nil()"], []),
    "pgcrypto": (
        "bytea", "'foreign'",
        ["SELECT encode(digest('a', 'sha256'), 'hex')", "SELECT crypt('a', '$1$abc') = 'x'",
         "SELECT pgp_sym_decrypt(v, 'k') FROM ext", "SELECT length(gen_random_bytes(4))"],
        ["SELECT count(*) FROM ext WHERE pgp_sym_decrypt(v, 'k') = 'mine'"],
    ),
    "vector": (
        "vector", "'[1,2,3]'",
        ["SELECT v <-> '[1,2]' FROM ext", "SELECT v FROM ext ORDER BY v <-> '[1,2]' LIMIT 3", "SELECT avg(v) FROM ext",
         "SELECT count(*) FROM ext WHERE v <=> '[1,2]' < 9", "SELECT vector_dims(v) FROM ext"],
        ["SELECT count(*) FROM ext WHERE v <-> '[1,2]' < 9", "SELECT min(v <-> '[1,2]') FROM ext"],
    ),
    "postgis": (
        "geometry", "'SRID=4326;POINT(1 1)'",
        ["SELECT ST_AsText(v) FROM ext", "SELECT count(*) FROM ext WHERE ST_DWithin(v, 'POINT(0 0)', 9)",
         "SELECT v FROM ext ORDER BY v <-> 'POINT(0 0)' LIMIT 3", "SELECT count(*) FROM ext WHERE v && 'POINT(0 0)'"],
        ["SELECT count(*) FROM ext WHERE ST_Distance(v, 'POINT(0 0)') < 9",
         "SELECT min(v <-> 'POINT(0 0)') FROM ext"],
    ),
}  # fmt: skip
OWN = {"hstore": "'n=>1'", "vector": "'[1,2]'", "postgis": "'POINT(0 0)'", "uuid-ossp": "uuid_nil()",
       "pgcrypto": "pgp_sym_encrypt('mine', 'k')"}  # fmt: skip
ORDINARY = [
    "SELECT count(*) FROM orders WHERE id = 1 AND note <> 'x' AND meta ? 'a' AND amount >= 2",
    "SELECT max(o.id), min(o.note), 5 % 2 FROM orders o JOIN customers c USING (tenant_id)",
    "SELECT count(*) FROM orders o JOIN order_items i ON i.order_id = o.id WHERE note LIKE 'a%' AND note || 'x' > 'a'",
    "UPDATE orders SET note = 'x' WHERE id = 1 AND note = ANY ('{a,b}')",
    "SELECT count(*) FROM (SELECT note AS n FROM orders) s WHERE n = 'x' AND n < 'y'",
]
# Never, whatever is listed; answered as what does not exist.
REFUSED = {
    "pg_trgm": ["SELECT set_limit(0.1)"],
    "hstore": ["SELECT populate_record(e, v) FROM ext e", "SELECT e #= v FROM ext e"],
    "postgis": ["SELECT ST_EstimatedExtent('ext', 'v')", "SELECT ST_FindExtent('ext', 'v')",
                "SELECT DropGeometryTable('ext')", "SELECT UpdateGeometrySRID('ext', 'v', 4326)",
                "SELECT postgis_extensions_upgrade()"],
}  # fmt: skip
HIDDEN = {
    "citext": "SELECT 'a'::citext", "pg_trgm": "SELECT similarity('a', 'b')", "hstore": "SELECT NULL::hstore",
    "uuid-ossp": "SELECT uuid_generate_v4()", "pgcrypto": "SELECT digest('a', 'md5')",
    "vector": "SELECT NULL::vector", "postgis": "SELECT ST_MakePoint(1, 2)",
}  # fmt: skip


# Which servers must have which of them, so that all are tried somewhere; servers of other majors have what they have.
TRIED = {
    15: {"citext", "pg_trgm", "hstore", "uuid-ossp", "pgcrypto", "postgis"},
    18: {"citext", "pg_trgm", "hstore", "vector"},
}


def there(server: Cluster) -> list[str]:
    """RuntimeError where one is missing that must be there: what is not tried is not known to be confined."""
    names = server.psql(sql="SELECT name FROM pg_available_extensions").splitlines()
    missing = TRIED.get(server.major, set()) - set(names)
    if missing:
        raise RuntimeError(
            f"{', '.join(sorted(missing))} missing. On Debian 12: apt-get install postgresql-15 postgresql-15-postgis-3"
        )
    return [name for name in LISTED if name in names]


def test_every_extension_of_the_review_is_tried_on_a_server() -> None:
    assert set().union(*TRIED.values()) == set(LISTED) == reviewed()


def own(extension: str, sql: str) -> str:
    """The statement over the extension's own table."""
    return re.sub(r"\bext\b", f"ext_{extension.replace('-', '_')}", sql)


def prepare(server: Cluster, database: str, extension: str) -> None:
    kind, foreign, _, _ = LISTED[extension]
    server.psql(database, f'SET client_min_messages = error; CREATE EXTENSION "{extension}"')
    script = f"""
        CREATE TABLE ext (tenant_id int NOT NULL, id int NOT NULL, v {kind}, PRIMARY KEY (tenant_id, id));
        INSERT INTO ext SELECT 2, g, {foreign} FROM generate_series(1, 30) g;
        INSERT INTO ext VALUES (1, 1, {OWN.get(extension, "'mine'")});
        ANALYZE ext; GRANT SELECT ON ext TO app"""
    server.psql(database, own(extension, script))


@pytest.fixture(scope="module")
def database(shared_server: Cluster) -> Iterator[str]:
    """Every extension that the server has, each with a table."""
    with pristine(shared_server) as name:
        for extension in there(shared_server):
            prepare(shared_server, name, extension)
        namesake = (
            "CREATE FUNCTION split_part(text, citext, int) RETURNS text LANGUAGE sql AS 'SELECT secret FROM orders'"
        )
        shared_server.psql(name, namesake)
        yield name


def test_everything_of_a_server_that_the_review_lets_through_is_in_the_list(shared_server: Cluster) -> None:
    """A newer version of an extension that brings more has to be looked at."""
    lines = [one for name in there(shared_server) for one in shared_server.psql(sql=query(name)).splitlines()]
    for extension, functions in gathered(lines).items():
        known = {f"{rule.name}({','.join(rule.arguments or ())})" for rule in rules_of(extension)}
        assert set(functions) <= known, extension


@contextmanager
def listing(server: Cluster, database: str, extensions: list[str]) -> Iterator[Proxy]:
    with running_proxy(server.port, database) as proxy:
        rules = proxy.directory / "rules" / "sample.yaml"
        line = f"isolation: row\nextensions: [{', '.join(extensions)}]\n"
        rules.write_text(rules.read_text().replace("isolation: row\n", line))
        proxy.reload_whole()
        yield proxy


def test_a_listed_extension_works_on_the_tenants_own_rows(shared_server: Cluster, database: str) -> None:
    found = there(shared_server)
    with (
        listing(shared_server, database, found) as proxy,
        proxy.connect("acme_app") as client,
        RawClient("127.0.0.1", shared_server.port, "app", database) as direct,
    ):
        for extension in found:
            _, _, works, throws = LISTED[extension]
            for sql in works:
                answer = client.simple(own(extension, sql))
                assert answer.errors == [], sql
                assert b"oreign" not in answer.raw
            for sql in throws:
                assert client.simple(own(extension, sql)).errors == [], sql
                assert direct.simple(own(extension, sql)).errors, f"{sql} does not throw on a foreign row"
            for sql in REFUSED.get(extension, []):
                (error,) = client.simple(own(extension, sql)).errors
                assert error["C"] in ("42883", "42501", "0A000"), sql
        for sql in ORDINARY:  # what the extensions share names with goes on
            assert client.simple(sql).errors == [], sql
        # A function of the same name that somebody else made is not the extension's.
        assert client.simple("SELECT split_part('a', 'b'::citext, 1)").errors[0]["C"] == "42883"


def test_an_extension_that_is_not_listed_does_not_exist(shared_server: Cluster, database: str) -> None:
    with listing(shared_server, database, []) as proxy, proxy.connect("acme_app") as client:
        for extension in there(shared_server):
            (error,) = client.simple(HIDDEN[extension]).errors
            assert error["C"] in ("42883", "42704"), extension
            assert "does not exist" in error["M"]
            assert client.simple(own(extension, "SELECT count(*) FROM ext")).rows == [(b"1",)]


def test_comparisons_live_beside_an_extension_that_is_hidden_and_unused(shared_server: Cluster) -> None:
    """Its operators share their names with every other; it must not be reached through any other way to its type."""
    with pristine(shared_server) as name:
        shared_server.psql(name, "CREATE EXTENSION citext; CREATE EXTENSION hstore")
        oid = int(shared_server.psql(name, "SELECT 'citext'::regtype::oid"))
        with running_proxy(shared_server.port, name) as proxy, proxy.connect("acme_app") as client:
            assert client.simple("SELECT count(*) FROM orders WHERE id = 1 AND note <> 'x'").errors == []
            assert client.simple("SELECT 'a' = 'A', 'a' <= 'b'").rows == [(b"f", b"t")]
            for sql in ("SELECT '{a}'::_citext", "SELECT '{a}'::citext[]", "SELECT CAST('a' AS public.citext)"):
                assert client.simple(sql).errors[0]["C"] == "42704", sql
            assert client.extended("SELECT $1 = $2", (b"a", b"A"), (oid, oid)).errors[0]["C"] == "42704"
            declared = (
                "CREATE TEMP TABLE t (v citext)",
                "CREATE TEMP TABLE t (v public.hstore[])",
                "PREPARE p (citext) AS SELECT $1 = $1",
                """SELECT a = 'A' FROM json_to_record('{"a": "a"}') AS t(a citext)""",
                "SELECT a = 'A' FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS a public.citext PATH '.') t",
            )
            for sql in declared:
                assert client.simple(sql).errors[0]["C"] == "42704", sql
        shared_server.psql(name, "CREATE TABLE used (tenant_id int NOT NULL, v citext)")
        with running_proxy(shared_server.port, name) as proxy, proxy.connect("acme_app") as client:
            assert client.simple("SELECT count(*) FROM orders WHERE id = 1").errors[0]["C"] == "42883"
