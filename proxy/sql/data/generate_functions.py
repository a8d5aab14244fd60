"""Writes functions.json: which built-in functions a tenant may call, by name, from a table of pg_proc with classes.

Run as `python -m proxy.sql.data.generate_functions TABLE.tsv > functions.json`; the table has the columns name, class
and
row_mode_action. What later majors added stands here, classified by hand; what is in neither list is refused.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path

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
# Bounds of partitions name tenants; roles are nobody's business; setseed outlives the lease and would steer another's
# random().
REFUSED = {
    "makeaclitem",
    "pg_get_partition_constraintdef",
    "pg_indexam_progress_phasename",
    "setseed",
    "to_regrole",
    "to_regtypemod",
}


def _prints(row: dict[str, str]) -> bool:
    """Type output functions and senders of reg* types: they print an object's name from its OID."""
    return row["returns"] == "cstring" or (row["name"].startswith("reg") and row["name"].endswith("send"))


def main(table: Path) -> None:
    """Prints the data."""
    actions: dict[str, set[str]] = defaultdict(set)
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            actions[row["name"]].add("reject" if _prints(row) else row["row_mode_action"].split(" ")[0])
    allowed = {name for name, some in actions.items() if some == {"allow"}}
    # Type input functions share a name with casts that may be called.
    allowed |= {name for name, some in actions.items() if "allow" in some and name in BY_NUMBER}
    allowed |= {*ADDED, *SESSION, *SCHEMA}
    allowed -= {"current_setting", "set_config", "pg_stat_clear_snapshot", *REFUSED}
    data = {"allow": sorted(allowed), "by_number": BY_NUMBER, "relation_text": RELATION_TEXT}
    json.dump(data, sys.stdout, indent=0, sort_keys=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
