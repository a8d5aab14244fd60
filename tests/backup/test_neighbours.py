"""Beside tables that tenants share, what another tenant has for itself is in no command's way and in none's reach."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from proxy.backup.cloning import clone
from proxy.backup.erasing import Erased, erase
from proxy.backup.exporting import export_tenant
from proxy.backup.neighbours import Around, anothers, around
from proxy.backup.refusal import Refused
from proxy.backup.verifying import with_archive
from proxy.catalog.connect import connect
from proxy.catalog.model import Relation
from proxy.sql.world import World
from proxy.tenancy.policy import Grant, Policy
from tests.backup.shelf import ROLE, UNDER, archived, book_of, checked, operators, put_back
from tests.backup.test_selection import catalog_of
from tests.kit.postgres import Cluster

CUSTOM = "neighbours_custom"  # the role of a tenant with a schema of its own
_numbers = count(1)

# Whoever deletes from custom's table, or only plans a query of it, runs custom's code, and is seen in the canary.
MADE = f"""
DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE {CUSTOM} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
CREATE TABLE things (tenant_id int NOT NULL, id int PRIMARY KEY, label text);
INSERT INTO things VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 3, 'c');
CREATE TABLE canary (who text); GRANT INSERT ON canary TO PUBLIC;
CREATE SCHEMA custom; GRANT USAGE, CREATE ON SCHEMA custom TO {CUSTOM};
SET SESSION AUTHORIZATION {CUSTOM};
CREATE TABLE custom.planted (tenant_id int NOT NULL, id int PRIMARY KEY, label text);
INSERT INTO custom.planted VALUES (1, 7, 'planted'), (2, 8, 'planted'), (3, 9, 'planted');
CREATE FUNCTION custom.wrote() RETURNS int LANGUAGE plpgsql
  AS 'BEGIN INSERT INTO public.canary VALUES (session_user); RETURN 1; END';
CREATE FUNCTION custom.seen(int) RETURNS int LANGUAGE plpgsql IMMUTABLE
  AS 'BEGIN IF session_user <> ''{CUSTOM}'' THEN PERFORM custom.wrote(); END IF; RETURN 1; END';
CREATE INDEX ON custom.planted ((custom.seen(1)));
CREATE FUNCTION custom.fired() RETURNS trigger LANGUAGE plpgsql
  AS 'BEGIN PERFORM custom.wrote(); RETURN OLD; END';
