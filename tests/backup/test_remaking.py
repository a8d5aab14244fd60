"""A schema or a database of one's own comes back with its definitions, as itself or under another name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from proxy.backup.archive import members, writing
from proxy.backup.manifest import SEAL, Manifest
from proxy.backup.refusal import Damaged, Refused
from proxy.backup.remaking import remake, tenants_place
from proxy.backup.restoring import Restored
from proxy.backup.taking import back_up
from proxy.backup.writing import Difference, Mode
from proxy.doctor.provision import provision
from proxy.tenancy.policy import Grant
from proxy.tenancy.servers import place_of
from tests.backup.shelf import UNDER, book_of, checked, operators
from tests.kit.owned import GIVEN, ROLES, owned
from tests.kit.postgres import Cluster, find_binaries
from tests.kit.rules import own_rules
from tests.kit.schemas import load_schemas, schema_rules

PROGRAM = str(find_binaries(18) / "pg_dump")
_numbers = count(1)
RELATIONS = """
SELECT relname, relkind::text, format('%%I.%%I', relnamespace::regnamespace, relname), pg_get_userbyid(relowner)
  FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p', 'm', 'S')
"""
DEFINITIONS = (
    "SELECT conrelid::regclass || conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace",
    "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indexrelid"
    " WHERE relnamespace",
    "SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace",
    "SELECT oid::regclass::text, pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm') AND relnamespace",
    "SELECT tgrelid::regclass || tgname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid"
    " WHERE NOT tgisinternal AND relnamespace",
)


@contextmanager
def beside(cluster: Cluster) -> Iterator[tuple[str, dict[str, Grant]]]:
    """A copy of `beside`, and the grants of its tenants and of newco, which has no schema yet."""
    load_schemas(cluster)
    name = f"beside_copy_{next(_numbers)}"
    cluster.create_database(name, "template_beside")
    try:
        text = schema_rules(cluster.port, name) + (
            "---\ntenant: newco\ndatabases: [shared]\nschema: newco\nserver_login: newco_rw\n"
        )
        book = book_of(text)
        yield name, {one: book.grants[one, "shared", False] for one in book.tenants}
    finally:
        cluster.drop_database(name)
        cluster.psql(sql="DROP ROLE IF EXISTS newco_rw")


def test_the_role_is_the_tenants_and_logs_in_by_the_rules_where_the_operator_goes() -> None:
    text = schema_rules(5432, "d").replace("?sslmode=disable", "?sslmode=require")
    grant = book_of(text.replace("server_login: globex_rw", "server_login: globex_rw\npassword: theirs")).grants[
        "globex", "shared", False
    ]
    server, login = tenants_place(place_of("postgresql://keeper@elsewhere/e?sslmode=disable", "kept"), grant)
    assert (server.host, server.database, server.role) == ("elsewhere", "e", "globex_rw")
    assert (login.password, login.tls) == ("theirs", "disable")
    own = place_of("postgresql://globex_rw@elsewhere/e", "given")
    assert tenants_place(own, grant) == own


def archived(cluster: Cluster, grant: Grant, target: str, program: str = PROGRAM) -> Manifest:
    with writing(target) as sink:
        place = operators(cluster, grant.server.database)
        return asyncio.run(back_up(place, grant, UNDER, sink, pg_dump=program))


def put_back(cluster: Cluster, grant: Grant, path: str, mode: Mode, dry_run: bool = False) -> Restored:
    manifest = checked(Path(path))
    place = operators(cluster, grant.server.database)
    return asyncio.run(remake(place, grant, manifest, path, (), mode, dry_run))


def pictured(cluster: Cluster, database: str, schema: str) -> dict[str, str]:
    """Everything of a schema: rows of its tables and sequences, definitions with that schema called S."""
    found: dict[str, str] = {}
    with psycopg.connect(cluster.dsn(database=database), autocommit=True) as connection:
        for name, kind, full, owner in connection.execute(RELATIONS, [schema]).fetchall():
            what = "(last_value, is_called)" if kind == "S" else "t"
            rows = f"SELECT md5(string_agg({what}::text, ',' ORDER BY {what}::text)) FROM {full} t"
            (digest,) = connection.execute(rows).fetchall()
            found[f"{kind} {name}"] = f"{digest[0]} {owner.replace(schema, 'S')}"
        for query in DEFINITIONS:
            rows_of = connection.execute(f"{query} = '{schema}'::regnamespace").fetchall()
            found |= {one.replace(f"{schema}.", "S."): text.replace(f"{schema}.", "S.") for one, text in rows_of}
    return found


CHANGES = """
ALTER TABLE {0}.orders ADD COLUMN more int; DROP TABLE {0}.order_items CASCADE; CREATE TABLE {0}.fresh (id int);
CREATE VIEW {0}.order_items AS SELECT FROM pg_catalog.generate_series(1, 2) n WHERE n / 0 = 1;
UPDATE {0}.customers SET name = 'x'; DROP FUNCTION {0}.slugify; SELECT setval('{0}.accounts_id_seq', 5000);
"""


def test_a_schema_comes_back_as_it_was_with_its_definitions(server: Cluster, tmp_path: Path) -> None:
    with beside(server) as (database, grants):
        before = {one: pictured(server, database, one) for one in ("acme", "globex", "initech", "reference")}
        archived(server, grants["globex"], str(tmp_path / "a"))
        server.psql(database, CHANGES.format("globex"), user="globex_rw")
        changed = pictured(server, database, "globex")
        would = put_back(server, grants["globex"], str(tmp_path / "a"), "replace", dry_run=True)
        assert would.tables["globex.orders"] == Difference(insert=22, delete=22)
        assert would.tables["globex.order_items"] == Difference(insert=44)
        with pytest.raises(Refused, match="the schema is not empty: "):
            put_back(server, grants["globex"], str(tmp_path / "a"), "into-empty")
        assert pictured(server, database, "globex") == changed
        put_back(server, grants["globex"], str(tmp_path / "a"), "replace")
        assert {one: pictured(server, database, one) for one in before} == before
        assert "partywall" not in server.psql(database, "SELECT nspname FROM pg_namespace")


def test_another_tenant_gets_the_schema_under_its_own_name(server: Cluster, tmp_path: Path) -> None:
    with beside(server) as (database, grants):
        # A function that names its schema in its text cannot be renamed; that one is refused below.
        naming = server.psql(
            database,
            "SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'globex'::regnamespace"
            " AND (strpos(prosrc, 'globex') > 0 OR strpos(coalesce(proconfig::text, ''), 'globex') > 0)",
        ).splitlines()
        assert naming
        archived(server, grants["globex"], str(tmp_path / "a"))
        server.psql(database, "CREATE ROLE newco_rw LOGIN")
        with pytest.raises(
            Refused, match='role "newco_rw" has no schema "newco"; run what `partywall provision` prints'
        ):
            put_back(server, grants["newco"], str(tmp_path / "a"), "into-empty")
        server.psql(database, provision(grants["newco"], b"0123456789abcdef"))
        before = {one: pictured(server, database, one) for one in ("acme", "globex")}
        with pytest.raises(Refused, match="functions name the schema globex in their text, which is newco there"):
            put_back(server, grants["newco"], str(tmp_path / "a"), "into-empty")
        assert {one: pictured(server, database, one) for one in before} == before
        for one in naming:
            server.psql(database, f"DROP FUNCTION {one} CASCADE")
        before = {one: pictured(server, database, one) for one in ("acme", "globex")}
        archived(server, grants["globex"], str(tmp_path / "b"))
        put_back(server, grants["newco"], str(tmp_path / "b"), "into-empty")
        assert {one: pictured(server, database, one) for one in before} == before
        assert pictured(server, database, "newco") == before["globex"]
        with psycopg.connect(server.dsn("newco_rw", database), autocommit=True) as tenant:
            assert tenant.execute("SELECT count(*) FROM newco.orders").fetchone() == (22,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                tenant.execute("SELECT count(*) FROM globex.orders")
            tenant.execute("CREATE TABLE newco.mine (id int)")


def test_what_depends_on_the_schema_from_outside_does_not_go_along(server: Cluster, tmp_path: Path) -> None:
    with beside(server) as (database, grants):
        archived(server, grants["globex"], str(tmp_path / "a"))
        server.psql(database, "CREATE VIEW reference.peek AS SELECT count(*) FROM globex.orders")
        before = pictured(server, database, "globex")
        with pytest.raises(
            Refused, match=r"outside the schema globex there depends on what is in it: .*reference\.peek"
        ):
            put_back(server, grants["globex"], str(tmp_path / "a"), "replace")
        server.psql(database, "ALTER TABLE globex.orders OWNER TO postgres; DROP VIEW reference.peek")
        with pytest.raises(Refused, match="must be owner of table orders\n`partywall provision` makes the role's what"):
            put_back(server, grants["globex"], str(tmp_path / "a"), "replace")
        server.psql(database, "ALTER TABLE globex.orders OWNER TO globex_rw")
        assert pictured(server, database, "globex") == before


OPERATORS = """
COMMENT ON EXTENSION plpgsql IS 'theirs'; COMMENT ON SCHEMA public IS 'theirs';
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE SCHEMA partywall; CREATE FUNCTION partywall.migrated() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER migrated ON ddl_command_end EXECUTE FUNCTION partywall.migrated();
"""


def test_a_database_comes_back_in_an_empty_one(server: Cluster, tmp_path: Path) -> None:
    with owned(server, 1) as database:
        server.psql(database, OPERATORS)
        grant = book_of(own_rules(server.port, database, ROLES[1])).grants["acme", "shared", False]
        archived(server, grant, f"{tmp_path}/folder/")
        before = pictured(server, database, "public")
        with pytest.raises(Refused, match="the database is not empty: "):
            put_back(server, grant, f"{tmp_path}/folder/", "into-empty")
        with pytest.raises(Refused, match="make one, and name it in the rules"):
            put_back(server, grant, f"{tmp_path}/folder/", "replace")
        with pytest.raises(Refused, match="is not merged"):
            put_back(server, grant, f"{tmp_path}/folder/", "merge")
        server.create_database("remade")
        try:
            server.psql("remade", "REVOKE CREATE ON SCHEMA public FROM PUBLIC")  # as from PostgreSQL 15 on
            empty = book_of(own_rules(server.port, "remade", ROLES[1])).grants["acme", "shared", False]
            with pytest.raises(Refused, match=f'tenant\'s role "{ROLES[1]}", which may not do this: permission denied'):
                put_back(server, empty, f"{tmp_path}/folder/", "into-empty")
            assert pictured(server, "remade", "public") == {}
            server.psql("remade", GIVEN.format(database="remade", role=ROLES[1]))
            put_back(server, empty, f"{tmp_path}/folder/", "into-empty")
            assert pictured(server, "remade", "public") == before
            assert server.psql("remade", "SELECT has_table_privilege('app', 'orders', 'UPDATE')").strip() == "f"
            left = "SELECT (SELECT count(*) FROM pg_event_trigger) + (SELECT count(*) FROM pg_publication)"
            assert server.psql("remade", left).strip() == "0"
        finally:
            server.drop_database("remade")


def test_an_archive_that_is_not_whole_any_more_leaves_everything_as_it_is(postgres15: Cluster, tmp_path: Path) -> None:
    with beside(postgres15) as (database, grants):
        manifest = archived(postgres15, grants["globex"], str(tmp_path / "a"))
        before = pictured(postgres15, database, "globex")
        listed = list(members(str(tmp_path / "a")))
        with writing(str(tmp_path / "b")) as sink:
            for name, stored in listed:
                if name not in {SEAL, manifest.relations[0].members[0].name}:
                    sink.add(name, stored)
        place = operators(postgres15, database)
        with pytest.raises(Damaged, match="is gone since it was verified"):
            asyncio.run(remake(place, grants["globex"], manifest, str(tmp_path / "b"), (), "replace"))
        assert pictured(postgres15, database, "globex") == before


WRITES = """
SET search_path = globex;
CREATE TABLE t (a text DEFAULT E'x\\nSET transaction_timeout y',
    b text DEFAULT '); CREATE ROLE intruder SUPERUSER; CREATE TABLE globex.z (c text --');
