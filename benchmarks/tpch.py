"""A shop in the manner of TPC-H for several tenants, made by SQL alone: eight tables with keys, foreign keys and indexes.

Promises: the same arguments give the same rows; a scale of 1 is some 1 GB of text for one tenant, as in TPC-H. Regions
and nations are everybody's. In mode row a tenant's rows stand in shared tables, with the tenant column first in every
key and foreign key; in mode schema each tenant has the six others to itself, without that column.
`python -m benchmarks.tpch schema --scale 0.1` prints the SQL for psql.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

TENANTS = {1: "acme", 2: "globex", 3: "initech"}  # by the key that tenant_id holds
REFERENCE = "reference"  # the schema of what is everybody's, in mode schema
OWN = ("supplier", "customer", "part", "partsupp", "orders", "lineitem")  # in the order of their foreign keys

WORDS = """furiously quickly carefully blithely slyly ironic final pending regular express bold even silent unusual special
 deposits requests accounts packages foxes theodolites pinto beans instructions dependencies platelets asymptotes courts
 sleep haggle nag detect"""
NATIONS = """algeria argentina brazil canada egypt ethiopia france germany india indonesia iran iraq japan jordan kenya
 morocco mozambique peru china romania arabia vietnam russia kingdom states"""

SHARED = """
CREATE TABLE {at}.region (regionkey int PRIMARY KEY, name text NOT NULL, comment text NOT NULL);
CREATE TABLE {at}.nation (nationkey int PRIMARY KEY, name text NOT NULL,
  regionkey int NOT NULL REFERENCES {at}.region, comment text NOT NULL);
INSERT INTO {at}.region SELECT n, (ARRAY['AFRICA', 'AMERICA', 'ASIA', 'EUROPE', 'MIDDLE EAST'])[n + 1], 'region ' || n
  FROM generate_series(0, 4) n;
INSERT INTO {at}.nation SELECT n - 1, upper(({nations})[n]), n % 5, 'nation ' || n FROM generate_series(1, 25) n;
CREATE INDEX ON {at}.nation (regionkey);
"""

TABLES = """
CREATE TABLE {at}.supplier ({own}suppkey int NOT NULL, name text NOT NULL, address text NOT NULL,
  nationkey int NOT NULL, phone text NOT NULL, acctbal numeric(15,2) NOT NULL, comment text NOT NULL);
CREATE TABLE {at}.customer ({own}custkey int NOT NULL, name text NOT NULL, address text NOT NULL,
  nationkey int NOT NULL, phone text NOT NULL, acctbal numeric(15,2) NOT NULL, mktsegment text NOT NULL,
  comment text NOT NULL);
CREATE TABLE {at}.part ({own}partkey int NOT NULL, name text NOT NULL, mfgr text NOT NULL, brand text NOT NULL,
  type text NOT NULL, size int NOT NULL, container text NOT NULL, retailprice numeric(15,2) NOT NULL,
  comment text NOT NULL);
CREATE TABLE {at}.partsupp ({own}partkey int NOT NULL, suppkey int NOT NULL, availqty int NOT NULL,
  supplycost numeric(15,2) NOT NULL, comment text NOT NULL);
CREATE TABLE {at}.orders ({own}orderkey bigint NOT NULL, custkey int NOT NULL, orderstatus char(1) NOT NULL,
  totalprice numeric(15,2) NOT NULL, orderdate date NOT NULL, orderpriority text NOT NULL, clerk text NOT NULL,
  shippriority int NOT NULL, comment text NOT NULL);
CREATE TABLE {at}.lineitem ({own}orderkey bigint NOT NULL, linenumber int NOT NULL, partkey int NOT NULL,
  suppkey int NOT NULL, quantity numeric(15,2) NOT NULL, extendedprice numeric(15,2) NOT NULL,
  discount numeric(15,2) NOT NULL, tax numeric(15,2) NOT NULL, returnflag char(1) NOT NULL, linestatus char(1) NOT NULL,
  shipdate date NOT NULL, commitdate date NOT NULL, receiptdate date NOT NULL, shipinstruct text NOT NULL,
  shipmode text NOT NULL, comment text NOT NULL);
