"""Sequences of a tenant: which they are, and how far they have come.

A sequence is not part of a snapshot, so it is read after the rows: then it is never behind a number that they have.
`own` are those that draw for this tenant alone; the others may be drawn from by anybody, and are never set back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.backup.manifest import SequenceForm
from proxy.backup.refusal import Refused
from proxy.backup.selection import Kept
from proxy.catalog.finding import identifier
from proxy.tenancy.derived import sequence_key
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# Sequences that a column owns (serial and identity), and those without an owner.
SEQUENCES = r"""
SELECT c.oid, n.nspname::pg_catalog.text AS schema, c.relname::pg_catalog.text AS name,
       tn.nspname::pg_catalog.text AS owner_schema, t.relname::pg_catalog.text AS owner,
       a.attname::pg_catalog.text AS owner_column, d.refobjid AS owner_oid
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
  LEFT JOIN pg_catalog.pg_class t ON t.oid = d.refobjid
  LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE c.relkind = 'S' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'partywall')
   AND n.nspname !~ '^pg_(toast_)?temp_'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND e.objid = c.oid AND e.deptype = 'e')
 ORDER BY 1, 2
"""


# Of a sequence by its number, whatever its name stands for by now; NULL where no number was given. Locks it until the
# transaction ends.
LAST = "SELECT pg_catalog.pg_sequence_last_value($1::pg_catalog.oid)"
DATA = "SELECT last_value, is_called FROM pg_catalog.pg_get_sequence_data($1::pg_catalog.oid)"  # from PostgreSQL 18 on
BY_NUMBER = 18
# A sequence that is locked stays in its schema, which then keeps its name.
MAY_HOLD = """
SELECT r.rolsuper AND NOT pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool
  FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
"""
HOLD = """
SELECT n.oid FROM pg_catalog.pg_namespace n
 WHERE n.oid = (SELECT c.relnamespace FROM pg_catalog.pg_class c WHERE c.oid = $1::pg_catalog.oid) FOR SHARE
"""
NAMED = "SELECT seqrelid FROM pg_catalog.pg_sequence WHERE seqrelid = pg_catalog.to_regclass($1)"
NUMBER = "SELECT pg_catalog.to_regclass($1::pg_catalog.text)::pg_catalog.oid"


async def positions(connection: CatalogConnection, grant: Grant, kept: tuple[Kept, ...]) -> tuple[SequenceForm, ...]:
    """Where the tenant's sequences are now. In a transaction."""
    policy = grant.policy
    mode, tables = policy.isolation, {one.relation.oid for one in kept}
    found = []
    for row in await connection.fetch(SEQUENCES):
        schema, name = row["schema"], row["name"]
        if mode == "schema" and schema != policy.schema:
            continue
        if mode in ("row", "rls") and row["owner_oid"] not in tables and policy.sequences.get((schema, name)) is None:
            continue
        column = None if row["owner"] is None else (row["owner_schema"], row["owner"], row["owner_column"])
        own = private = mode in ("schema", "database")
        place = f"{identifier(schema)}.{identifier(name)}"
        if not own and policy.sequences.get((schema, name)) == "per_tenant":
            own, place = True, grant.keys[sequence_key(schema, name)]
        value, called = await (numbered(connection, place, row["oid"]) if private else position(connection, place))
        found.append(SequenceForm(schema=schema, name=name, value=value, called=called, own=own, column=column))
    return tuple(found)


async def numbered(connection: CatalogConnection, place: str, oid: int) -> tuple[int, bool]:
    """As `position`, of the sequence with this number. A table that had got its name would be the tenant's, and its
    indexes would run (reading.py): so the sequence is locked before its name is looked at, which only a transaction
    keeps so; and its schema is held where a superuser may write. From PostgreSQL 18 on no name is needed.
    """
    assert connection.is_in_transaction()
    last = await connection.fetchval(LAST, oid)
    if last is not None:
        return last, True
    if connection.get_server_version().major >= BY_NUMBER:
        row = await connection.fetchrow(DATA, oid)
        assert row is not None
        if row["last_value"] is not None:
            return row["last_value"], row["is_called"]
    if await connection.fetchval(MAY_HOLD):
        await connection.fetch(HOLD, oid)
    if await connection.fetchval(NUMBER, place) != oid:
        raise Refused([f"{place} is another sequence than it was a moment ago"])
    return await position(connection, place)


async def standing(connection: CatalogConnection, place: str) -> tuple[int, bool]:
    """As `position`, where a tenant may give the name to something else. Refused where no sequence has it."""
    async with connection.transaction():
        oid = await connection.fetchval(NAMED, place)
        if oid is None:
            raise Refused([f"the sequence {place} is not there"])
        return await numbered(connection, place, oid)


async def position(connection: CatalogConnection, place: str) -> tuple[int, bool]:
    """The last number of a sequence, named in SQL, and whether it was given already."""
    row = await connection.fetchrow(f"SELECT last_value, is_called FROM {place}")
    assert row is not None
    return row["last_value"], row["is_called"]


def own_place(grant: Grant, form: SequenceForm) -> str:
    """The sequence in SQL that takes the place of a saved one for this tenant."""
    own = grant.keys.get(sequence_key(form.schema_name, form.name))
    return own or f"{identifier(form.schema_name)}.{identifier(form.name)}"