CREATE TABLE u (a text DEFAULT E'x\\n\\\\restrict y', b text DEFAULT '); CREATE ROLE intruder SUPERUSER; --');
CREATE TABLE v (a text DEFAULT E'x\\n\\\\unrestrict y', b text DEFAULT '); CREATE ROLE intruder SUPERUSER; --');
CREATE TABLE w (a text DEFAULT E'x\\nSET transaction_timeout = 0;\\n\\r\\v\\f\\u0085\\u2028', "x
SET transaction_timeout = 0;
" text DEFAULT E'\\n\\n');
CREATE TABLE "n
CREATE ROLE intruder SUPERUSER;
--" (a text);
COMMENT ON TABLE t IS E'x\\nSET transaction_timeout y';
COMMENT ON TABLE u IS '; CREATE ROLE intruder SUPERUSER; --';
COMMENT ON TABLE w IS E'\\n\\\\restrict a\\n\\\\unrestrict a\\n\\r\\\\restrict b\\u2028\\\\restrict c\\n\\n';
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS E'SELECT $$\\nSET transaction_timeout = 0;\\n\\\\restrict a\\n$$';
"""
TEXTS = (
    "SELECT jsonb_object_agg(what, text) FROM (SELECT c.relname || '.' || a.attname AS what,"
    " pg_get_expr(d.adbin, d.adrelid) AS text FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid"
    " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.adnum WHERE c.relnamespace = 'globex'::regnamespace"
    " UNION ALL SELECT relname, obj_description(oid, 'pg_class') FROM pg_class"
    " WHERE relnamespace = 'globex'::regnamespace) found"
)


@pytest.mark.parametrize(("major", "dumping"), [(15, 15), (15, 18), (18, 18)])
def test_what_a_tenant_wrote_comes_back_to_the_letter_and_none_of_it_runs(
    request: pytest.FixtureRequest, major: int, dumping: int, tmp_path: Path
) -> None:
    server: Cluster = request.getfixturevalue(f"postgres{major}")
    with beside(server) as (database, grants):
        server.psql(database, WRITES, user="globex_rw")
        before = pictured(server, database, "globex"), server.psql(database, TEXTS)
        archived(server, grants["globex"], str(tmp_path / "a"), str(find_binaries(dumping) / "pg_dump"))
        try:
            put_back(server, grants["globex"], str(tmp_path / "a"), "replace")
        finally:
            came = server.psql(sql="SELECT count(*) FROM pg_roles WHERE rolname = 'intruder'").strip()
            server.psql(sql="DROP ROLE IF EXISTS intruder")
        assert came == "0"
        assert (pictured(server, database, "globex"), server.psql(database, TEXTS)) == before
        assert server.psql(database, "SELECT to_regclass('globex.z') IS NULL").strip() == "t"
