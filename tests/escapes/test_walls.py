"""Behind policies a tenant is served while the server's wall stands, and not a moment longer than it takes to look."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from proxy.tenancy.load import load
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import Exchange, RawClient
from tests.kit.rls import MODES, load_walled, provision_walls, rls_grants, rls_rules
from tests.kit.sample import pristine

ORDERS = "SELECT count(*) FROM orders"
SECONDS = 30.0
LOOKS = {"CATALOG_REFRESH_INTERVAL": "0.2"}


@pytest.fixture
def database(server: Cluster) -> Iterator[str]:
    with pristine(load_walled(server), "walled") as name:
        yield name


def codes(exchange: Exchange) -> list[str]:
    return [one["C"] for one in exchange.errors]


def greeted(proxy: Proxy, login: str) -> list[str]:
    with proxy.connect(login) as client:
        return codes(client.greeting)


def answers(client: RawClient, count: bytes) -> bool:
    return client.simple(ORDERS).rows == [(count,)]


@pytest.mark.parametrize("mode", MODES)
def test_each_tenant_sees_and_writes_its_own_rows(server: Cluster, database: str, mode: str) -> None:
    with running_proxy(server.port, database, rules=rls_rules(server.port, database, mode)) as proxy:
        for login, count in (("acme_app", b"21"), ("acme_ro", b"21"), ("globex_app", b"22"), ("initech_app", b"23")):
            with proxy.connect(login) as client:
                assert answers(client, count), login
                inserted = client.simple("INSERT INTO customers (id, name) VALUES (901, 'new')")
                assert codes(inserted) == (["25006"] if login == "acme_ro" else [])
                assert codes(client.simple("SELECT * FROM mv_order_stats")) == ["42P01"]
                assert codes(client.simple("SELECT partywall.tenant_key('default')")) == ["3F000"]
                assert codes(client.simple("SELECT * FROM partywall.tenant_keys")) == ["42P01"]
        rows = "SELECT tenant_id FROM customers WHERE id = 901 ORDER BY 1"
        assert server.psql(database, rows).split() == ["1", "2", "3"]


CHANGES = [
    (
        "UPDATE partywall.tenant_keys SET value = '9' WHERE role = 'acme_rls' AND kind = 'default'",
        "UPDATE partywall.tenant_keys SET value = '1' WHERE role = 'acme_rls' AND kind = 'default'",
        True,
    ),
    ("ALTER TABLE orders DISABLE ROW LEVEL SECURITY", "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", False),
    ("CREATE POLICY more ON orders USING (true)", "DROP POLICY more ON orders", False),
    ("ALTER ROLE acme_rls BYPASSRLS", "ALTER ROLE acme_rls NOBYPASSRLS", True),
    (
        "GRANT UPDATE ON partywall.tenant_keys TO app_owner",
        "REVOKE UPDATE ON partywall.tenant_keys FROM app_owner",
        True,
    ),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("change", "back", "keys"), CHANGES)
def test_what_is_no_longer_held_is_hidden_until_it_is_again(
    server: Cluster, database: str, mode: str, change: str, back: str, keys: bool
) -> None:
    rules = rls_rules(server.port, database, mode)
    with running_proxy(server.port, database, rules=rules, **LOOKS) as proxy, proxy.connect("acme_app") as client:
        assert answers(client, b"21")
        server.psql(database, change)
        assert eventually(lambda: codes(client.simple(ORDERS)) == ["42P01"], SECONDS)
        assert fallen(proxy) is keys
        server.psql(database, back)
        assert eventually(lambda: answers(client, b"21"), SECONDS)


def fallen(proxy: Proxy) -> bool:
    """Does the proxy count looks at the catalog that found the keys wrong?"""
    return re.search(r"partywall_catalog_failures_total\{[^}]*acme_rls[^}]*\} [1-9]", proxy.metrics()) is not None


@pytest.mark.parametrize("mode", MODES)
def test_a_table_of_a_migration_is_there_once_it_has_its_policy(server: Cluster, database: str, mode: str) -> None:
    rules = rls_rules(server.port, database, mode)
    with running_proxy(server.port, database, rules=rules, **LOOKS) as proxy, proxy.connect("acme_app") as client:
        server.psql(
            database, "CREATE TABLE later (tenant_id int NOT NULL, id int); INSERT INTO later VALUES (1, 1), (2, 2)"
        )
        server.psql(database, "GRANT ALL ON later TO PUBLIC")
        for _ in range(3):
            assert codes(client.simple("SELECT id FROM later")) == ["42P01"]
        provision_walls(server, database, rls_grants(server.port, database, mode))
        assert eventually(lambda: client.simple("SELECT id FROM later").rows == [(b"1",)], SECONDS)


@pytest.mark.parametrize("mode", MODES)
def test_a_role_that_is_not_as_it_must_be_is_its_tenants_trouble_alone(
    server: Cluster, database: str, mode: str
) -> None:
    server.psql(database, "DELETE FROM partywall.tenant_keys WHERE role = 'globex_rls'")
    with running_proxy(server.port, database, rules=rls_rules(server.port, database, mode)) as proxy:
        with proxy.connect("acme_app") as client:
            assert answers(client, b"21")
        assert greeted(proxy, "globex_app") == ["57P03"]
        assert "partywall.tenant_keys does not say what the rules say" in proxy.log
        provision_walls(server, database, rls_grants(server.port, database, mode))
        assert eventually(lambda: greeted(proxy, "globex_app") == [], SECONDS)
        with proxy.connect("globex_app") as client:
            assert answers(client, b"22")


def test_a_database_without_policies_serves_nobody(shared_server: Cluster) -> None:
    with pristine(shared_server) as database:
        load_walled(shared_server)  # the roles are there
        with running_proxy(shared_server.port, database, rules=rls_rules(shared_server.port, database)) as proxy:
            for login in ("acme_app", "globex_app"):
                assert greeted(proxy, login) == ["57P03"]
            assert "there is no partywall.tenant_keys" in proxy.log
            assert "or else accept rls" not in proxy.log


@pytest.mark.parametrize("mode", MODES)
def test_keys_that_a_reload_exchanges_show_nobody_the_others_rows(server: Cluster, database: str, mode: str) -> None:
    rules = rls_rules(server.port, database, mode)
    keys = {"acme": "  default: 1\n  slug: acme\n", "globex": "  default: 2\n  slug: globex\n"}
    exchanged = rules.replace(keys["acme"], "@@").replace(keys["globex"], keys["acme"]).replace("@@", keys["globex"])
    with running_proxy(server.port, database, rules=rules) as proxy, proxy.connect("acme_app") as before:
        assert answers(before, b"21")
        (proxy.directory / "rules" / "sample.yaml").write_text(exchanged, encoding="utf-8")
        proxy.reload_whole()
        assert greeted(proxy, "acme_app") == greeted(proxy, "globex_app") == ["57P03"]
        assert before.simple(ORDERS).rows in ([], [(b"21",)])  # an older session is what it was, or over
        grants = load(proxy.directory / "rules", {}, 1).grants.values()
        provision_walls(server, database, sorted(grants, key=lambda one: (one.policy.read_only, one.tenant)))
        assert eventually(lambda: greeted(proxy, "acme_app") == [], SECONDS)
        with proxy.connect("acme_app") as after:
            assert answers(after, b"22")
