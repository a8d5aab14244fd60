"""Tenants of different modes behind one database name, on two servers: each finds its own rows where they are, none
finds another's, and what a server may bear is counted server by server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import psycopg
import pytest

from tests.escapes.run import FOREIGN
from tests.kit.books import Books, eventually
from tests.kit.fleet import HOOLI, MODES, NAME, Fleet, mixed_fleet
from tests.kit.postgres import Cluster, free_port
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rules import PASSWORDS

SECONDS = 20.0
MINE = {"acme": "tenants", "globex": "tenants", "initech": "tenants", "hooli": "mine"}


@pytest.fixture(scope="module")
def fleet(postgres18: Cluster, postgres15: Cluster) -> Iterator[Fleet]:
    with mixed_fleet(postgres18, postgres15) as fleet:
        yield fleet


def named(proxy: Proxy) -> Proxy:
    """With the name that all DSNs have, and hooli's password."""
    return replace(proxy, database=NAME, passwords={**PASSWORDS, **HOOLI})


@pytest.fixture(scope="module")
def proxy(fleet: Fleet) -> Iterator[Proxy]:
    with running_proxy(fleet.first.port, rules=fleet.rules()) as proxy:
        yield named(proxy)


def first(client: RawClient, text: str) -> bytes:
    """The one value that is answered."""
    ((value,),) = client.simple(text).rows
    assert value is not None
    return value


def lines(proxy: Proxy, metric: str) -> dict[str, float]:
    return dict(Books(proxy, "").metric(metric))


def test_each_tenant_finds_its_own_rows_on_its_own_server(fleet: Fleet, proxy: Proxy) -> None:
    majors = {"acme": b"18", "hooli": b"18", "globex": b"15", "initech": b"15"}
    for tenant, table in MINE.items():
        with proxy.connect(f"{tenant}_app") as client:
            assert client.simple(f"SELECT slug FROM {table}").rows == [(tenant.encode(),)]
            assert first(client, "SHOW server_version").split(b".")[0] == majors[tenant]


def test_none_finds_what_is_anothers(proxy: Proxy) -> None:
    asked = ("{}.orders", "{}.mine", "{}.tenants", "{}.planted")
    for tenant in ("acme", "hooli"):
        other = "hooli" if tenant == "acme" else "public"
        with proxy.connect(f"{tenant}_app") as client:
            for text in asked:
                for statement in (
                    f"SELECT * FROM {text}",
                    f"SELECT '{text}'::regclass",
                    f"INSERT INTO {text} DEFAULT VALUES",
                ):
                    told = [
                        [
                            (one["C"], one["M"].replace(name, "?"))
                            for one in client.simple(statement.format(name)).errors
                        ]
                        for name in (other, "absent")
                    ]
                    assert told[0] == told[1], (tenant, statement)
            raw = client.simple("SELECT nspname FROM pg_namespace; SELECT relname FROM pg_class").raw
            for foreign in (b"hooli", b"planted") if tenant == "acme" else (b"orders",):
                assert foreign not in raw
    for tenant in ("acme", "hooli"):
        with proxy.connect(f"{tenant}_app") as client:
            everything = client.simple("SELECT usename, datname, application_name, query FROM pg_stat_activity").raw
            assert FOREIGN.search(everything) is None


def test_the_metrics_and_the_status_tell_which_server_has_how_many_connections(fleet: Fleet, proxy: Proxy) -> None:
    with ExitStack() as stack:
        for tenant, table in MINE.items():
            client = stack.enter_context(proxy.connect(f"{tenant}_app"))
            assert client.simple(f"BEGIN; SELECT count(*) FROM {table}").errors == []
        _told_of_each(fleet, proxy)


def _told_of_each(fleet: Fleet, proxy: Proxy) -> None:
    """While every tenant has a connection."""
    first, second = (f"127.0.0.1:{one.port}" for one in (fleet.first, fleet.second))
    by_server = lines(proxy, "partywall_connections_to_server")
    assert by_server.keys() == {f'server="{first}"', f'server="{second}"'}
    assert all(count >= 2 for count in by_server.values())
    assert sum(by_server.values()) == float(proxy.metrics().split("\npartywall_server_connections ")[1].split()[0])
    states = lines(proxy, "partywall_pool_connections")
    wanted = {"acme": fleet.near, "globex": fleet.far, "initech": fleet.own, "hooli": fleet.near}
    for tenant, database in wanted.items():
        assert any(f'tenant="{tenant}"' in one and f'database="{database}"' in one for one in states), tenant
    catalogs = lines(proxy, "partywall_catalog_version")
    assert len(catalogs) == len(MODES)  # a picture of each place, whatever its name
    told = proxy.command("status").stdout
    for server in (first, second):
        assert f"server {server}: " in told


