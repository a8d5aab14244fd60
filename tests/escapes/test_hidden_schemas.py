"""A schema that the tenant sees nothing of is as absent as one that is not there, wherever a name can stand in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.equivalence.compare import Seen, observe
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import pristine

THINGS = """
CREATE SCHEMA {0}; CREATE TABLE {0}.rows (id int, note text);
CREATE COLLATION {0}.thing FROM "POSIX"; CREATE TYPE {0}.thing AS ENUM ('a');
CREATE OPERATOR CLASS {0}.thing FOR TYPE int4 USING btree AS OPERATOR 3 =, FUNCTION 1 btint4cmp(int4, int4);
"""
TABLE = "CREATE TEMP TABLE own (word text, number int)"
ASKING = (
    "SELECT 'x' COLLATE {}.thing",
    "SELECT max(note COLLATE {0}.thing) OVER w FROM orders WINDOW w AS (ORDER BY note COLLATE {0}.thing)",
    "SELECT * FROM json_to_record('{{}}') AS t(a text COLLATE {}.thing)",
    "SELECT * FROM ROWS FROM (json_to_record('{{}}') AS (a text COLLATE {}.thing)) AS t",
    "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id COLLATE {}.thing) DO NOTHING",
    "INSERT INTO orders (id) VALUES (1) ON CONFLICT (id {}.thing) DO NOTHING",
    "CREATE TEMP TABLE t (a text COLLATE {}.thing)",
    "CREATE INDEX ON own (word COLLATE {}.thing)",
    "CREATE INDEX ON own (lower(word) COLLATE {}.thing)",
    "CREATE INDEX ON own (number {}.thing)",
    "SELECT 'a'::{}.thing",
    "SELECT NULL::{}.thing[]",
    "SELECT * FROM json_to_record('{{}}') AS t(a {}.thing)",
    "SELECT {}.thing(1)",
    "SELECT 1 OPERATOR({}.+) 1",
    "SELECT id FROM orders ORDER BY id USING OPERATOR({}.<)",
    "SELECT 1 OPERATOR({}.=) ANY (SELECT 1)",
    "SELECT 'a' OPERATOR({}.=) ANY (ARRAY['a'])",
    "SELECT {}.rows.id FROM orders",
    "SELECT {}.rows.* FROM orders",
    "SELECT {}.orders.id FROM orders",
    "SELECT id FROM orders WHERE {}.rows.id = 1",
    "UPDATE orders SET note = {}.rows.note WHERE id = 1",
    "DELETE FROM orders WHERE {}.orders.id = 1",
    "INSERT INTO orders (id) VALUES ({}.rows.id)",
    "SELECT count({}.rows) FROM orders",
)


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with pristine(shared_server) as database:
        shared_server.psql(database, sql=THINGS.format("hidden") + THINGS.format("usable"))
        shared_server.psql(database, sql="GRANT USAGE ON SCHEMA usable TO PUBLIC")
        with running_proxy(shared_server.port, database) as proxy:
            yield proxy


def told(client: RawClient, text: str, schema: str) -> list[Seen]:
    client.simple(TABLE)
    return [
        tuple(part.replace(schema, "absent") if isinstance(part, str) else part for part in one)
        for one in observe(client.simple(text.format(schema)), ordered=True)
    ]


@pytest.mark.parametrize("schema", ["hidden", "usable", "absent"])
@pytest.mark.parametrize("text", ASKING)
def test_a_hidden_schema_is_told_from_an_absent_one_by_nothing(
    shared_server: Cluster, proxy: Proxy, text: str, schema: str
) -> None:
    with RawClient("127.0.0.1", shared_server.port, "app", "private1") as private, proxy.connect("acme_app") as client:
        seen, expected = told(client, text, schema), told(private, text, "absent")
        assert [one[:6] for one in seen] == [one[:6] for one in expected]
