"""What was left behind goes when nobody needs it, and of nobody else anything goes."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backup import leaving
from proxy.backup.leaving import clean
from proxy.backup.moving import standing
from proxy.backup.refusal import Refused
from tests.backup.crossing import NoDoors, crossing
from tests.kit.postgres import Cluster


def test_it_goes_once_the_tenant_has_gone_and_nobody_references_it(postgres15: Cluster) -> None:
    with crossing(postgres15) as across:
        doors = NoDoors()
        with pytest.raises(Refused, match="globex has not moved from"):
            asyncio.run(clean(across.ends, doors))
        rows, others = across.rows(False), across.rows(False, 1)
        across.moved(doors)
        with pytest.raises(Refused, match="it is not there"):
            asyncio.run(clean(across.ends, NoDoors()))
        across.sql(
            "CREATE TABLE pins (bill int REFERENCES bills);"
            " INSERT INTO pins SELECT min(id) FROM bills WHERE tenant_id = 2"
        )
        with pytest.raises(Refused, match="a row of pins that is not the tenant's references its"):
            asyncio.run(clean(across.ends, doors))
        assert across.rows(False) == rows
        across.sql("DROP TABLE pins")
        across.sql(
            "CREATE EXTENSION citext; CREATE TABLE tags (tenant_id int NOT NULL, name citext PRIMARY KEY);"
            " CREATE TABLE uses (tag citext REFERENCES tags); INSERT INTO tags VALUES (2, 'ABC'), (1, 'x');"
            " INSERT INTO uses VALUES ('abc'), ('X')"
        )
        with pytest.raises(Refused, match="a row of uses that is not the tenant's references its"):
            asyncio.run(clean(across.ends, doors))
        assert across.rows(False) == rows
        across.sql("DROP TABLE uses, tags")
        assert asyncio.run(clean(across.ends, doors)) == len(rows)
        assert (across.rows(False), across.rows(False, 1), across.rows(True)) == ([], others, rows)
        assert asyncio.run(standing(across.ends)) is None
        assert across.sql("SELECT count(*) FROM partywall.changes") == "0"
        assert across.sql("SELECT count(*) FROM partywall.arrivals", True) == "0"


def test_the_fence_goes_last(postgres15: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(_connection: object, _at: object) -> None:
        raise OSError("away")

    with crossing(postgres15) as across:
        doors = NoDoors()
        across.moved(doors)
        with monkeypatch.context() as patched:
            patched.setattr(leaving, "unlogged", failing)
            with pytest.raises(OSError, match="away"):
                asyncio.run(clean(across.ends, doors))
        assert across.rows(False) == []
        with pytest.raises(Exception, match="is being moved"):
            across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)")
        assert asyncio.run(clean(across.ends, doors)) == 0
        across.sql("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)")
