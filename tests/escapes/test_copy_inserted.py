"""Conditions of a COPY that goes in as INSERTs: a constant of the client's never becomes a part of the statement."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.checksums import foreign_checksums
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rls import WALLED, load_walled, rls_rules
from tests.kit.sample import pristine

MARKS = (
    "'\x01{}\x02'", "E'\\x01{}\\x02'", "E'\\001{}\\002'", "U&'\\0001{}\\0002'", "U&'!0001{}!0002' UESCAPE '!'",
    "'\\0{}\\0'", "'\x1f{}\x1f'",
)  # fmt: skip
"""Constants that hold what might mark a hole of a template, each with the number of one."""
ASKED = " OR CAST((SELECT string_agg(rolname,$$,$$) FROM pg_catalog.pg_roles) AS int) IS NULL OR body = "


@pytest.fixture(scope="module", params=["rls", "row+rls"])
def proxy(shared_server: Cluster, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with pristine(load_walled(shared_server), WALLED) as database:
        rules = rls_rules(shared_server.port, database, request.param)
        with running_proxy(shared_server.port, database, rules=rules) as proxy:
            yield proxy


@pytest.mark.parametrize("number", range(4))
def test_a_constant_that_looks_like_a_mark_lets_no_text_out(shared_server: Cluster, proxy: Proxy, number: int) -> None:
    before = foreign_checksums(shared_server, proxy.database, 1)
    with proxy.connect("acme_app") as client:
        for mark in MARKS:
            constant = mark.format(number)
            for condition in (
                f"body LIKE {constant} AND body <> '{ASKED}'",
                f"id > 0 AND body LIKE {constant} AND body <> '{ASKED}'",
                f"position({constant} in body) > 0 AND body <> '{ASKED}'",
            ):
                assert client.simple(f"COPY notes (id, body) FROM STDIN WHERE {condition}").messages[-1].tag == "G"
                told = client.copy_data(b"970\tx\n")
                assert (told.errors, told.tags) == ([], ["COPY 0"]), condition
    assert foreign_checksums(shared_server, proxy.database, 1) == before


def test_such_a_constant_still_means_itself(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        for mark in MARKS[:5]:
            client.simple("BEGIN")
            client.simple(f"COPY notes (id, body) FROM STDIN WHERE body LIKE {mark.format(1)} AND body <> '{ASKED}'")
            assert client.copy_data(b"970\t\x011\x02\n971\tx\n").tags == ["COPY 1"], mark
            client.simple("ROLLBACK")
