"""Writes catalogs.json: which catalog relations a tenant may read, which of their rows, and what is masked.

Run as `psql -Atc "$COLUMNS" … | python -m proxy.sql.data.generate_catalogs > catalogs.json` over servers of several
majors: the columns are the
union of what they have. A relation that is not named here does not exist for a tenant, nor does one with a column
that no listed server had.
{relations}, {functions}: OIDs of what policy shows; {database}: the database's name; {schemas}: names of visible
schemas.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

SYSTEM = "16384"  # FirstNormalObjectId: below it everything was there when the database was made
SHOWN = "= ANY ({relations})"
INDEXES = f"IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid {SHOWN})"
# A row type of a relation, and its array, are as visible as the relation.
TYPES = (
    f"(typrelid = 0 OR typrelid < {SYSTEM}::pg_catalog.oid OR typrelid {SHOWN} OR typrelid IN (SELECT c.oid FROM pg_catalog.pg_class c"
    f" WHERE c.relkind = 'c')) AND (typelem = 0 OR NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.oid = typelem AND e.typrelid >="
    f" {SYSTEM}::pg_catalog.oid AND NOT e.typrelid {SHOWN} AND e.typtype = 'c' AND NOT EXISTS (SELECT FROM pg_catalog.pg_class k"
    f" WHERE k.oid = e.typrelid AND k.relkind = 'c')))"
)
NAMED = (
    "({0}, {1}) IN (SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = ANY ({{relations}}) OR n.nspname = 'pg_catalog' OR n.nspname = 'information_schema')"
)
NOTHING = "false"
EVERYTHING = ""


def named(schema: str, name: str) -> str:
    """Rows whose (schema, name) is a relation that is shown."""
    return NAMED.format(schema, name)


WHERE = {
    "pg_catalog.pg_class": f"oid < {SYSTEM}::pg_catalog.oid OR oid {SHOWN} OR oid {INDEXES} OR relkind = 'c'",
    "pg_catalog.pg_attribute": f"attrelid < {SYSTEM}::pg_catalog.oid OR attrelid {SHOWN} OR attrelid {INDEXES} OR attrelid IN (SELECT c.oid FROM"
    " pg_catalog.pg_class c WHERE c.relkind = 'c')",
    "pg_catalog.pg_attrdef": f"adrelid {SHOWN}",
    "pg_catalog.pg_constraint": f"(conrelid = 0 OR conrelid < {SYSTEM}::pg_catalog.oid OR conrelid {SHOWN}) AND (confrelid = 0 OR confrelid {SHOWN})",
    "pg_catalog.pg_index": f"indrelid < {SYSTEM}::pg_catalog.oid OR indrelid {SHOWN}",
    "pg_catalog.pg_inherits": f"(inhrelid {SHOWN} AND inhparent {SHOWN}) OR inhrelid {INDEXES}",
    "pg_catalog.pg_partitioned_table": f"partrelid {SHOWN}",
    "pg_catalog.pg_trigger": f"tgrelid {SHOWN}",
    "pg_catalog.pg_rewrite": f"ev_class < {SYSTEM}::pg_catalog.oid OR ev_class {SHOWN}",
    "pg_catalog.pg_policy": NOTHING,
    "pg_catalog.pg_statistic_ext": NOTHING,
    "pg_catalog.pg_publication": NOTHING,
    "pg_catalog.pg_publication_rel": NOTHING,
    "pg_catalog.pg_publication_namespace": NOTHING,
    "pg_catalog.pg_subscription": NOTHING,
    "pg_catalog.pg_subscription_rel": NOTHING,
    "pg_catalog.pg_foreign_table": NOTHING,
    "pg_catalog.pg_foreign_server": NOTHING,
    "pg_catalog.pg_foreign_data_wrapper": NOTHING,
    "pg_catalog.pg_user_mapping": NOTHING,
    "pg_catalog.pg_event_trigger": NOTHING,
    "pg_catalog.pg_seclabel": NOTHING,
    "pg_catalog.pg_tablespace": f"oid < {SYSTEM}::pg_catalog.oid",
    "pg_catalog.pg_sequence": f"seqrelid {SHOWN}",
    "pg_catalog.pg_type": TYPES,
    "pg_catalog.pg_enum": EVERYTHING,
    "pg_catalog.pg_range": EVERYTHING,
    "pg_catalog.pg_proc": f"oid < {SYSTEM}::pg_catalog.oid OR oid = ANY ({{functions}})",
    "pg_catalog.pg_aggregate": f"aggfnoid < {SYSTEM}::pg_catalog.oid OR aggfnoid = ANY ({{functions}})",
    "pg_catalog.pg_namespace": "nspname = 'pg_catalog' OR nspname = 'information_schema' OR nspname = ANY ({schemas})",
    "pg_catalog.pg_description": f"objoid < {SYSTEM}::pg_catalog.oid OR objoid {SHOWN} OR objoid = ANY ({{functions}})",
    "pg_catalog.pg_shdescription": NOTHING,
    "pg_catalog.pg_depend": f"(classid = 1259 AND objid {SHOWN} AND (refobjid {SHOWN} OR refobjid < {SYSTEM}::pg_catalog.oid))",
    "pg_catalog.pg_auth_members": NOTHING,
    "pg_catalog.pg_am": EVERYTHING,
    "pg_catalog.pg_collation": EVERYTHING,
    "pg_catalog.pg_conversion": EVERYTHING,
    "pg_catalog.pg_opclass": EVERYTHING,
    "pg_catalog.pg_opfamily": EVERYTHING,
    "pg_catalog.pg_operator": EVERYTHING,
    "pg_catalog.pg_amop": EVERYTHING,
    "pg_catalog.pg_amproc": EVERYTHING,
    "pg_catalog.pg_cast": EVERYTHING,
    "pg_catalog.pg_language": EVERYTHING,
    "pg_catalog.pg_extension": EVERYTHING,
    "pg_catalog.pg_ts_config": EVERYTHING,
    "pg_catalog.pg_ts_dict": EVERYTHING,
    "pg_catalog.pg_ts_parser": EVERYTHING,
    "pg_catalog.pg_ts_template": EVERYTHING,
    "pg_catalog.pg_ts_config_map": EVERYTHING,
    "pg_catalog.pg_database": "datname = {database}",
    "pg_catalog.pg_roles": f"rolname = current_user OR oid < {SYSTEM}::pg_catalog.oid AND rolname LIKE 'pg\\_%'",
    "pg_catalog.pg_user": "usename = current_user",
    "pg_catalog.pg_tables": named("schemaname", "tablename"),
    "pg_catalog.pg_views": named("schemaname", "viewname"),
    "pg_catalog.pg_matviews": named("schemaname", "matviewname"),
    "pg_catalog.pg_indexes": named("schemaname", "tablename"),
    "pg_catalog.pg_sequences": named("schemaname", "sequencename"),
    "pg_catalog.pg_timezone_names": EVERYTHING,
    "pg_catalog.pg_timezone_abbrevs": EVERYTHING,
    "information_schema.tables": named("table_schema", "table_name"),
    "information_schema.columns": named("table_schema", "table_name"),
    "information_schema.views": named("table_schema", "table_name"),
    "information_schema.table_constraints": named("table_schema", "table_name"),
    "information_schema.key_column_usage": named("table_schema", "table_name"),
    "information_schema.constraint_column_usage": named("table_schema", "table_name"),
    "information_schema.constraint_table_usage": named("table_schema", "table_name"),
    "information_schema.referential_constraints": "constraint_name IN (SELECT k.conname FROM pg_catalog.pg_constraint k WHERE k.conrelid"
    f" {SHOWN} AND k.confrelid {SHOWN})",
    "information_schema.check_constraints": "constraint_name IN (SELECT k.conname FROM pg_catalog.pg_constraint k WHERE k.conrelid"
    f" {SHOWN})",
    "information_schema.sequences": named("sequence_schema", "sequence_name"),
    "information_schema.schemata": "schema_name = 'pg_catalog' OR schema_name = 'information_schema' OR schema_name = ANY ({schemas})",
    "information_schema.element_types": named("object_schema", "object_name"),
    "information_schema.sql_features": EVERYTHING,
    "information_schema.character_sets": EVERYTHING,
    "information_schema.collations": EVERYTHING,
    "information_schema.enabled_roles": "role_name = current_user",
    "information_schema.applicable_roles": NOTHING,
    "information_schema.information_schema_catalog_name": EVERYTHING,
}

# Statistics, addresses and secrets; the value is of the column's type.
MASK = {
    "pg_catalog.pg_class": {
        "reltuples": "(-1)::pg_catalog.float4", "relpages": "0", "relallvisible": "0", "relallfrozen": "0",
        "relfilenode": "0::pg_catalog.oid",
        "relfrozenxid": "'0'::pg_catalog.xid", "relminmxid": "'0'::pg_catalog.xid",
        "reltoastrelid": "0::pg_catalog.oid",
        "relpartbound": "NULL::pg_catalog.pg_node_tree",  # of list partitions: the keys of every tenant
    },
    "pg_catalog.pg_attribute": {"attmissingval": "NULL::pg_catalog.anyarray"},
    "pg_catalog.pg_database": {
        "datfrozenxid": "'0'::pg_catalog.xid", "datminmxid": "'0'::pg_catalog.xid",
        "datacl": "NULL::pg_catalog.aclitem[]",
        "datlastsysoid": "0::pg_catalog.oid",
    },
    "pg_catalog.pg_sequences": {"last_value": "NULL::pg_catalog.int8"},
    "pg_catalog.pg_roles": {"rolpassword": "NULL::pg_catalog.text", "rolconfig": "NULL::pg_catalog.text[]"},
    "pg_catalog.pg_user": {"passwd": "NULL::pg_catalog.text", "useconfig": "NULL::pg_catalog.text[]"},
    "pg_catalog.pg_proc": {
        "prosrc": f"CASE WHEN oid < {SYSTEM}::pg_catalog.oid THEN prosrc ELSE ''::pg_catalog.text END",
    },
}  # fmt: skip


COLUMNS = """SELECT n.nspname || '.' || c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid =
          a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid < 16384 ORDER BY
          c.oid, a.attnum"""


def main(lines: Iterable[str]) -> None:
    """Prints the data; `lines` are what COLUMNS gave, of one server after the other."""
    found: dict[str, dict[str, str]] = {name: {} for name in WHERE}
    for line in lines:
        schema, relation, column = line.strip().split(".", 2)
        if f"{schema}.{relation}" in found:
            found[f"{schema}.{relation}"][column] = ""
    for name, masks in MASK.items():
        found[name].update(masks)
    data = {name: {"columns": found[name], "where": where} for name, where in sorted(WHERE.items()) if found[name]}
    json.dump(data, sys.stdout, indent=0)


if __name__ == "__main__":
    main(sys.stdin)
