"""Type OIDs: each number is the type it stands for, on a real server."""

from __future__ import annotations

import pytest

from proxy.sql import oids
from proxy.sql.world import World


@pytest.mark.parametrize(
    ("oid", "name"),
    [
        *((oids.BOOL, "bool"), (oids.INT8, "int8"), (oids.INT2, "int2"), (oids.INT4, "int4"), (oids.TEXT, "text")),
        *((oids.NUMERIC, "numeric"), (oids.FLOAT4, "float4"), (oids.FLOAT8, "float8"), (oids.NAME, "name")),
        *((oids.VARCHAR, "varchar"), (oids.BPCHAR, "bpchar"), (oids.DATE, "date"), (oids.TIMESTAMP, "timestamp")),
        *((oids.TIMESTAMPTZ, "timestamptz"), (oids.INTERVAL, "interval"), (oids.JSONB, "jsonb")),
        *((oids.TSVECTOR, "tsvector"), (oids.TSQUERY, "tsquery"), (oids.RECORD, "record")),
    ],
)
def test_a_number_is_its_type(world: World, oid: int, name: str) -> None:
    assert world.catalog.types[oid].name == name


def test_the_plain_types_are_those_of_the_rule_and_no_others(world: World) -> None:
    names = {world.catalog.types[oid].name for oid in oids.PLAIN}
    assert names == {
        *("int2", "int4", "int8", "text", "varchar", "name", "bpchar", "date", "time", "timetz", "timestamp"),
        *("timestamptz", "interval", "numeric", "float4", "float8", "bool", "uuid", "bytea", "inet", "cidr", "macaddr"),
        *("oid", "int4range", "int8range", "daterange", "tsrange", "tstzrange", "jsonb", "tsvector"),
    }


def test_the_polymorphic_types_are_what_they_are_called(world: World) -> None:
    for group, part in ((oids.POLYMORPHIC_ARRAY, "array"), (oids.POLYMORPHIC_RANGES, "range")):
        assert all(part in world.catalog.types[oid].name and world.catalog.types[oid].kind == "p" for oid in group)
