"""What a replace would lose without a word is told as statements, or is a reason to refuse."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backup.hanging import hanging
from proxy.backup.refusal import Refused
from proxy.backup.snapshot import READING, opened
from proxy.tenancy.servers import place_of
from tests.kit.postgres import Cluster
from tests.kit.schemas import empty_schemas

MADE = """
SET ROLE globex_rw; SET search_path = globex;
CREATE TABLE t (id serial PRIMARY KEY, "the name" text, n int); CREATE VIEW v AS SELECT id FROM t;
CREATE TYPE pair AS (a int); CREATE TYPE span AS RANGE (subtype = int);
CREATE FUNCTION f(pair, int[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION paired(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1)::globex.pair';
GRANT SELECT, INSERT ON t TO initech_rw; GRANT UPDATE (n, "the name") ON t TO initech_rw WITH GRANT OPTION;
GRANT SELECT ON v TO PUBLIC; GRANT USAGE ON SEQUENCE t_id_seq TO acme_rw;
GRANT EXECUTE ON FUNCTION f TO initech_rw; GRANT USAGE ON TYPE pair TO initech_rw;
"""
ACL = """
SELECT array_agg(acl::text ORDER BY acl::text) FROM (
  SELECT relacl AS acl FROM pg_class WHERE relnamespace = 'globex'::regnamespace
  UNION ALL SELECT attacl FROM pg_attribute WHERE attrelid = 'globex.t'::regclass
  UNION ALL SELECT proacl FROM pg_proc WHERE pronamespace = 'globex'::regnamespace
  UNION ALL SELECT typacl FROM pg_type WHERE typnamespace = 'globex'::regnamespace) found
"""
REVOKED = """
REVOKE ALL ON ALL TABLES IN SCHEMA globex FROM PUBLIC, acme_rw, initech_rw;
REVOKE ALL ON TYPE globex.pair FROM initech_rw;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA globex FROM acme_rw; REVOKE ALL ON FUNCTION globex.f FROM initech_rw;
"""
TOLD = (
    "GRANT EXECUTE ON ROUTINE globex.f(globex.pair,integer[]) TO initech_rw;",
    "GRANT INSERT, SELECT ON TABLE globex.t TO initech_rw;",
    "GRANT SELECT ON TABLE globex.v TO PUBLIC;",
    'GRANT UPDATE ("the name"), UPDATE (n) ON TABLE globex.t TO initech_rw WITH GRANT OPTION;',
    "GRANT USAGE ON SEQUENCE globex.t_id_seq TO acme_rw;",
    "GRANT USAGE ON TYPE globex.pair TO initech_rw;",
)
HANGS = (
    (
        "SET ROLE globex_rw; CREATE CAST (int AS globex.pair) WITH FUNCTION globex.paired",
        r"cast \(integer AS globex\.pair\); drop it before",
        "DROP CAST (int AS globex.pair)",
    ),
    (
        "CREATE PUBLICATION feed FOR TABLE globex.t",
        r"publication relation globex\.t in publication feed; drop it before \(a table is taken out by ALTER PUB",
        "ALTER PUBLICATION feed DROP TABLE globex.t",
    ),
)


def test_what_other_roles_lose_is_told_as_what_gives_it_again_and_the_rest_is_refused(server: Cluster) -> None:
    async def found(database: str) -> tuple[str, ...]:
        place = place_of(f"postgresql://globex_rw@127.0.0.1:{server.port}/{database}?sslmode=disable", None)
        connection = await opened(place, READING)
        try:
            return await hanging(connection, "globex")
        finally:
            await connection.close()

    with empty_schemas(server, "hanging", ("acme", "globex", "initech")) as name:
        assert asyncio.run(found(name)) == ()
        server.psql(name, MADE)
        before = server.psql(name, ACL)
        assert asyncio.run(found(name)) == TOLD
        server.psql(name, REVOKED)
        assert asyncio.run(found(name)) == ()
        for one in TOLD:
            server.psql(name, one)
        assert server.psql(name, ACL) == before
        for made, why, undone in HANGS:
            server.psql(name, made)
            with pytest.raises(Refused, match=f"on what is in the schema globex there hangs .*: {why}"):
                asyncio.run(found(name))
            server.psql(name, undone)
        assert asyncio.run(found(name)) == TOLD
