"""Type OIDs: pg_catalog's built-in types by number, as the groups that the rules of guarded injection speak of.

Source: pg_type.dat of PostgreSQL, whose numbers never change.
"""

from __future__ import annotations

from collections.abc import Mapping

BOOL, INT8, INT2, INT4, TEXT, NUMERIC, FLOAT4, FLOAT8 = 16, 20, 21, 23, 25, 1700, 700, 701
NAME, VARCHAR, BPCHAR, DATE, TIMESTAMP, TIMESTAMPTZ, INTERVAL = 19, 1043, 1042, 1082, 1114, 1184, 1186
UNTYPED, JSONB, TSVECTOR, TSQUERY, RECORD, UUID = 705, 3802, 3614, 3615, 2249, 2950
INTEGERS = frozenset({INT2, INT4, INT8})
FLOATS = frozenset({FLOAT4, FLOAT8})
STRINGS = frozenset({TEXT, VARCHAR, NAME})
INSTANTS = frozenset({DATE, TIMESTAMP, TIMESTAMPTZ})
RANGES = frozenset({3904, 3926, 3912, 3908, 3910})
# numbers, strings, dates and times, bool, uuid, bytea, inet, cidr, macaddr, oid, jsonb, tsvector, ranges
PLAIN = frozenset(
    {
        INT2,
        INT4,
        INT8,
        TEXT,
        VARCHAR,
        NAME,
        BPCHAR,
        DATE,
        1083,
        1266,
        TIMESTAMP,
        TIMESTAMPTZ,
        INTERVAL,
        NUMERIC,
        FLOAT4,
        FLOAT8,
    }
    | {BOOL, UUID, 17, 869, 650, 829, 26, JSONB, TSVECTOR}
    | RANGES
)
POLYMORPHIC_ELEMENT = frozenset(
    {2283, 5077, 2776, 5079}
)  # anyelement, anycompatible, anynonarray, anycompatiblenonarray
POLYMORPHIC_ARRAY = frozenset({2277, 5078})  # anyarray, anycompatiblearray
POLYMORPHIC_RANGES = frozenset({3831, 4537, 5080, 4538})  # anyrange, anymultirange and their anycompatible twins
DEFAULT_COLLATION = 100
CLOCKS: Mapping[str, int] = {
    "SVFOP_CURRENT_DATE": DATE,
    "SVFOP_CURRENT_TIMESTAMP": TIMESTAMPTZ,
    "SVFOP_CURRENT_TIMESTAMP_N": TIMESTAMPTZ,
    "SVFOP_LOCALTIMESTAMP": TIMESTAMP,
    "SVFOP_LOCALTIMESTAMP_N": TIMESTAMP,
    "SVFOP_CURRENT_TIME": 1266,
    "SVFOP_LOCALTIME": 1083,
    "SVFOP_CURRENT_USER": NAME,
    "SVFOP_USER": NAME,
    "SVFOP_SESSION_USER": NAME,
    "SVFOP_CURRENT_ROLE": NAME,
    "SVFOP_CURRENT_CATALOG": NAME,
    "SVFOP_CURRENT_SCHEMA": NAME,
}
TRUTHS = frozenset(
    {
        *(
            "AEXPR_OP_ANY",
            "AEXPR_OP_ALL",
            "AEXPR_DISTINCT",
            "AEXPR_NOT_DISTINCT",
            "AEXPR_IN",
            "AEXPR_LIKE",
            "AEXPR_ILIKE",
        ),
        *("AEXPR_SIMILAR", "AEXPR_BETWEEN", "AEXPR_NOT_BETWEEN", "AEXPR_BETWEEN_SYM", "AEXPR_NOT_BETWEEN_SYM"),
    }
)
