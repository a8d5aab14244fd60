"""What a tenant wrote into its schema, or somebody into an archive, runs as the tenant's role at a restore or clone,
and never as the operator: there is a table that only the operator can write to, and one that tells who was there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from proxy.backup.archive import finish, members, packed, unpacked, writing
from proxy.backup.cloning import clone
from proxy.backup.definitions import SECTIONS
from proxy.backup.manifest import MANIFEST, SEAL
from proxy.backup.refusal import Refused
from proxy.tenancy.policy import Grant
from tests.backup.shelf import UNDER, book_of, checked, operators
from tests.backup.test_remaking import PROGRAM, archived, put_back
from tests.kit.owned import GIVEN
from tests.kit.postgres import Cluster
from tests.kit.rules import own_rules
from tests.kit.schemas import empty_schemas, schema_rules

TENANTS = ("globex", "initech")
_numbers = count(1)
VAULT = """
CREATE SCHEMA vault; GRANT USAGE ON SCHEMA vault TO PUBLIC;
CREATE TABLE vault.canary (what text);
CREATE TABLE vault.seen (what text, login text, who text); GRANT INSERT ON vault.seen TO PUBLIC;
"""
CANARY = "INSERT INTO vault.canary VALUES ('x');"
# Whoever calls it becomes what it can, and tells. pure() may stand wherever a function must be immutable.
CODE = """
CREATE FUNCTION {0}.act(what text) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN
  BEGIN RESET SESSION AUTHORIZATION; EXCEPTION WHEN OTHERS THEN END;
  BEGIN RESET ROLE; EXCEPTION WHEN OTHERS THEN END;
  BEGIN SET ROLE postgres; EXCEPTION WHEN OTHERS THEN END;
  BEGIN SET SESSION AUTHORIZATION postgres; EXCEPTION WHEN OTHERS THEN END;
  BEGIN INSERT INTO vault.canary VALUES (what); EXCEPTION WHEN OTHERS THEN END;
  INSERT INTO vault.seen VALUES (what, session_user, current_user);
  RETURN 1;
END $$;
CREATE FUNCTION {0}.pure(what text) RETURNS integer IMMUTABLE LANGUAGE plpgsql
  AS 'BEGIN RETURN {0}.act(what); END';
CREATE FUNCTION {0}.fired() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql
  AS 'BEGIN PERFORM {0}.act(TG_ARGV[0]); RETURN NULL; END';
"""
# The same where a schema's name in a text would be in the way, as in a clone.
PARSED = """
CREATE FUNCTION {0}.act(what text) RETURNS integer LANGUAGE sql
  BEGIN ATOMIC INSERT INTO vault.seen VALUES (what, session_user, current_user); SELECT 1; END;
CREATE FUNCTION {0}.pure(what text) RETURNS integer IMMUTABLE LANGUAGE sql RETURN {0}.act(what);
CREATE FUNCTION {0}.fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
"""
USES = """
CREATE DOMAIN {0}.checked AS integer CHECK ({0}.pure('domain') = 1);
CREATE TABLE {0}.t (a integer CHECK ({0}.pure('check') = 1), b {0}.checked, d integer DEFAULT {0}.act('default'),
  c integer GENERATED ALWAYS AS ({0}.pure('generated')) STORED);
