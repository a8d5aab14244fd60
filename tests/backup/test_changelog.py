"""What is logged are keys of the tenant's rows, and nobody else's."""

from __future__ import annotations

import psycopg
import pytest

from proxy.backup.changelog import logged, trigger_of, undone
from tests.backup.crossing import Crossing, mirrored


async def test_keys_of_the_tenants_rows_are_logged_with_what_a_cascade_and_a_trigger_did(across: Crossing) -> None:
    async with mirrored(across) as mirror:
        across.sql("UPDATE parts SET kind = 2 WHERE id = 4; UPDATE parts SET id = 70 WHERE tenant_id = 2 AND id = 5")
        across.sql(
            "DELETE FROM parts WHERE tenant_id = 2 AND id = 18; INSERT INTO bills (tenant_id, sum) VALUES (1, 1)"
        )
        keys = {}
        for one in mirror.passages:
            rows = await mirror.source.fetch(logged(mirror.move.id, one))
            keys[one.title] = sorted(tuple(row.values()) for row in rows)
        assert keys["parts"] == [("2", "18"), ("2", "19"), ("2", "20"), ("2", "4"), ("2", "5"), ("2", "70")]
        assert keys["bills"] == []
        assert [one[0].startswith("(2,") for one in keys["marks"]] == [True]


async def test_a_tenant_may_neither_call_what_logs_nor_read_the_log(across: Crossing) -> None:
    async with mirrored(across) as mirror:
        role = across.ends.here.server.role
        across.sql(f"GRANT SELECT, INSERT ON bills TO {role}; GRANT USAGE ON SEQUENCE bills_id_seq TO {role}")
        across.sql(f"SET ROLE {role}; INSERT INTO bills (tenant_id, sum) VALUES (2, 1)")
        (bills,) = (one for one in mirror.passages if one.title == "bills")
        assert len(await mirror.source.fetch(logged(mirror.move.id, bills))) == 1
        found = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'move\\_%' AND has_function_privilege"
        assert across.sql(f"{found}('{role}', oid, 'EXECUTE')") == "0"
        assert across.sql(f"SELECT has_schema_privilege('{role}', 'partywall', 'USAGE')") == "f"


async def test_what_was_made_can_be_undone(across: Crossing) -> None:
    async with mirrored(across) as mirror:
        rows = await mirror.source.fetch(undone(mirror.move.id))
        statements = [row["statements"] for row in rows]
        assert [len(one) for one in statements] == [4, 4, 4, 1, 1, 1]  # a table's triggers go together
        assert statements[-1][0][:13] == "DROP FUNCTION"
        assert trigger_of("0a", "INSERT") == "partywall_move_0a_insert"
        assert await mirror.source.fetch(undone("0a")) == []


async def test_a_transaction_that_is_older_than_the_move_fails_as_one_that_could_not_be_serialized(
    across: Crossing,
) -> None:
    with psycopg.connect(across.cluster.dsn(database=across.names[0])) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT 1")
        async with mirrored(across):
            with pytest.raises(psycopg.errors.SerializationFailure, match="began to move meanwhile"):
                connection.execute("INSERT INTO bills (tenant_id, sum) VALUES (2, 1)")