def test_what_a_server_may_bear_is_counted_for_each(fleet: Fleet) -> None:
    rules = fleet.rules("max_server_connections: 1\n") + "---\ndefaults: {quotas: {query_wait_timeout: 1s}}\n"
    with running_proxy(fleet.first.port, rules=rules) as started:
        proxy = named(started)
        with proxy.connect("acme_app") as acme, proxy.connect("hooli_app") as hooli, proxy.connect("globex_app") as far:
            assert acme.simple("BEGIN; SELECT 1").errors == []
            assert far.simple("BEGIN; SELECT 1").errors == []  # at the other server there is room
            assert [one["C"] for one in hooli.simple("SELECT 1").errors] == ["53300"]
            assert acme.simple("COMMIT").errors == []
            assert hooli.simple("SELECT 1").errors == []
            limits = lines(proxy, "partywall_connections_to_server_limit")
            assert set(limits.values()) == {1.0}
            assert len(limits) == 2


def test_a_server_that_only_tenants_name_keeps_nobody_else_out_when_it_is_away(fleet: Fleet) -> None:
    with running_proxy(fleet.first.port, rules=fleet.rules(second_port=free_port())) as started:
        proxy = named(started)
        with proxy.connect("acme_app") as client:
            assert client.simple("SELECT slug FROM tenants").rows == [(b"acme",)]
        for tenant in ("globex", "initech"):
            with proxy.connect(f"{tenant}_app") as client:
                (error,) = client.greeting.errors or client.simple("SELECT 1").errors
                assert error["C"] == "57P03"
        assert "a tenant's database stays closed" in proxy.log
        (proxy.directory / "rules" / "sample.yaml").write_text(fleet.rules(), encoding="utf-8")
        proxy.reload_whole()
        with proxy.connect("globex_app") as client:
            assert client.simple("SELECT slug FROM tenants").rows == [(b"globex",)]


def test_a_tenant_that_is_routed_anew_is_there_from_its_next_transaction_on(fleet: Fleet) -> None:
    before = fleet.rules()
    route = f"server: postgresql://app@127.0.0.1:{fleet.second.port}/{fleet.far}?sslmode=disable\n"
    with running_proxy(fleet.first.port, rules=before.replace(route, "")) as started:
        proxy = named(started)
        with proxy.connect("globex_app") as client:
            version = "SHOW server_version_num"
            assert client.simple("BEGIN").errors == []
            assert first(client, version).startswith(b"18")
            (proxy.directory / "rules" / "sample.yaml").write_text(before, encoding="utf-8")
            proxy.reload_whole()
            assert first(client, version).startswith(b"18")
            assert client.simple("COMMIT").errors == []
            assert first(client, version).startswith(b"15")
            assert client.simple("SELECT slug FROM tenants").rows == [(b"globex",)]


def test_the_doctor_and_the_check_ask_every_server_of_the_name(fleet: Fleet, proxy: Proxy) -> None:
    rules = str(proxy.directory / "rules")
    told = proxy.command("doctor", "--database", NAME, "--rules", rules).stdout
    for place in (
        f"app@127.0.0.1:{fleet.first.port}/{fleet.near}", f"app@127.0.0.1:{fleet.second.port}/{fleet.far}",
        f"hooli_rw@127.0.0.1:{fleet.first.port}/{fleet.near}", f"127.0.0.1:{fleet.second.port}/{fleet.own}",
    ):  # fmt: skip
        assert f"{place}: score " in told, told
    assert proxy.command("check", "--online", rules).returncode == 0


def test_the_servers_themselves_see_only_who_belongs_there(fleet: Fleet, proxy: Proxy) -> None:
    for tenant, table in MINE.items():
        with proxy.connect(f"{tenant}_app") as client:
            assert client.simple(f"SELECT count(*) FROM {table}").errors == []
    # In these databases, for other proxies may have connections to other databases of the same servers.
    ours = [fleet.near, fleet.far, fleet.own]
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s || '/%%' AND datname = ANY(%s)"

    def seen(cluster: Cluster, tenant: str) -> bool:
        with psycopg.connect(cluster.dsn(), autocommit=True) as connection:
            row = connection.execute(query, [tenant, ours]).fetchone()
        return row is not None and bool(row[0])

    assert eventually(lambda: seen(fleet.first, "acme") and seen(fleet.second, "globex"), SECONDS)
    for tenant in ("globex", "initech"):
        assert not seen(fleet.first, tenant)
    for tenant in ("acme", "hooli"):
        assert not seen(fleet.second, tenant)
