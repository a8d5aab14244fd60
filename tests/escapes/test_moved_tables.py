"""What a tenant defines at the place where it goes while a move works there is not run in the operator's session."""

from __future__ import annotations

import asyncio

import pytest

from proxy.backup.moving import move
from proxy.backup.progress import Progress
from tests.backup.crossing import NoDoors
from tests.backup.modes import OWN_ROLE, ROWS, TABLES, between, spots
from tests.kit.postgres import Cluster, PostgresError

# To plan a query of the table is to run it, whoever asks; it tells who did.
EVIL = f"""
CREATE FUNCTION spoil() RETURNS int LANGUAGE plpgsql AS
  'BEGIN IF current_user <> ''{OWN_ROLE}'' THEN RAISE EXCEPTION ''it was run by %'', current_user; END IF;
   RETURN 1; END';
CREATE FUNCTION evil() RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN globex.spoil(); END';
"""


def test_tables_at_the_target_are_held_while_they_are_compared(postgres15: Cluster) -> None:
    with spots(postgres15, "row", "schema") as (here, there):
        here.sql(ROWS.format(key=2))
        there.sql(EVIL, OWN_ROLE)
        refused = []

        def plant(at: Progress) -> None:
            """Between the comparison of one table and that of the next."""
            if at.phase == "compare":
                for one in TABLES:
                    text = f"SET lock_timeout = '50ms'; CREATE INDEX ON {one} (tenant_id) WHERE evil() = 1"
                    with pytest.raises(PostgresError, match="lock timeout") as why:
                        there.sql(text, OWN_ROLE)
                    refused.append(why.value)

        asyncio.run(move(between(here, there), NoDoors(), "00c0ffee", 30, plant))
        assert (len(refused), there.rows()) == (len(TABLES) ** 2, here.rows())
