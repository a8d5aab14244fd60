"""Several addresses: a primary with a streaming standby, the standby promoted, and nobody's session ends with it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from proxy.auth.scram import build_verifier
from proxy.pool.hosts import Hosts
from proxy.tenancy.policy import Server
from tests.kit.books import Books, eventually
from tests.kit.postgres import Cluster, find_binaries
from tests.kit.proxy import Proxy, serving
from tests.kit.rawclient import RawClient
from tests.pool.scripted import grant_at

SCHEMA = """
CREATE ROLE app LOGIN;
CREATE TABLE orders (tenant_id int NOT NULL, id int NOT NULL, qty int, PRIMARY KEY (tenant_id, id));
INSERT INTO orders VALUES (1, 1, 0);
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, UPDATE ON orders TO app;
"""
RULES = """\
database: shared
server: postgresql://app@{hosts}/shared?sslmode=disable&target_session_attrs=read-write
tenant_column: tenant_id
---
tenant: acme
key: 1
databases: [shared]
logins: {{acme_app: {{verifier: "{verifier}"}}}}
"""
PASSWORD = "failover"
NEW_TABLE = """
CREATE TABLE afterwards (tenant_id int NOT NULL, id int, PRIMARY KEY (tenant_id, id));
GRANT SELECT ON afterwards TO app;
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary, and a standby that follows it."""

    primary: Cluster
    standby: Cluster

    @property
    def hosts(self) -> str:
        return f"127.0.0.1:{self.primary.port},127.0.0.1:{self.standby.port}"


@contextmanager
def made() -> Iterator[Pair]:
    """A primary whose standby follows it."""
    binaries = find_binaries(15)
    with Cluster(binaries) as primary:
        primary.create_database("shared")
        primary.psql("shared", SCHEMA)
        follow = {"primary_conninfo": f"host=127.0.0.1 port={primary.port} user=postgres"}
        with Cluster(binaries, settings=follow) as standby:
            standby.stop("fast")
            primary.stop("fast")
            allowed = primary.data / "pg_hba.conf"
            allowed.write_text(allowed.read_text(encoding="utf-8").replace("reject", "trust"), encoding="utf-8")
            owner = standby.data.stat()
            subprocess.run(["rm", "-rf", str(standby.data)], check=True)
            subprocess.run(["cp", "-a", str(primary.data), str(standby.data)], check=True)
            signal = standby.data / "standby.signal"
            signal.touch()
            os.chown(signal, owner.st_uid, owner.st_gid)
            primary.start()
            standby.start()
            yield Pair(primary, standby)


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """One for tests that leave both running as they were."""
    with made() as found:
        yield found


def several(pair: Pair, target: str, swapped: bool = False) -> Server:
    ports = [pair.primary.port, pair.standby.port]
    first, second = reversed(ports) if swapped else ports
    return Server("127.0.0.1", first, "shared", "app", (("127.0.0.1", second),), target)


async def reached(hosts: Hosts, server: Server) -> int:
    """The port of the server that a connection was made to."""
    connection = await hosts.connect(replace(grant_at(1), server=server))
    connection.close()
    return connection.server.port


@dataclass(frozen=True, slots=True)
class House:
    """A proxy before the pair."""

    proxy: Proxy
    pair: Pair

    def books(self, cluster: Cluster) -> Books:
        return Books(self.proxy, cluster.dsn(database="shared"))


@contextmanager
def house_before(pair: Pair) -> Iterator[House]:
    """A proxy that wants the one that can be written to."""
    with tempfile.TemporaryDirectory(prefix="partywall-failover-") as folder:
        (Path(folder) / "rules").mkdir()
        text = RULES.format(hosts=pair.hosts, verifier=build_verifier(PASSWORD, b"salt of failover"))
        (Path(folder) / "rules" / "pair.yaml").write_text(text, encoding="utf-8")
        with serving(Path(folder), "shared", {"acme_app": PASSWORD}, CATALOG_REFRESH_INTERVAL="1") as proxy:
            yield House(proxy, pair)


def works(client: RawClient, text: str) -> bool:
    return not client.simple(text).errors


async def test_each_is_reached_by_what_it_is_and_the_good_one_is_remembered(pair: Pair) -> None:
    primary, standby = pair.primary.port, pair.standby.port
    expected = {
        "read-write": primary,
        "primary": primary,
        "standby": standby,
        "read-only": standby,
        "prefer-standby": standby,
    }
    for target, port in expected.items():
        for swapped in (False, True):
            assert await reached(Hosts(), several(pair, target, swapped)) == port, target
    hosts = Hosts()
    assert await reached(hosts, several(pair, "any")) == primary
    pair.primary.stop()
    assert await reached(hosts, several(pair, "any")) == standby
    pair.primary.start()
    assert await reached(hosts, several(pair, "any")) == standby  # which was good last
    pair.standby.stop()
    assert await reached(Hosts(), several(pair, "prefer-standby")) == primary
    pair.standby.start()


def test_a_promoted_standby_takes_over_and_idle_sessions_notice_nothing() -> None:
    with made() as pair, house_before(pair) as house:
        fail_over(pair, house)
        house.books(pair.standby).settled("a failover")


def fail_over(pair: Pair, house: House) -> None:
    with house.proxy.connect("acme_app") as client, house.proxy.connect("acme_app") as busy:
        assert works(client, "UPDATE orders SET qty = 77 WHERE id = 1")
        written = "SELECT count(*) FROM orders WHERE tenant_id = 1 AND id = 1 AND qty = 77"
        assert eventually(lambda: pair.standby.psql("shared", written).strip() == "1", 20.0)
        assert works(busy, "BEGIN; SELECT count(*) FROM orders")
        pair.primary.stop()
        assert busy.collect().errors[-1]["C"] == "08006"  # its transaction is lost, and it is told so
        pair.standby.psql(sql="SELECT pg_promote()")
        update = "UPDATE orders SET qty = 78 WHERE id = 1 AND qty = 77"
        assert eventually(lambda: works(client, update), 60.0), (client.simple(update).errors, house.proxy.log[-2000:])
        assert client.simple("SELECT qty FROM orders WHERE id = 1").rows == [(b"78",)]
        pair.standby.psql("shared", NEW_TABLE)
        assert eventually(lambda: works(client, "SELECT * FROM afterwards"), 30.0)  # its catalog follows


def test_a_server_that_restarts_under_load_is_used_again(pair: Pair) -> None:
    with house_before(pair) as house:
        restart(pair, house)
        house.books(pair.primary).settled("a restart")


def restart(pair: Pair, house: House) -> None:
    clients = [house.proxy.connect("acme_app") for _ in range(10)]
    for number, client in enumerate(clients):
        client.send("Q", b"SELECT pg_sleep(20)\0" if number % 2 else b"BEGIN\0")
    pair.primary.stop("fast")
    for number, client in enumerate(clients):
        told = client.collect()
        if not told.errors:  # BEGIN went through before
            told = client.collect()
        assert told.errors, number
        assert {one["C"] for one in told.errors} <= {"57P01", "08006", "53300", "57P03"}
        client.close()
    pair.primary.start()
    with house.proxy.connect("acme_app") as client:
        assert eventually(lambda: works(client, "UPDATE orders SET qty = 5 WHERE id = 1"), 30.0)
