"""pgbench in every query mode, with pipelines and connects: no transaction fails, or sees another tenant."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import pristine

# A division by zero ends pgbench's client: each transaction checks that what it sees is its own tenant's.
TRANSACTION = """\
\\set id random(1, 20)
\\set delta random(-50, 50)
BEGIN;
UPDATE orders SET qty = qty + :delta WHERE id = :id;
SELECT 1 / (min(tenant_id) = {tenant} AND max(tenant_id) = {tenant} AND count(*) > 20)::int FROM orders;
SELECT amount, note FROM orders WHERE id = :id \\gset
INSERT INTO order_items (order_id, line, product_id, price) VALUES (:id, 100 + :delta, 1, 2.50)
  ON CONFLICT (tenant_id, order_id, line) DO UPDATE SET price = excluded.price;
SELECT 1 / (:amount > 0.0)::int;
END;
"""
PIPELINE = """\
\\set id random(1, 20)
\\startpipeline
SELECT id, note FROM orders WHERE id = :id;
SELECT 1 / (min(tenant_id) = {tenant})::int FROM customers;
UPDATE orders SET version = version + 1 WHERE id = :id;
\\endpipeline
"""


@pytest.fixture(scope="module")
def own_proxy(shared_server: Cluster) -> Iterator[Proxy]:
    """A proxy over a database that this module alone writes to."""
    with pristine(shared_server) as name, running_proxy(shared_server.port, name) as proxy:
        yield proxy


def pgbench(cluster: Cluster, dsn: str, script: Path, *options: str) -> str:
    """What pgbench printed after it ended well."""
    program = cluster.binaries / "pgbench"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    command = [str(program), "--no-vacuum", "--file", str(script), "--transactions", "40", *options, dsn]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "number of failed transactions: 0" in done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (TRANSACTION, ("--protocol", "simple")),
        (TRANSACTION, ("--protocol", "extended")),
        (TRANSACTION, ("--protocol", "prepared")),
        (TRANSACTION, ("--connect",)),
        (PIPELINE, ("--protocol", "extended")),
        (PIPELINE, ("--protocol", "prepared")),
    ],
    ids=["simple", "extended", "prepared", "connect", "pipelined", "pipelined and prepared"],
)
def test_no_transaction_of_two_tenants_fails(
    shared_server: Cluster, own_proxy: Proxy, tmp_path: Path, text: str, options: tuple[str, ...]
) -> None:
    running = []
    for login, tenant in (("acme_app", 1), ("globex_app", 2)):
        script = tmp_path / f"{login}.sql"
        script.write_text(text.format(tenant=tenant), encoding="utf-8")
        printed = pgbench(shared_server, own_proxy.dsn(login), script, "--client", "4", *options)
        running.append("number of transactions actually processed: 160/160" in printed)
    assert running == [True, True]
