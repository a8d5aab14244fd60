"""pg_dump of a tenant's data through the proxy: its rows and nothing else, which restore into a private database."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.escapes.run import FOREIGN
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy
from tests.kit.sample import pristine

TABLES = (
    "tenants", "users", "customers", "orders", "order_items", "notes", "documents", '"Order Details"', "assets",
    "vehicles", "coupons", "accounts",
)  # fmt: skip
DIGEST = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM {} t"


def dump(cluster: Cluster, dsn: str, *tables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    chosen = [part for table in tables for part in ("-t", table)]
    line = [str(cluster.binaries / "pg_dump"), "--data-only", *chosen, dsn]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=120)


def digests(cluster: Cluster, database: str) -> dict[str, str]:
    return {table: cluster.psql(database, sql=DIGEST.format(f"ONLY {table}")) for table in TABLES}


def test_the_tenants_rows_are_dumped_and_restore_into_a_private_database(
    shared_server: Cluster, proxy: Proxy, tmp_path: Path
) -> None:
    done = dump(shared_server, proxy.dsn("acme_app"), *TABLES)
    assert done.returncode == 0, done.stderr
    assert "ERROR" not in done.stderr
    assert FOREIGN.search(done.stdout.encode()) is None
    file = tmp_path / "acme.sql"
    file.write_text(done.stdout, encoding="utf-8")
    with pristine(shared_server, "private1") as database:
        before = digests(shared_server, database)
        shared_server.psql(database, sql=f"TRUNCATE {', '.join(TABLES)} CASCADE; DROP TRIGGER orders_audit ON orders")
        assert digests(shared_server, database) != before
        shared_server.psql(database, file=file)
        assert digests(shared_server, database) == before


@pytest.mark.parametrize("table", ["leaky_stats", "no_such_table"])
def test_a_hidden_relation_is_none_that_could_be_dumped(shared_server: Cluster, proxy: Proxy, table: str) -> None:
    done = dump(shared_server, proxy.dsn("acme_app"), table)
    assert done.returncode != 0
    assert "no matching tables were found" in done.stderr
