"""Checksums of what is not a tenant's own: every other tenant's rows and every shared table, read beside the proxy."""

from __future__ import annotations

import psycopg
from psycopg import sql

from tests.kit.postgres import Cluster

OWN = {"tenant_id": "{}", "TenantId": "{}", "tenant": "{}", "tenant_uid": "00000000-0000-4000-8000-00000000000{}"}
SLUGS = {1: "acme", 2: "globex", 3: "initech"}


def foreign_checksums(cluster: Cluster, database: str, tenant: int) -> dict[str, str]:
    """table -> MD5 over all its rows that are not the tenant's. Partitions are read through their parents."""
    found: dict[str, str] = {}
    with psycopg.connect(cluster.dsn(database=database), autocommit=True) as connection:
        tables = connection.execute(
            "SELECT c.relname, (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (%s))"
            " FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition",
            [list(OWN)],
        ).fetchall()
        for table, column in tables:
            query = sql.SQL("SELECT md5(coalesce(string_agg(t::text, '\n' ORDER BY t::text), '')) FROM {} t").format(
                sql.Identifier(table)
            )
            if column is not None:
                key = SLUGS[tenant] if column == "tenant" else OWN[column].format(tenant)
                query += sql.SQL(" WHERE {}::text <> {}").format(sql.Identifier(column), sql.Literal(key))
            elif table == "tenants":
                query += sql.SQL(" WHERE id <> {}").format(sql.Literal(tenant))
            row = connection.execute(query).fetchone()
            assert row is not None
            found[table] = row[0]
    return found
