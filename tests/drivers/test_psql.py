"""psql as two tenants: statements, and the backslash commands that read the catalogs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy


def psql(cluster: Cluster, dsn: str, *commands: str) -> subprocess.CompletedProcess[str]:
    program = cluster.binaries / "psql"
    given = [part for command in commands for part in ("-c", command)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    line = [str(program) if program.exists() else "psql", "-XAt", "-v", "ON_ERROR_STOP=1", *given, dsn]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=60)


@pytest.mark.parametrize(("login", "tenant"), [("acme_app", 1), ("globex_app", 2)])
def test_each_tenant_sees_its_own_rows(shared_server: Cluster, proxy: Proxy, login: str, tenant: int) -> None:
    sql = "SELECT DISTINCT tenant_id FROM orders ORDER BY 1"
    private = psql(shared_server, shared_server.dsn("app", f"private{tenant}"), sql, "SELECT count(*) FROM orders")
    seen = psql(shared_server, proxy.dsn(login), sql, "SELECT count(*) FROM orders")
    assert seen.stderr == ""
    assert seen.stdout == private.stdout
    assert seen.stdout.startswith(f"{tenant}\n")


def test_a_transaction_that_changes_rows_rolls_back(shared_server: Cluster, proxy: Proxy) -> None:
    done = psql(
        shared_server, proxy.dsn("acme_app"), "BEGIN", "UPDATE customers SET city = 'Nowhere'",
        "SELECT count(*) = sum((city = 'Nowhere')::int) FROM customers", "ROLLBACK",
        "SELECT count(*) FROM customers WHERE city = 'Nowhere'",
    )  # fmt: skip
    assert (done.stderr, done.stdout.splitlines()[-3:]) == ("", ["t", "ROLLBACK", "0"])


@pytest.mark.parametrize("command", ["\\d orders", "\\dt", "\\d", "\\dv", "\\di", "\\dn", "\\d+ customers"])
def test_backslash_commands_show_what_the_tenant_may_use(shared_server: Cluster, proxy: Proxy, command: str) -> None:
    done = psql(shared_server, proxy.dsn("acme_app"), command)
    assert (done.returncode, done.stderr) == (0, "")
    assert "leaky_stats" not in done.stdout
    if command == "\\d orders":
        assert "amount|numeric(12,2)" in done.stdout
        assert "id|integer||not null|" in done.stdout
    if command in ("\\d", "\\dt"):
        assert "public|orders|table" in done.stdout


def test_a_hidden_table_is_described_as_one_that_does_not_exist(shared_server: Cluster, proxy: Proxy) -> None:
    hidden = psql(shared_server, proxy.dsn("acme_app"), "\\d leaky_stats")
    absent = psql(shared_server, proxy.dsn("acme_app"), "\\d nothing")
    assert hidden.stderr.replace("leaky_stats", "nothing") == absent.stderr != ""


STORY = Path(__file__).parent / "story.sql"


def test_a_script_is_told_as_on_a_private_database(shared_server: Cluster, proxy: Proxy) -> None:
    def told(dsn: str) -> list[str]:
        program = shared_server.binaries / "psql"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        line = [str(program) if program.exists() else "psql", "-X", "-f", str(STORY), dsn]
        done = subprocess.run(
            line, input="950,from a file\n951,another\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False, env=environment, timeout=60,
        )  # fmt: skip
        lines = re.sub(r"server process with PID \d+", "server process with PID N", done.stdout).splitlines()
        return [one for one in lines if not one.startswith("LOCATION: ")]  # by \\errverbose: of the server's source

    seen, private = told(proxy.dsn("globex_app")), told(shared_server.dsn("app", "private2"))
    assert seen == private
