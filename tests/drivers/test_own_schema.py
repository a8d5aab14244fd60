"""Django's migrations as two tenants with schemas of their own, side by side, and pg_dump of one of them, which
restores into an empty database.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connections

from tests.drivers.test_django import database
from tests.escapes.run import FOREIGN
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.schemas import empty_schemas, load_schemas, schema_rules

TENANTS = ("acme", "globex")
TABLES = "SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = '{}'::regnamespace"


@pytest.fixture
def empty(server: Cluster) -> Iterator[str]:
    with empty_schemas(server, "to_migrate", TENANTS) as name:
        yield name


@pytest.fixture
def proxy(server: Cluster, empty: str) -> Iterator[Proxy]:
    with running_proxy(server.port, rules=schema_rules(server.port, empty, tenants=TENANTS)) as proxy:
        yield proxy


def migrated(dsn: str, name: str) -> None:
    """Django's own applications, migrated, taken back in part and migrated again; and a row."""
    with database(dsn, prepared=False) as alias:
        told = io.StringIO()
        call_command("migrate", database=alias, stdout=told, verbosity=1)
        call_command("migrate", "auth", "0010", database=alias, stdout=told)
        call_command("migrate", database=alias, stdout=told)
        assert "OK" in told.getvalue()
        users = get_user_model().objects.using(alias)
        users.create(username=name)
        assert [one.get_username() for one in users.all()] == [name]
        assert "auth_user" in connections[alias].introspection.table_names()
        plan = io.StringIO()
        call_command("migrate", database=alias, plan=True, stdout=plan)
        assert "No planned migration operations" in plan.getvalue()


def dumped(cluster: Cluster, dsn: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    line = [str(cluster.binaries / "pg_dump"), "--schema=acme", "--no-owner", "--no-privileges", dsn]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_tenants_migrate_side_by_side_and_one_is_dumped_whole(
    server: Cluster, empty: str, proxy: Proxy, tmp_path: Path
) -> None:
    for tenant in TENANTS:
        migrated(proxy.dsn(f"{tenant}_app"), tenant)
    tables = [server.psql(empty, TABLES.format(tenant)) for tenant in TENANTS]
    assert tables[0] == tables[1]
    assert "django_migrations" in tables[0]
    assert server.psql(empty, "SELECT username FROM globex.auth_user").strip() == "globex"
    text = dumped(server, proxy.dsn("acme_app"))
    assert FOREIGN.search(text.encode()) is None
    file = tmp_path / "acme.sql"
    file.write_text(text, "utf-8")
    server.create_database("restored")
    try:
        server.psql("restored", file=file)
        assert server.psql("restored", TABLES.format("acme")) == tables[0]
        assert server.psql("restored", "SELECT username FROM acme.auth_user").strip() == "acme"
        numbers = "SELECT last_value, is_called FROM acme.auth_permission_id_seq"
        assert server.psql("restored", numbers) == server.psql(empty, numbers)
    finally:
        server.drop_database("restored")


def lines_of(dump: str) -> list[str]:
    """What a dump says, without its comments and the key that pg_dump draws for each."""
    return [one for one in dump.splitlines() if not one.startswith(("--", "\\restrict", "\\unrestrict"))]


def test_a_dump_with_functions_and_defaults_is_the_one_that_the_server_gives(server: Cluster) -> None:
    load_schemas(server)
    with running_proxy(server.port, rules=schema_rules(server.port, "beside")) as proxy:
        text = dumped(server, proxy.dsn("acme_app"))
    assert "CREATE FUNCTION acme.order_total" in text
    assert lines_of(text) == lines_of(dumped(server, f"postgresql://acme_rw@127.0.0.1:{server.port}/beside"))
