"""Connections for catalogs are pinned, and only to servers that are supported."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from proxy.catalog.connect import connect, require_supported
from proxy.errors import ConfigurationError
from proxy.tenancy.policy import Credentials, Server
from tests.kit.postgres import Cluster

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection


@pytest.mark.parametrize("version", [90624, 130020, 190000])
def test_other_versions_are_refused_with_the_supported_ones_named(version: int) -> None:
    with pytest.raises(ConfigurationError, match="supported are PostgreSQL 14 to 18"):
        require_supported(version, "db:5432/shop")


@pytest.mark.parametrize("version", [140000, 150018, 180006])
def test_supported_versions_pass(version: int) -> None:
    require_supported(version, "db:5432/shop")


async def test_the_search_path_is_the_catalogs_and_nothing_can_be_written(connection: CatalogConnection) -> None:
    assert await connection.fetchval("SHOW search_path") == "pg_catalog, pg_temp"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connection.execute("CREATE TEMP TABLE x ()")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGTARGETSESSIONATTRS", "standby"), ("PGGSSLIB", "neither"), ("PGSSLMODE", "verify-full"),
        ("PGSSLNEGOTIATION", "direct"), ("PGSSLMINPROTOCOLVERSION", "neither"), ("PGSSLCERT", "/nowhere/client.crt"),
        ("PGSERVICE", "nowhere"), ("PGHOST", "/nowhere"), ("PGPORT", "1"), ("PGUSER", "nobody"),
        ("PGPASSWORD", "wrong"), ("PGDATABASE", "nowhere"), ("PGOPTIONS", "-c search_path=public"),
    ],
)  # fmt: skip
async def test_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, shared_server: Cluster, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    for mode in ("disable", "prefer"):  # the server speaks no TLS
        place = Server("127.0.0.1", shared_server.port, "shared", "app")
        connection = await connect(place, Credentials(tls=mode))
        assert await connection.fetchval("SELECT pg_catalog.current_schemas(false)") == ["pg_catalog"]
        await connection.close()
