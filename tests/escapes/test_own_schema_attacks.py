"""The attackers' corpus as a tenant with a schema of its own: no entry shows or changes a byte of another tenant, none
finds a bug, and what a private database would answer is answered so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from tests.escapes.corpus import Attack, read_attacks
from tests.escapes.run import judge
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.schemas import load_schemas, schema_rules

# Answered otherwise than in a database of that schema alone, without a foreign byte: each with its reason.
ACCEPTED_DIFFERENCES = {
    "A306": "SHOW ALL shows the settings on the list",
    "A378": "pg_namespace shows neither pg_toast nor the temporary schemas of sessions",
    "A380": "the path is the same, and written with a blank here",
    "A465": "the channels of notifications are the tenant's own, and their order another",
    "A482": "xmin is the transaction counter of the shared cluster",
    "A484": "xmax and tableoid are numbers of the shared cluster",
    "A572": "EXPLAIN ANALYZE tells the time it took",
    "A573": "the same, and the pages it read",
    "A579": "the same",
}
TABLES = """
SELECT string_agg(format(
         'SELECT %L, count(*), md5(string_agg(t::text, '','' ORDER BY t::text)) FROM ONLY %s t',
         c.oid::regclass, c.oid::regclass), ' UNION ALL ')
  FROM pg_class c WHERE c.relnamespace IN ('globex'::regnamespace, 'initech'::regnamespace) AND c.relkind = 'r'
"""


def digest(server: Cluster) -> str:
    """What stands in the tables of the other two."""
    return server.psql("beside_attacked", server.psql("beside_attacked", TABLES) + " ORDER BY 1")


def there(attack: Attack) -> Attack:
    """As somebody would write it whose tables are in that schema; what might be done for good is rolled back."""
    pre, statements = (
        tuple(one.replace(b"public", b"acme") for one in some) for some in (attack.pre, attack.statements)
    )
    lasting = attack.action == "reject"
    return replace(attack, pre=pre, statements=statements, transaction=attack.transaction or lasting)


ATTACKS = [there(one) for one in read_attacks(Path(__file__).parents[1] / "data" / "attacks.yaml")]


@pytest.fixture(scope="module")
def proxy(server: Cluster) -> Iterator[Proxy]:
    load_schemas(server)
    server.create_database("beside_attacked", "template_beside")
    server.create_database("apart_attacked", "template_apart1")  # with its own sequences, which no ROLLBACK takes back
    with running_proxy(server.port, rules=schema_rules(server.port, "beside_attacked")) as proxy:
        yield proxy
    server.drop_database("beside_attacked")
    server.drop_database("apart_attacked")


def test_no_attack_shows_or_changes_a_foreign_byte_or_finds_a_bug(server: Cluster, proxy: Proxy) -> None:
    before = digest(server)
    path = "-c search_path=acme,reference"
    private = partial(RawClient, "127.0.0.1", server.port, "acme_rw", "apart_attacked", options=path)
    results = [judge(one, private, partial(proxy.connect, "acme_app")) for one in ATTACKS]
    assert {one.attack.id: one.leaks for one in results if one.leaks} == {}
    assert {one.attack.id: one.seen for one in results if one.bug} == {}
    different = {
        one.attack.id: (one.attack.statements, one.expected, one.seen) for one in results if one.verdict == "different"
    }
    assert {name: what for name, what in different.items() if name not in ACCEPTED_DIFFERENCES} == {}
    assert digest(server) == before