"""

ROWS = """
INSERT INTO {at}.supplier SELECT {key}n, 'Supplier#' || lpad(n::text, 9, '0'), md5((h + 1)::text), h & 15,
    {phone}, (h & 1048575) % 1000000 / 100.0, {c10}
  FROM (SELECT n, {h} AS h FROM generate_series(1, {suppliers}) n) r, (SELECT {words} AS w) w;
INSERT INTO {at}.customer SELECT {key}n, 'Customer#' || lpad(n::text, 9, '0'), md5((h + 1)::text), h & 15,
    {phone}, (h & 1048575) % 1000000 / 100.0,
    (ARRAY['AUTOMOBILE', 'BUILDING', 'FURNITURE', 'HOUSEHOLD', 'MACHINERY'])[1 + (h & 65535) % 5], {c10}
  FROM (SELECT n, {h} AS h FROM generate_series(1, {customers}) n) r, (SELECT {words} AS w) w;
INSERT INTO {at}.part SELECT {key}n, {c4}, 'Manufacturer#' || 1 + (h & 3), 'Brand#' || 11 + (h & 31),
    (ARRAY['STANDARD', 'SMALL', 'MEDIUM', 'LARGE', 'ECONOMY', 'PROMO'])[1 + (h & 255) % 6] || ' PLATED COPPER',
    1 + (h & 65535) % 50, 'JUMBO BOX', 900 + (n % 1000) / 10.0, w[1 + (h >> 20 & 31)::int]
  FROM (SELECT n, {h} AS h FROM generate_series(1, {parts}) n) r, (SELECT {words} AS w) w;
INSERT INTO {at}.partsupp SELECT {key}n, (n + j * ({suppliers} / 4)) % {suppliers} + 1, 1 + (h & 65535) % 9999,
    1 + (h & 1048575) % 100000 / 100.0, {c12} || ' ' || {c5}
  FROM (SELECT n, j, {h} + j AS h FROM generate_series(1, {parts}) n, generate_series(0, 3) j) r,
    (SELECT {words} AS w) w;
INSERT INTO {at}.orders SELECT {key}n, 1 + (h & 2147483647) % {customers}, substr('OFP', 1 + (h & 1023)::int % 3, 1),
    900 + (h & 67108863) % 45000000 / 100.0, date '1992-01-01' + (h & 1048575)::int % 2400,
    (ARRAY['1-URGENT', '2-HIGH', '3-MEDIUM', '4-NOT SPECIFIED', '5-LOW'])[1 + (h & 65535) % 5],
    'Clerk#' || lpad(((h & 65535) % 1000)::text, 9, '0'), 0, {c7}
  FROM (SELECT n, {h} AS h FROM generate_series(1, {orders}) n) r, (SELECT {words} AS w) w;
