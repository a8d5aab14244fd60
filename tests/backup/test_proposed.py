"""No foreign key is told as a statement that would run what a tenant wrote."""

from __future__ import annotations

import asyncio

from proxy.backup.proposed import proposed
from proxy.backup.snapshot import READING, opened
from proxy.sql.dumped import Key
from proxy.tenancy.servers import place_of
from tests.kit.postgres import Cluster
from tests.kit.schemas import empty_schemas

MADE = """
CREATE DOMAIN reference.code AS text; CREATE TYPE reference.own AS (a int); ALTER TYPE reference.own OWNER TO globex_rw;
SET ROLE globex_rw; SET search_path = globex;
CREATE DOMAIN short AS text; CREATE TYPE mood AS ENUM ('a');
CREATE TABLE t (a text, "B c" int, c reference.code, d short, e mood[], f reference.own);
CREATE TABLE parted (a text) PARTITION BY LIST (a); CREATE VIEW v AS SELECT 'x' AS a;
"""
FINE: tuple[tuple[str, tuple[str, ...]], ...] = (("t", ("a", "B c")), ("t", ("c",)))
OWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    *(("t", ("a", one)) for one in ("d", "e", "f", "gone", "ctid(")),
    *((one, ("a",)) for one in ("parted", "v", "nothing")),
)


def test_only_a_key_of_the_servers_own_types_in_a_plain_table_is_told(server: Cluster) -> None:
    async def asked(database: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        place = place_of(f"postgresql://globex_rw@127.0.0.1:{server.port}/{database}?sslmode=disable", None)
        connection = await opened(place, READING)
        try:
            keys = [Key(table, "k", columns, f"{table} {columns}") for table, columns in (*FINE, *OWN)]
            return await proposed(connection, "globex", keys)
        finally:
            await connection.close()

    with empty_schemas(server, "proposed", ("globex",)) as name:
        server.psql(name, MADE)
        told, apart = asyncio.run(asked(name))
        assert told == tuple(f"{table} {columns}" for table, columns in FINE)
        assert apart == tuple(f"k of globex.{table} ({', '.join(columns)})" for table, columns in OWN)
