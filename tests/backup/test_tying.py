"""What a foreign key ties together is found as the server finds it, however the values are written."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.backup.refusal import Refused
from proxy.backup.selection import references, selected
from proxy.backup.snapshot import taken
from proxy.backup.tying import tie
from proxy.tenancy.policy import Grant
from tests.backup.shelf import operators, small
from tests.kit.postgres import Cluster

# One row of every child is another tenant's and references a row of tenant 2; most write it otherwise. An enum's
# operator is of a pseudo-type, and two collations are no matter to a foreign key.
LOOSE = """
CREATE EXTENSION citext; CREATE TYPE mood AS ENUM ('x', 'y');
CREATE TABLE codes (tenant_id int NOT NULL, code citext PRIMARY KEY);
CREATE TABLE prices (tenant_id int NOT NULL, price numeric PRIMARY KEY);
CREATE TABLE names (tenant_id int NOT NULL, name text COLLATE "POSIX", mood mood, PRIMARY KEY (name, mood));
CREATE TABLE of_codes (tenant_id int NOT NULL, code citext REFERENCES codes ON DELETE CASCADE);
CREATE TABLE of_prices (tenant_id int NOT NULL, price int REFERENCES prices ON DELETE CASCADE);
CREATE TABLE of_names (tenant_id int NOT NULL, name varchar(9) COLLATE "C", mood mood,
  FOREIGN KEY (name, mood) REFERENCES names ON DELETE CASCADE);
CREATE TABLE shorts (tenant_id int NOT NULL, short char(2), bits bit(2), PRIMARY KEY (short, bits));
CREATE TABLE of_shorts (tenant_id int NOT NULL, short char(2), bits bit(2),
  FOREIGN KEY (short, bits) REFERENCES shorts ON DELETE CASCADE);
INSERT INTO codes VALUES (2, 'ABC'), (1, 'other'); INSERT INTO of_codes VALUES (1, 'abc'), (1, 'Other');
INSERT INTO prices VALUES (2, 7.00), (1, 8); INSERT INTO of_prices VALUES (1, 7), (1, 8);
INSERT INTO names VALUES (2, 'Eve', 'x'), (1, 'Eve', 'y'); INSERT INTO of_names VALUES (1, 'Eve', 'x'), (1, 'Eve', 'y');
INSERT INTO shorts VALUES (2, 'ab', '10'), (1, 'ac', '11'); INSERT INTO of_shorts VALUES (1, 'ac', '11');
INSERT INTO shorts VALUES (2, 'ad', '10'); INSERT INTO of_shorts VALUES (1, 'ad', '10');
"""


async def _tied(cluster: Cluster, grant: Grant) -> dict[str, int]:
    """How many rows of others reference one of the tenant's, by table."""
    place = operators(cluster, grant.server.database)
    async with taken(place, grant, lambda catalog, around: selected(catalog, grant, around)) as snapshot:
        found = {}
        for link in references(snapshot.catalog, snapshot.kept):
            assert link.parent is not None
            parent = snapshot.kept[link.parent]
            same = await tie(snapshot.connection, link, "l", "p")
            found[link.holder.name] = await snapshot.connection.fetchval(
                f"SELECT count(*) FROM public.{link.holder.name} l JOIN {parent.only} p ON {same} WHERE p.tenant_id = 2"
            )
        gone = replace(link, key=replace(link.key, name="no such"))
        with pytest.raises(Refused, match=r"the foreign key no such of public\..* was altered meanwhile"):
            await tie(snapshot.connection, gone, "l", "p")
        return found


def test_rows_are_tied_by_the_constraints_own_operators_and_collation(postgres18: Cluster) -> None:
    with small(postgres18, LOOSE) as grants:
        found = asyncio.run(_tied(postgres18, grants["globex"]))
        assert found == {"of_codes": 1, "of_names": 1, "of_prices": 1, "of_shorts": 1}
