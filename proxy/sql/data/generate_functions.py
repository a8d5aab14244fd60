"""Writes functions.json: which built-in functions a tenant may call, by name, from a table of pg_proc with classes.

Run as `psql -XAt -c "$ROUTINES" … | python -m proxy.sql.data.generate_functions TABLE.tsv > functions.json` over
servers of several majors; the table has the columns name, class and row_mode_action. What later majors added stands
here, classified by hand; what is in neither list is refused. Those that a statement could call, and a tenant may not,
are `unshown`: pg_proc of a tenant is without them, but for what a type, an operator or another catalog row names.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from proxy.sql.data.generate_catalogs import FUNCTIONS, IN_FROM, OF_COLUMNS
from proxy.sql.mapped import ARITIES
from proxy.sql.permit import INFORMATION
from proxy.sql.sequences import FUNCTIONS as SEQUENCES

# New in PostgreSQL 16, 17 and 18, and pure.
ADDED = [
    "any_value",
    "array_reverse",
    "array_sample",
    "array_shuffle",
    "array_sort",
    "bytea",
    "bytea_larger",
    "bytea_smaller",
    "casefold",
    "crc32",
    "crc32c",
    "date_add",
    "date_subtract",
    "erf",
    "erfc",
    "gamma",
    "hashbool",
    "hashboolextended",
    "hashbytea",
    "hashbyteaextended",
    "hashdate",
    "hashdateextended",
    "icu_unicode_version",
    "json_agg_strict",
    "json_object_agg_strict",
    "json_object_agg_unique",
    "json_object_agg_unique_strict",
    "jsonb_agg_strict",
    "jsonb_object_agg_strict",
    "jsonb_object_agg_unique",
    "jsonb_object_agg_unique_strict",
    "jsonb_populate_record_valid",
    "lgamma",
    "pg_basetype",
    "random_normal",
    "record_larger",
    "record_smaller",
    "timestamptz_hash",
    "timestamptz_hash_extended",
    "to_bin",
    "to_oct",
    "to_regtypemod",
    "unicode_assigned",
    "unicode_version",
    "uuid_extract_timestamp",
    "uuid_extract_version",
    "uuidv4",
    "uuidv7",
    "xmltext",
]
# What a cast of a constant to such a type calls as well; not those that look up names, or take a type by number.
INPUT = [
    "bit_in",
    "boolin",
    "box_in",
    "bpcharin",
    "byteain",
    "cash_in",
    "charin",
    "cidin",
    "cidr_in",
    "circle_in",
    "date_in",
    "float4in",
    "float8in",
    "inet_in",
    "int2in",
    "int2vectorin",
    "int4in",
    "int8in",
    "interval_in",
    "json_in",
    "jsonb_in",
    "jsonpath_in",
    "line_in",
    "lseg_in",
    "macaddr8_in",
    "macaddr_in",
    "namein",
    "numeric_in",
    "oidin",
    "oidvectorin",
    "path_in",
    "pg_lsn_in",
    "pg_snapshot_in",
    "point_in",
    "poly_in",
    "textin",
    "tidin",
    "time_in",
    "timestamp_in",
    "timestamptz_in",
    "timetz_in",
    "tsqueryin",
    "tsvectorin",
    "txid_snapshot_in",
    "uuid_in",
    "varbit_in",
    "varcharin",
    "xid8in",
    "xidin",
    "xml_in",
]
# Session facts that are the same on a private database.
SESSION = (
    "current_database",
    "current_catalog",
    "current_schema",
    "current_schemas",
    "current_user",
    "session_user",
    "user",
    "getpgusername",
)
# Partitions' names, which psql's \\d asks for: schema, no rows.
SCHEMA = (
    "pg_partition_ancestors",
    "pg_partition_root",
    "pg_partition_tree",
    "pg_relation_is_publishable",
    "pg_options_to_table",
    "pg_available_extensions",
    "pg_available_extension_versions",
)
# Refused overloads beside allowed ones, told apart by the number of arguments: name -> allowed numbers.
BY_NUMBER = {"ts_rewrite": [3], "age": [1, 2]}
# They take a relation by name, as text: a constant one must be visible.
RELATION_TEXT = {
    "to_regclass": 0, "regclass": 0, "pg_get_serial_sequence": 0, "has_table_privilege": -1,
    "has_any_column_privilege": -1,
    "has_column_privilege": -1, "has_sequence_privilege": -1, "pg_get_viewdef": 0,
}  # fmt: skip
# Bounds of partitions name tenants; roles are nobody's business.
REFUSED = {
    "makeaclitem",
    "pg_get_partition_constraintdef",
    "pg_indexam_progress_phasename",
    "to_regrole",
    "to_regtypemod",
}
# Names that a statement can call, and that nothing but a statement calls.
ROUTINES = """SELECT DISTINCT p.proname FROM pg_proc p
 WHERE p.oid < 16384 AND p.prorettype::regtype::text !~ 'internal|cstring|trigger|handler'
   AND NOT p.proargtypes::oid[] && ARRAY['internal'::regtype, 'cstring'::regtype]::oid[]
   AND p.oid NOT IN (
       SELECT unnest(ARRAY[typinput, typoutput, typreceive, typsend, typmodin, typmodout]::oid[]) FROM pg_type
       UNION ALL SELECT oprcode FROM pg_operator UNION ALL SELECT castfunc FROM pg_cast
       UNION ALL SELECT unnest(ARRAY[aggtransfn, aggfinalfn, aggcombinefn, aggmtransfn, aggminvtransfn]::oid[]) FROM pg_aggregate
       UNION ALL SELECT amproc FROM pg_amproc UNION ALL SELECT conproc FROM pg_conversion
       UNION ALL SELECT unnest(ARRAY[lanplcallfoid, laninline, lanvalidator]) FROM pg_language)"""


def answered() -> frozenset[str]:
    """What is not on the list, and may be called in some way: mapped, looked at, or something stands in its place."""
    sequences = SEQUENCES - {"lastval"}
    settings = ("current_setting", "set_config")
    return frozenset({*ARITIES, *sequences, *settings, *INFORMATION, *FUNCTIONS, *OF_COLUMNS, *IN_FROM})


def _prints(row: dict[str, str]) -> bool:
    """Type output functions and senders of reg* types: they print an object's name from its OID."""
    return row["returns"] == "cstring" or (row["name"].startswith("reg") and row["name"].endswith("send"))


def main(table: Path, routines: Iterable[str]) -> None:
    """Prints the data; `routines` are what ROUTINES gave, of one server after the other."""
    actions: dict[str, set[str]] = defaultdict(set)
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            actions[row["name"]].add("reject" if _prints(row) else row["row_mode_action"].split(" ")[0])
    allowed = {name for name, some in actions.items() if some == {"allow"}}
    # Type input functions share a name with casts that may be called.
    allowed |= {name for name, some in actions.items() if "allow" in some and name in BY_NUMBER}
    allowed |= {*ADDED, *INPUT, *SESSION, *SCHEMA}
    allowed -= {"current_setting", "set_config", "pg_stat_clear_snapshot", *REFUSED}
    data = {
        "allow": sorted(allowed),
        "by_number": BY_NUMBER,
        "relation_text": RELATION_TEXT,
        "unshown": sorted({line.strip() for line in routines} - allowed - answered()),
    }
    json.dump(data, sys.stdout, indent=0, sort_keys=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.stdin)
