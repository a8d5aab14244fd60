"""The attackers' corpus as a tenant with a database of its own, on a server with two other tenants' databases, whose
sessions are open meanwhile: no entry shows or changes a byte of another tenant or of the server, none finds a bug, and
what the database itself would answer is answered so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from proxy.catalog.connect import connect
from proxy.catalog.facts import check_facts
from proxy.catalog.finding import Finding
from proxy.tenancy.policy import Credentials, Server
from tests.escapes.corpus import Attack, read_attacks
from tests.escapes.run import FOREIGN, Result, judge
from tests.kit.checksums import foreign_checksums
from tests.kit.owned import ROLES, owned, owned_rules
from tests.kit.postgres import Cluster, running
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import TENANTS

# Answered otherwise than by the database itself, without a foreign byte: each with its reason.
ACCEPTED_DIFFERENCES = {
    "A306": "SHOW ALL shows application_name as the proxy set it before the first statement",
    "A313": "the two databases have two names, and sessions two processes",
    "A378": "pg_namespace shows the temporary schemas of whichever sessions there were",
    "A482": "xmin is the transaction counter of the server",
    "A484": "xmax is the same",
    "A572": "EXPLAIN ANALYZE tells the time it took",
    "A573": "the same",
    "A579": "the same",
}
# What all databases of a server share, but the databases' own settings.
SERVER = """
SELECT md5(string_agg(t, ',' ORDER BY t)) FROM (
  SELECT a::text AS t FROM pg_authid a UNION ALL SELECT m::text FROM pg_auth_members m
  UNION ALL SELECT format('%s %s %s', d.datname, d.datdba, d.datacl) FROM pg_database d
  UNION ALL SELECT t::text FROM pg_tablespace t UNION ALL SELECT s::text FROM pg_db_role_setting s
  UNION ALL SELECT d::text FROM pg_shdescription d UNION ALL SELECT f::text FROM pg_file_settings f
) x
"""


def kept(attack: Attack) -> Attack:
    """What might be done for good is rolled back."""
    return replace(attack, transaction=attack.transaction or attack.action == "reject")


ATTACKS = [kept(one) for one in read_attacks(Path(__file__).parents[1] / "data" / "attacks.yaml")]


def findings(cluster: Cluster, database: str, role: str) -> tuple[Finding, ...]:
    """What `partywall check --online` says of a tenant's own database."""
    server = Server("127.0.0.1", cluster.port, database, role)

    async def ask() -> tuple[Finding, ...]:
        connection = await connect(server, Credentials(tls="disable"))
        try:
            return await check_facts(connection, server, own=True)
        finally:
            await connection.close()

    return asyncio.run(ask())


@dataclass(frozen=True, slots=True)
class Scene:
    """Three tenants' databases on one server, and what acme's would be without the proxy."""

    cluster: Cluster
    proxy: Proxy
    databases: dict[int, str]
    private: str

    def judge(self, attack: Attack) -> Result:
        direct = partial(RawClient, "127.0.0.1", self.cluster.port, ROLES[1], self.private)
        return judge(attack, direct, partial(self.proxy.connect, "acme_app"))

    def others(self) -> list[object]:
        """Every row of the other two, and what belongs to the server."""
        rows: list[object] = [foreign_checksums(self.cluster, self.databases[one], 1) for one in (2, 3)]
        return [*rows, self.cluster.psql(sql=SERVER)]


@pytest.fixture(scope="module")
def alone(server: Cluster) -> Iterator[Cluster]:
    """A server of this module's: other tests have roles and databases that are named after tenants."""
    with running(server.major) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def scene(alone: Cluster) -> Iterator[Scene]:
    with ExitStack() as stack:
        databases = {one: stack.enter_context(owned(alone, one)) for one in TENANTS}
        private = stack.enter_context(owned(alone, 1, served=False))
        for number, database in (*databases.items(), (1, private)):
            (told,) = [one for one in findings(alone, database, ROLES[number]) if one.name == "server.neighbours"]
            alone.psql(database, told.remedy)
        proxy = stack.enter_context(running_proxy(alone.port, rules=owned_rules(alone.port, databases)))
        for login in ("globex_app", "initech_app"):
            neighbour = stack.enter_context(proxy.connect(login))
            assert neighbour.simple("BEGIN; SELECT slug FROM tenants; PREPARE mine AS SELECT 1").errors == []
        yield Scene(alone, proxy, databases, private)