INSERT INTO {0}.t (a, b) VALUES (1, 1);
CREATE INDEX ON {0}.t (({0}.pure('index') + a));
CREATE INDEX ON {0}.t (a) WHERE {0}.pure('predicate') = 1;
CREATE STATISTICS {0}.s ON ({0}.pure('statistics') + a), a FROM {0}.t;
CREATE VIEW {0}.v AS SELECT {0}.act('view') AS one;
CREATE MATERIALIZED VIEW {0}.m AS SELECT one, {0}.act('materialized view') FROM {0}.v;
CREATE TRIGGER fired AFTER INSERT ON {0}.t EXECUTE FUNCTION {0}.fired('trigger');
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON {0}.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION {0}.fired('deferred');
CREATE RULE also AS ON INSERT TO {0}.v DO INSTEAD INSERT INTO {0}.t SELECT {0}.act('rule');
CREATE POLICY p ON {0}.t USING ({0}.act('policy') = 1);
ALTER TABLE {0}.t ENABLE ROW LEVEL SECURITY;
"""
RUN = {"domain", "check", "generated", "index", "predicate", "view", "materialized view"}
# Each writes to the canary where an operator runs it.
FORGED = (
    f"RESET ROLE; RESET SESSION AUTHORIZATION; {CANARY}",
    f"SET SESSION AUTHORIZATION DEFAULT; {CANARY}",
    f"SET SESSION AUTHORIZATION postgres; {CANARY}",
    f"SET ROLE postgres; {CANARY}",
    f"SELECT pg_catalog.set_config('role', 'postgres', false); {CANARY}",
    f"DO $do$ BEGIN EXECUTE 'RESET ROLE'; {CANARY} END $do$;",
    f"CREATE FUNCTION globex.f() RETURNS void SECURITY DEFINER LANGUAGE sql AS $$ {CANARY} $$;"
    " ALTER FUNCTION globex.f() OWNER TO postgres; SELECT globex.f();",
    f"ALTER ROLE globex_rw SUPERUSER; {CANARY}",
    f"GRANT INSERT ON vault.canary TO globex_rw; {CANARY}",
    f"GRANT pg_write_all_data TO globex_rw; {CANARY}",
    f"ALTER TABLE vault.canary OWNER TO globex_rw; {CANARY}",
    f"ALTER SCHEMA vault OWNER TO globex_rw; {CANARY}",
    f"UPDATE pg_catalog.pg_authid SET rolsuper = true WHERE rolname = 'globex_rw'; {CANARY}",
    "COPY vault.canary FROM PROGRAM 'echo x';",
    f"SELECT pg_catalog.pg_read_file('PG_VERSION'); {CANARY}",
    f"CREATE SCHEMA another; {CANARY}",
    f"CREATE EXTENSION IF NOT EXISTS file_fdw; {CANARY}",
    "CREATE VIEW globex.w AS SELECT * FROM vault.canary; INSERT INTO globex.w VALUES ('x');",
    "CREATE TABLE globex.u (); CREATE RULE r AS ON INSERT TO globex.u DO ALSO INSERT INTO vault.canary VALUES ('x');"
    " INSERT INTO globex.u DEFAULT VALUES;",
    f"CREATE FUNCTION globex.g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {CANARY} RETURN NULL; END $$;"
    " CREATE TRIGGER g AFTER INSERT ON globex.t EXECUTE FUNCTION globex.g(); INSERT INTO globex.t VALUES (1);",
    f"CREATE FUNCTION globex.e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN {CANARY} END $$;"
    " CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION globex.e(); CREATE TABLE globex.z ();",
)
# At the transaction's end, or by ending it.
ENDING = (
    "CREATE TABLE globex.half (); COMMIT;",
    "CREATE TABLE globex.half (); DO $$ BEGIN COMMIT; END $$;",
    "CREATE TABLE globex.half (); ROLLBACK; BEGIN;",
    "SAVEPOINT one; CREATE TABLE globex.half (); RELEASE one; COMMIT AND CHAIN;",
    "DECLARE c CURSOR WITH HOLD FOR SELECT globex.act('cursor');",
)
# By COPY: a query of the table would run what is watched.
STATE = """
SELECT c.relname, c.relkind{0} FROM pg_class c WHERE c.relnamespace = '{1}'::regnamespace
UNION ALL SELECT p.proname, 'f'{0} FROM pg_proc p WHERE p.pronamespace = '{1}'::regnamespace ORDER BY 1, 2;
COPY {1}.t TO STDOUT;
SELECT rolname, rolsuper, rolcreaterole FROM pg_roles ORDER BY 1; SELECT count(*) FROM vault.canary;
"""


@contextmanager
def vaulted(cluster: Cluster, text: str) -> Iterator[tuple[str, dict[str, Grant]]]:
    """A database with the vault, where globex wrote this into its schema; nothing of it was seen yet."""
    with empty_schemas(cluster, f"vaulted{next(_numbers)}", TENANTS) as name:
        cluster.psql(name, VAULT)
        cluster.psql(name, (text + USES).format("globex"), user="globex_rw")
        cluster.psql(name, "TRUNCATE vault.seen")
        book = book_of(schema_rules(cluster.port, name, tenants=TENANTS))
        yield name, {one: book.grants[one, "shared", False] for one in TENANTS}


def seen(cluster: Cluster, database: str, vault: str = "vault") -> tuple[set[str], set[str]]:
    """What was run, and as whom; nothing has reached the canary."""
    assert cluster.psql(database, f"SELECT count(*) FROM {vault}.canary").strip() == "0"
    found = [
        row.split("|") for row in cluster.psql(database, f"SELECT what, login, who FROM {vault}.seen").splitlines()
    ]
    return {what for what, *_ in found}, {one for _, *both in found for one in both}


def state(cluster: Cluster, database: str, schema: str = "globex", same: bool = True) -> str:
    """What is in the schema. same: other numbers are another state."""
    return cluster.psql(database, STATE.format(", oid" if same else "", schema))


def forged(path: str, target: Path, texts: tuple[str, str]) -> None:
    """An archive that is whole in every respect, and has these texts behind its definitions."""
    manifest = checked(Path(path))
    added = {f"definitions/{section}.sql.zst": one for section, one in zip(SECTIONS, texts, strict=True)}
    made = []
    with writing(str(target)) as sink:
        for name, whole in members(path):
            stored = whole
            if name in added:
                plain = unpacked(name, stored) + f"\n{added[name]}\n".encode()
                member, stored = packed(name, plain, rows=False)
                made.append(member)
            if name not in (MANIFEST, SEAL):
                sink.add(name, stored)
        finish(sink, manifest.model_copy(update={"definitions": tuple(made)}))


def test_what_the_tenant_wrote_runs_as_the_tenant(server: Cluster, tmp_path: Path) -> None:
    with vaulted(server, CODE) as (database, grants):
        before = state(server, database, same=False)
        archived(server, grants["globex"], str(tmp_path / "a"))
        put_back(server, grants["globex"], str(tmp_path / "a"), "replace", dry_run=True)
        assert seen(server, database) == (set(), set())
        put_back(server, grants["globex"], str(tmp_path / "a"), "replace")
        what, who = seen(server, database)
        assert what >= RUN
        assert who == {"globex_rw"}
        assert state(server, database, same=False) == before


def test_in_a_clone_it_runs_as_the_one_whose_it_becomes(server: Cluster) -> None:
    with vaulted(server, PARSED) as (database, grants):
        place = operators(server, database)
        source, target = (place, grants["globex"]), (place, grants["initech"])
        asyncio.run(clone(source, target, UNDER, pg_dump=PROGRAM))
        what, who = seen(server, database)
        assert what >= RUN
        assert who == {"initech_rw"}
        same = [state(server, database, one, same=False) for one in ("globex", "initech")]
        assert same[0] == same[1]


def test_in_a_database_of_ones_own_too(server: Cluster, tmp_path: Path) -> None:
    role = "vaulted_own"
    names = [f"vaulted{next(_numbers)}" for _ in range(2)]
    server.psql(sql=f"CREATE ROLE {role} LOGIN")
    try:
        for name in names:
            server.create_database(name)
            server.psql(name, GIVEN.format(database=name, role=role) + VAULT.replace("vault", "partywall"))
        server.psql(names[0], (CODE + USES).format("public").replace("vault", "partywall"), user=role)
        old, new = (book_of(own_rules(server.port, one, role)).grants["acme", "shared", False] for one in names)
        archived(server, old, str(tmp_path / "a"))
        put_back(server, new, str(tmp_path / "a"), "into-empty")
        what, who = seen(server, names[1], "partywall")
        assert what >= RUN
        assert who == {role}
    finally:
        for name in names:
            server.drop_database(name)
        server.psql(sql=f"DROP ROLE {role}")


def test_what_somebody_wrote_into_an_archive_does_nothing_that_the_tenant_may_not(
    server: Cluster, tmp_path: Path, effort: int
) -> None:
    with vaulted(server, CODE) as (database, grants):
        archived(server, grants["globex"], str(tmp_path / "a"))
        before, count_it = state(server, database), "SELECT 'found ' || (count(*) > 0) FROM vault.canary"
        would = server.psql(database, " ".join(f"BEGIN; {text} {count_it}; ROLLBACK;" for text in FORGED))
        assert would.count("found true") == len(FORGED)  # or it is no attack
        for number, text in enumerate(FORGED):
            for place in (0, 1) if effort > 1 else (number % 2,):
                path = tmp_path / f"f{number}{place}"
                forged(str(tmp_path / "a"), path, (text, "") if place == 0 else ("", text))
                try:
                    put_back(server, grants["globex"], str(path), "replace")
                except (Refused, asyncpg.PostgresError):
                    assert state(server, database) == before, text
                else:
                    before = state(server, database)
        assert seen(server, database)[1] <= {"globex_rw"}


def test_no_archive_ends_the_transaction(server: Cluster, tmp_path: Path) -> None:
    with vaulted(server, CODE) as (database, grants):
        archived(server, grants["globex"], str(tmp_path / "a"))
        before = state(server, database)
        for number, text in enumerate(ENDING):
            path = tmp_path / f"e{number}"
            forged(str(tmp_path / "a"), path, (text, "SELECT 1 / 0;") if number % 2 else ("", f"{text} SELECT 1 / 0;"))
            with pytest.raises((Refused, asyncpg.PostgresError)):
                put_back(server, grants["globex"], str(path), "replace")
            assert state(server, database) == before, text
        assert seen(server, database) == (set(), set())


# Who has a foreign key to a shared table has code of its own run by whoever changes that, before PostgreSQL 18.
TO_SHARED = "FOREIGN KEY ({}) REFERENCES reference.countries(code) ON DELETE CASCADE"
ADDED = "ALTER TABLE ONLY globex.u ADD CONSTRAINT k " + TO_SHARED.format("c")
TOLD = (
    'ALTER TABLE ONLY "globex"."u" ADD CONSTRAINT "k" FOREIGN KEY ("c") REFERENCES "reference"."countries" ("code")'
    " ON DELETE CASCADE NOT VALID;"
)
KEYS = (
    f"CREATE TABLE globex.u (c text); {ADDED};",
    f"CREATE TABLE globex.u (c text, {TO_SHARED.format('c')});",
    f"CREATE TABLE globex.u (c text); {ADDED}, ADD CHECK (c > '');",
    f"CREATE TABLE globex.u (c text); DO $do$ BEGIN {ADDED}; END $do$;",
    f"CREATE TABLE globex.u (c text); CREATE FUNCTION globex.k() RETURNS int LANGUAGE plpgsql AS 'BEGIN {ADDED};"
    " RETURN 1; END'; CREATE MATERIALIZED VIEW globex.w AS SELECT globex.k(); REFRESH MATERIALIZED VIEW globex.w;",
)
MADE = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'globex'::regnamespace"


def test_no_archive_makes_a_foreign_key_to_a_shared_table(server: Cluster, tmp_path: Path) -> None:
    with vaulted(server, CODE) as (database, grants):
        server.psql(database, "ALTER TABLE globex.t ADD c2 text CONSTRAINT kept REFERENCES reference.countries")
        archived(server, grants["globex"], str(tmp_path / "a"))
        told: tuple[str, ...] = ()
        for number, text in enumerate(KEYS):
            before = state(server, database)
            path = tmp_path / f"k{number}"
            forged(str(tmp_path / "a"), path, ("", text))
            if number:
                with pytest.raises(Refused, match="may not do this: permission denied for table countries"):
                    put_back(server, grants["globex"], str(path), "replace")
                assert state(server, database) == before
            else:
                told = put_back(server, grants["globex"], str(path), "replace").away
                assert told[0].endswith('REFERENCES "reference"."countries" ("code") NOT VALID;')
                assert told[1:] == (TOLD,)
            assert server.psql(database, MADE).strip() == "0"
        for one in told:  # they are what an operator may run
            server.psql(database, one)
        server.psql(database, "ALTER TABLE globex.t VALIDATE CONSTRAINT kept", user="globex_rw")
        assert server.psql(database, MADE).strip() == "2"
        assert seen(server, database)[1] <= {"globex_rw"}


def test_a_role_that_is_more_than_a_tenant_restores_nothing(server: Cluster, tmp_path: Path) -> None:
    with vaulted(server, CODE) as (database, grants):
        archived(server, grants["globex"], str(tmp_path / "a"))
        for more, less, why in (
            ("ALTER ROLE globex_rw SUPERUSER", "ALTER ROLE globex_rw NOSUPERUSER", "is a superuser"),
            ("ALTER ROLE globex_rw CREATEROLE", "ALTER ROLE globex_rw NOCREATEROLE", "can create roles"),
            ("GRANT pg_write_all_data TO globex_rw", "REVOKE pg_write_all_data FROM globex_rw", "a predefined role"),
            (
                "GRANT TRIGGER ON reference.countries TO globex_rw",
                "REVOKE TRIGGER ON reference.countries FROM globex_rw",
                "may change reference.countries, which others read",
            ),
            (
                "GRANT CREATE ON SCHEMA vault TO globex_rw",
                "REVOKE CREATE ON SCHEMA vault FROM globex_rw",
                "may create objects in schema",
            ),
            (
                "CREATE FUNCTION reference.f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
                "DROP FUNCTION reference.f()",
                "which acts as its owner",
            ),
        ):
            server.psql(database, more)
            try:
                with pytest.raises(Refused, match=why):
                    put_back(server, grants["globex"], str(tmp_path / "a"), "replace")
            finally:
                server.psql(database, less)
        assert seen(server, database) == (set(), set())