INSERT INTO {at}.lineitem SELECT {key}n, l, p, (p + (h & 3) * ({suppliers} / 4)) % {suppliers} + 1,
    1 + (h & 63), 900 + (h & 67108863) % 9500000 / 100.0, (h & 15) % 11 / 100.0, (h & 15) % 9 / 100.0,
    substr('RAN', 1 + (h & 1023)::int % 3, 1), substr('OF', 1 + (h & 1)::int, 1), d, d + (h & 63)::int,
    d + 1 + (h & 31)::int,
    (ARRAY['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + (h >> 7 & 3)],
    (ARRAY['REG AIR', 'AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB', 'RAIL'])[1 + (h >> 9 & 7)], {c4}
  FROM (SELECT n, l, h, 1 + (h >> 20 & 2147483647) % {parts} AS p, date '1992-01-02' + (h & 1048575)::int % 2500 AS d
          FROM generate_series(1, {orders}) n, LATERAL generate_series(1, 1 + (n * 2654435761 >> 7) % 7) l,
               LATERAL (SELECT hashint8extended(n * 8 + l, {seed}) AS h) x) r, (SELECT {words} AS w) w;
"""

KEYS = """
ALTER TABLE {at}.supplier ADD PRIMARY KEY ({k}suppkey), ADD FOREIGN KEY (nationkey) REFERENCES {ref}.nation;
ALTER TABLE {at}.customer ADD PRIMARY KEY ({k}custkey), ADD FOREIGN KEY (nationkey) REFERENCES {ref}.nation;
ALTER TABLE {at}.part ADD PRIMARY KEY ({k}partkey);
ALTER TABLE {at}.partsupp ADD PRIMARY KEY ({k}partkey, suppkey),
  ADD FOREIGN KEY ({k}partkey) REFERENCES {at}.part, ADD FOREIGN KEY ({k}suppkey) REFERENCES {at}.supplier;
ALTER TABLE {at}.orders ADD PRIMARY KEY ({k}orderkey), ADD FOREIGN KEY ({k}custkey) REFERENCES {at}.customer;
ALTER TABLE {at}.lineitem ADD PRIMARY KEY ({k}orderkey, linenumber),
  ADD FOREIGN KEY ({k}orderkey) REFERENCES {at}.orders,
  ADD FOREIGN KEY ({k}partkey, suppkey) REFERENCES {at}.partsupp;
CREATE INDEX ON {at}.supplier ({k}nationkey);
CREATE INDEX ON {at}.customer ({k}nationkey);
CREATE INDEX ON {at}.partsupp ({k}suppkey);
CREATE INDEX ON {at}.orders ({k}custkey);
CREATE INDEX ON {at}.orders ({k}orderdate);
CREATE INDEX ON {at}.lineitem ({k}partkey, suppkey);
CREATE INDEX ON {at}.lineitem ({k}shipdate);
"""


def _array(words: str) -> str:
    return "ARRAY['" + "', '".join(words.split()) + "']"


def _phrase(count: int) -> str:
    """So many words, five bits of `h` for each."""
    return " || ' ' || ".join(f"w[1 + (h >> {5 * number} & 31)::int]" for number in range(count))


def sizes(scale: float) -> dict[str, int]:
    """How many rows there are of what, a line item's orders having 1 to 7 of it."""
    return {
        "suppliers": max(4, int(10_000 * scale)),
        "customers": max(10, int(150_000 * scale)),
        "parts": max(20, int(200_000 * scale)),
        "orders": max(20, int(1_500_000 * scale)),
    }


def _rows(at: str, number: int, scale: float, shared: bool) -> str:
    phrases = {f"c{count}": _phrase(count) for count in (4, 5, 7, 10, 12)}
    phone = "10 + (h & 15) || '-' || 100 + (h >> 8 & 511) || '-' || 1000 + (h >> 17 & 8191)"
    return ROWS.format(
        at=at,
        key=f"{number}, " if shared else "",
        h=f"hashint8extended(n, {number})",
        seed=number,
        words=_array(WORDS),
        phone=phone,
        **phrases,
        **sizes(scale),
    )


def row_mode(scales: Mapping[int, float]) -> str:
    """Everything in the schema public, for these tenants by their key."""
    own = {"at": "public", "ref": "public", "own": "tenant_id int NOT NULL, ", "k": "tenant_id, "}
    parts = [SHARED.format(at="public", nations=_array(NATIONS)), TABLES.format(**own)]
    parts += [_rows("public", number, scale, shared=True) for number, scale in scales.items()]
    return "".join([*parts, KEYS.format(**own)])


def schema_mode(scales: Mapping[int, float]) -> str:
    """A schema for each tenant, named after it, and one of reference data."""
    parts = [f"CREATE SCHEMA {REFERENCE};", SHARED.format(at=REFERENCE, nations=_array(NATIONS))]
    for number, scale in scales.items():
        parts += [f"CREATE SCHEMA {TENANTS[number]};", _own(TENANTS[number], REFERENCE, number, scale)]
    return "".join(parts)


def database_mode(number: int, scale: float) -> str:
    """A database of one tenant, all in the schema public."""
    return SHARED.format(at="public", nations=_array(NATIONS)) + _own("public", "public", number, scale)


def _own(at: str, reference: str, number: int, scale: float) -> str:
    own = {"at": at, "ref": reference, "own": "", "k": ""}
    return TABLES.format(**own) + _rows(at, number, scale, shared=False) + KEYS.format(**own)


def main() -> None:
    """Prints the SQL."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tpch", description=__doc__)
    parser.add_argument("mode", choices=("row", "schema"))
    parser.add_argument("--scale", type=float, default=0.1, help="of each tenant; 1 is some 1 GB of text")
    arguments = parser.parse_args()
    scales = dict.fromkeys(TENANTS, arguments.scale)
    print((row_mode if arguments.mode == "row" else schema_mode)(scales))


if __name__ == "__main__":
    main()