CREATE TRIGGER fired AFTER DELETE ON custom.planted FOR EACH ROW EXECUTE FUNCTION custom.fired();
RESET SESSION AUTHORIZATION;
"""
MISTAKE = f"GRANT USAGE ON SCHEMA custom TO {ROLE}; GRANT ALL ON custom.planted TO {ROLE};"
RULES = """\
database: {name}
server: postgresql://{role}@127.0.0.1:{port}/{name}?sslmode=disable
isolation: row
tenant_column: tenant_id
---
tenant: acme
databases: [{name}]
key: 1
---
tenant: globex
databases: [{name}]
key: 2
---
tenant: initech
databases: [{name}]
key: 3
"""
NAMED = f"---\ntenant: custom\ndatabases: [{{name}}]\nisolation: schema\nschema: custom\nserver_login: {CUSTOM}\n"


@contextmanager
def beside(cluster: Cluster, more: str = "", named: bool = True) -> Iterator[dict[str, Grant]]:
    """Rows of acme and globex in a database in which custom has a schema of its own. named: by the rules."""
    name = f"neighbours{next(_numbers)}"
    cluster.create_database(name)
    try:
        cluster.psql(name, MADE + more)
        text = RULES + (NAMED if named else "")
        book = book_of(text.format(name=name, role=ROLE, port=cluster.port))
        yield {tenant: book.grants[tenant, name, False] for tenant in book.tenants}
    finally:
        cluster.drop_database(name)


def erased(cluster: Cluster, grant: Grant) -> Erased:
    return asyncio.run(erase(operators(cluster, grant.server.database), grant))


@pytest.mark.parametrize(("more", "named"), [("", True), (MISTAKE, True), ("", False)])
def test_no_command_touches_a_table_in_a_schema_of_another_tenants_own(
    postgres18: Cluster, tmp_path: Path, more: str, named: bool
) -> None:
    with beside(postgres18, more, named) as grants:
        acme, database = grants["acme"], grants["acme"].server.database
        place, archive = operators(postgres18, database), tmp_path / "acme.tar"
        manifest = archived(postgres18, acme, archive)
        assert [one.name for one in manifest.relations] == ["things"]
        assert asyncio.run(export_tenant(place, acme, "csv", str(tmp_path / "export"))).tables == 1
        compared = asyncio.run(with_archive(place, acme, checked(archive), str(archive)))
        assert (list(compared.tables), bool(compared)) == (["things"], False)
        cloned = asyncio.run(clone((place, acme), (place, grants["initech"]), UNDER))
        assert (list(cloned.tables), dict(cloned.renumbered)) == (["things"], {"things.id": 2})
        postgres18.psql(database, "DELETE FROM things WHERE tenant_id = 1 AND id = 1")
        assert list(put_back(postgres18, acme, archive).tables) == ["things"]
        gone = erased(postgres18, acme)
        assert gone.tables == {"public.things": 2}
        told = [where for one in gone.remains if one.what.startswith("tables that") for where in one.where]
        assert told == ([] if named else [f"custom.planted: not looked at, as it is {CUSTOM}'s"])
        assert postgres18.psql(database, "TABLE canary").strip() == ""
        assert postgres18.psql(database, "SET enable_indexscan = off; SELECT count(*) FROM things").strip() == "3"
        owned = f"SET SESSION AUTHORIZATION {CUSTOM}; SELECT string_agg(id::text, ' ') FROM custom.planted"
        assert postgres18.psql(database, owned).strip() == "7 8 9"


def test_the_proxy_serves_what_a_backup_has_and_nothing_else(postgres18: Cluster) -> None:
    with beside(postgres18, MISTAKE) as grants:
        world = World(grants["acme"].policy, catalog_of(postgres18, grants["acme"].server.database))
        assert world.relation("custom", "planted") is None
        assert not world.shows_schema("custom")
        assert world.relation(None, "things") is not None


TIED = f"GRANT USAGE ON SCHEMA public TO {CUSTOM}; GRANT REFERENCES ON things TO {CUSTOM};" + (
    f"SET SESSION AUTHORIZATION {CUSTOM}; ALTER TABLE custom.planted ADD thing int"
    " REFERENCES public.things ON DELETE CASCADE; UPDATE custom.planted SET thing = 1; RESET SESSION AUTHORIZATION;"
)


@pytest.mark.parametrize("named", [True, False])
def test_a_table_of_anothers_that_references_a_shared_one_is_told_and_not_asked(
    postgres18: Cluster, tmp_path: Path, named: bool
) -> None:
    with beside(postgres18, TIED, named) as grants:
        acme = grants["acme"]
        manifest = archived(postgres18, acme, tmp_path / "acme.tar")
        assert len(manifest.relations) == 1
        for command in (lambda: erased(postgres18, acme), lambda: put_back(postgres18, acme, tmp_path / "acme.tar")):
            with pytest.raises(
                Refused, match=r"ties public\.things to custom\.planted, which is not acme's and may be"
            ):
                command()
        assert postgres18.psql(acme.server.database, "TABLE canary").strip() == ""


def test_an_operators_table_elsewhere_that_references_a_shared_one_is_asked_as_before(postgres18: Cluster) -> None:
    made = "CREATE SCHEMA audit; CREATE TABLE audit.seen (id int REFERENCES things); INSERT INTO audit.seen VALUES (3);"
    with beside(postgres18, made) as grants:
        assert erased(postgres18, grants["acme"]).tables == {"public.things": 2}
        with pytest.raises(Refused, match=r"1 rows of audit\.seen that the rules do not give to globex"):
            erased(postgres18, grants["globex"])


CLOSED = f"REVOKE USAGE ON SCHEMA public FROM PUBLIC; GRANT USAGE ON SCHEMA public TO {CUSTOM};"
MADE_AMONG = f"CREATE TABLE late (tenant_id int NOT NULL); ALTER TABLE late OWNER TO {CUSTOM};"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (CLOSED, r'public\.things may hold rows of acme, which .* GRANT USAGE ON SCHEMA "public"'),
        (MADE_AMONG, r"public\.late .* is hidden: it is of a tenant that has a schema of its own"),
    ],
)
def test_what_looks_like_the_tenants_where_it_should_be_and_is_not_served_is_told(
    postgres18: Cluster, tmp_path: Path, more: str, why: str
) -> None:
    with beside(postgres18, more) as grants, pytest.raises(Refused, match=why):
        archived(postgres18, grants["acme"], tmp_path / "acme.tar")


def test_a_role_that_is_not_there_is_told(postgres18: Cluster) -> None:
    async def asked(grant: Grant) -> Around:
        connection = await connect(*operators(postgres18, grant.server.database))
        try:
            return await around(connection, grant)
        finally:
            await connection.close()

    with beside(postgres18) as grants:
        assert "custom" in asyncio.run(asked(grants["acme"])).closed
        assert asyncio.run(asked(grants["custom"])) == Around()
        other = replace(grants["acme"], server=replace(grants["acme"].server, role="nobody"))
        with pytest.raises(Refused, match="there is no role nobody at the server, by which acme is served"):
            asyncio.run(asked(other))


def test_what_may_be_anothers_is_judged_by_the_rules_then_by_who_can_use_it_and_who_owns_it() -> None:
    policy = Policy("d", "row", "t", {}, own_schemas=frozenset({"own"}), own_roles=frozenset({"own_rw"}))
    near = Around(closed=frozenset({"far"}))
    judged = {
        (schema, owner): anothers(Relation(1, schema, "x", "r", owner=owner), policy, near, {"dba"})
        for schema, owner in (
            ("own", "dba"),
            ("public", "own_rw"),
            ("far", "other"),
            ("far", "dba"),
            ("public", "other"),
        )
    }
    assert list(judged.values()) == [True, True, True, False, False]
    alone = replace(policy, isolation="schema", schema="own")
    assert not anothers(Relation(1, "own", "x", "r", owner="own_rw"), alone, near, ())
