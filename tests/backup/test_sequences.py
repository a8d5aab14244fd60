"""A tenant's sequences are those of its columns and of its rules."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxy.backup.manifest import SequenceForm
from proxy.backup.neighbours import around
from proxy.backup.refusal import Refused
from proxy.backup.selection import selected
from proxy.backup.sequences import BY_NUMBER, numbered, own_place, positions
from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.tenancy.derived import derived_keys
from proxy.tenancy.policy import Grant
from tests.backup.shelf import book_of, operators, sample_grant
from tests.kit.postgres import Cluster
from tests.kit.rules import own_rules, sample_rules


def found(cluster: Cluster, grant: Grant) -> dict[str, SequenceForm]:
    async def read() -> tuple[SequenceForm, ...]:
        connection = await connect(*operators(cluster, grant.server.database))
        try:
            catalog = await introspect(connection, 1)
            async with connection.transaction(readonly=True):
                return await positions(connection, grant, selected(catalog, grant, await around(connection, grant)))
        finally:
            await connection.close()

    return {one.name: one for one in asyncio.run(read())}


def test_those_of_columns_and_of_rules_are_found_and_are_everybodys(server: Cluster, pristine_shared: str) -> None:
    sequences = found(server, sample_grant(server, pristine_shared))
    assert sequences["accounts_id_seq"] == SequenceForm(
        schema="public", name="accounts_id_seq", value=1000, called=True, own=False, column=("public", "accounts", "id")
    )
    assert not sequences["invoice_no_seq"].called
    assert sequences["invoice_no_seq"].column is None


def test_one_that_is_per_tenant_is_the_tenants_own(server: Cluster, pristine_shared: str) -> None:
    rules = sample_rules(server.port, pristine_shared, "invoice_no_seq: per_tenant")
    grant = book_of(rules).grants["globex", pristine_shared, False]
    place = own_place(grant, SequenceForm(schema="public", name="invoice_no_seq", value=0, called=False, own=True))
    assert (
        place
        == derived_keys("globex", pristine_shared, [("public", "invoice_no_seq")])["$sequence public.invoice_no_seq"]
    )
    server.psql(pristine_shared, f"CREATE SEQUENCE {place}; SELECT setval('{place}', 70)")
    one = found(server, grant)["invoice_no_seq"]
    assert (one.value, one.called, one.own) == (70, True, True)


def test_in_a_database_of_ones_own_all_of_them_are(shared_server: Cluster) -> None:
    grant = book_of(own_rules(shared_server.port, "private1")).grants["acme", "shared", False]
    grant = replace(grant, server=replace(grant.server, database="private1"))
    assert {one.own for one in found(shared_server, grant).values()} == {True}
    assert own_place(grant, SequenceForm(schema="a", name='b"', value=0, called=False, own=True)) == '"a"."b"""'


def test_where_nothing_of_the_tenants_may_run_a_sequence_is_read_by_its_number(
    server: Cluster, pristine_shared: str
) -> None:
    made = "CREATE SEQUENCE drawn; CREATE SEQUENCE fresh; SELECT setval('drawn', 7), setval('fresh', 50, false)"
    server.psql(pristine_shared, f"{made}; CREATE TABLE other (last_value int, is_called bool)")
    drawn, fresh = server.psql(pristine_shared, "SELECT 'drawn'::regclass::oid, 'fresh'::regclass::oid").split("|")

    async def read(place: str, oid: str) -> tuple[int, bool]:
        connection = await connect(*operators(server, pristine_shared))
        try:
            async with connection.transaction(readonly=True):
                return await numbered(connection, place, int(oid))
        finally:
            await connection.close()

    assert asyncio.run(read("public.other", drawn)) == (7, True)
    assert asyncio.run(read("public.fresh", fresh)) == (50, False)
    if server.major >= BY_NUMBER:
        assert asyncio.run(read("public.other", fresh)) == (50, False)
        return
    with pytest.raises(Refused, match="another sequence than it was a moment ago"):
        asyncio.run(read("public.other", fresh))