def test_no_attack_shows_or_changes_a_foreign_byte_or_finds_a_bug(scene: Scene) -> None:
    before = scene.others()
    results = [scene.judge(one) for one in ATTACKS]
    assert {one.attack.id: one.leaks for one in results if one.leaks} == {}
    assert {one.attack.id: one.seen for one in results if one.bug} == {}
    different = {
        one.attack.id: (one.attack.statements, one.expected, one.seen) for one in results if one.verdict == "different"
    }
    assert {name: what for name, what in different.items() if name not in ACCEPTED_DIFFERENCES} == {}
    assert scene.others() == before


# What every role of a server may ask about the rest of it, by statement and by code.
ASKED = [
    "SELECT datname, usename, application_name, query, state FROM pg_stat_activity",
    "SELECT application_name, query FROM pg_stat_get_activity(NULL)",
    "SELECT * FROM pg_stat_replication",
    "SELECT * FROM pg_stat_ssl",
    "SELECT setconfig FROM pg_db_role_setting",
    "SELECT description FROM pg_shdescription",
    "SELECT * FROM pg_prepared_xacts",
    "SELECT datname, datacl FROM pg_database",
    "SELECT datname, numbackends FROM pg_stat_database",
    "SELECT rolname, rolconfig FROM pg_roles",
    "SELECT usename, useconfig FROM pg_user",
    "SELECT g::oid::regrole FROM generate_series(16384, 17500) g",
    "SELECT pg_get_userbyid(g::oid) FROM generate_series(16384, 17500) g",
    "SELECT shobj_description(oid, 'pg_database'), shobj_description(datdba, 'pg_authid') FROM pg_database",
    "SELECT * FROM pg_locks",
    "SELECT * FROM pg_stat_progress_vacuum",
    "SELECT * FROM pg_replication_slots",
]


def test_where_the_remedies_were_run_nothing_of_the_server_names_another_tenant(scene: Scene) -> None:
    globex = scene.databases[2]
    with scene.proxy.connect("globex_app") as other:
        assert other.simple(f"ALTER DATABASE {globex} SET search_path = 'of globex'").errors == []
        comment = f"COMMENT ON DATABASE {globex} IS $$of globex$$"
        assert other.simple(f"DO $do$ BEGIN EXECUTE '{comment}'; END $do$").errors == []
    with scene.proxy.connect("acme_app") as client:
        for text in ASKED:
            code = f"DO $$ DECLARE r record; BEGIN FOR r IN {text} LOOP RAISE NOTICE '%', r; END LOOP; END $$"
            for asked in (text, code):
                assert FOREIGN.search(client.simple(asked).raw) is None, asked
    scene.cluster.psql(sql=f"ALTER DATABASE {globex} RESET ALL; COMMENT ON DATABASE {globex} IS NULL")


def test_what_is_told_of_other_databases_and_those_that_can_be_entered_are_found_until_it_is_mended(
    server: Cluster,
) -> None:
    # A server of this test's: the remedy shuts the role out of every other database, the scene's too.
    with running(server.major) as alone, owned(alone, 1, served=False) as database:
        found = {one.name: one for one in findings(alone, database, ROLES[1])}
        assert {one.name for one in found.values() if one.severity == "warning"} == {
            "server.neighbours",
            "role.connect",
        }
        assert "pg_stat_get_activity" in found["server.neighbours"].text
        alone.psql(database, found["server.neighbours"].remedy)
        alone.psql(sql=found["role.connect"].remedy)
        assert {one.name for one in findings(alone, database, ROLES[1]) if one.severity == "warning"} == set()
