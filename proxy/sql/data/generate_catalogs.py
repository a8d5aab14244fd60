"""Writes catalogs.json: which catalog relations a tenant may read, which of their rows, and what is masked.

Run as `psql -XAt -F ' ' -c "$COLUMNS" … | python -m proxy.sql.data.generate_catalogs > catalogs.json` over servers of
several majors, as a role without privileges: the columns are the union of what they have. A relation that is not named
here does not exist for a tenant, nor does one with a column that no listed server had.
{relations}, {functions}: OIDs of what policy shows; {database}: the database's name; {schemas}: names of the schemas
that hold what is shown; {unshown}: built-in functions that no tenant may call. A literal '$process' or '$query' is a hole for the session's own number and text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable

from proxy.sql.settings import READABLE, SETTABLE

SYSTEM = "16384::pg_catalog.oid"  # FirstNormalObjectId: below it everything was there when the database was made
SHOWN = "= ANY ({relations})"
LISTED = "= ANY ({functions})"
ROUTINES = "{0}oid < " + SYSTEM + " AND {0}proname <> ALL ({{unshown}}) OR {0}oid = ANY ({{functions}})"
INDEXES = f"IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid {SHOWN})"
COMPOSITES = "IN (SELECT k.oid FROM pg_catalog.pg_class k WHERE k.relkind = 'c' AND k.relnamespace IN ({homes}))"
HOMES = (
    "SELECT h.oid FROM pg_catalog.pg_namespace h WHERE h.nspname = 'pg_catalog' OR h.nspname = 'information_schema'"
    " OR h.nspname = ANY ({schemas})"
)
COMPOSITES = COMPOSITES.replace("{homes}", HOMES)
# A row type of a relation, and its array, are as visible as the relation.
ROW_TYPE = f"({{0}}.typrelid = 0 OR {{0}}.typrelid < {SYSTEM} OR {{0}}.typrelid {SHOWN} OR {{0}}.typrelid {COMPOSITES})"
TYPES = (
    f"pg_type.typnamespace IN ({HOMES}) AND {ROW_TYPE.replace('{0}', 'pg_type')} AND (pg_type.typelem = 0 OR EXISTS ("
    f"SELECT FROM pg_catalog.pg_type e WHERE e.oid = pg_type.typelem AND {ROW_TYPE.replace('{0}', 'e')}))"
)
NAMED = (
    "({0}, {1}) IN (SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = ANY ({{relations}}) OR n.nspname = 'pg_catalog' OR n.nspname = 'information_schema')"
)
CONSTRAINT = (
    f"(conrelid = 0 OR conrelid < {SYSTEM} OR conrelid {SHOWN}) AND (confrelid = 0 OR confrelid {SHOWN})"
    f" AND connamespace IN ({HOMES})"
)
# The objects that have comments and dependencies, as (catalog, OID). The list of relations is long, and stands once.
OBJECTS = " UNION ALL ".join(
    f"SELECT {number}, {key} FROM pg_catalog.{catalog}{f' WHERE {where}' if where else ''}"
    for number, catalog, key, where in (
        (1259, "pg_class", "oid", f"oid < {SYSTEM} OR oid {SHOWN} OR oid {INDEXES} OR oid {COMPOSITES}"),
        (1247, "pg_type", "oid", TYPES),
        (1255, "pg_proc", "oid", f"oid < {SYSTEM} OR oid {LISTED}"),
        (2604, "pg_attrdef", "oid", f"adrelid {SHOWN}"),
        (2606, "pg_constraint", "oid", CONSTRAINT),
        (2618, "pg_rewrite", "oid", f"ev_class {SHOWN}"),
        (2620, "pg_trigger", "oid", f"tgrelid {SHOWN}"),
        (3381, "pg_statistic_ext", "oid", f"stxrelid {SHOWN}"),
        (2615, "pg_namespace", "oid", f"oid IN ({HOMES})"),
        (3079, "pg_extension", "oid", ""),
    )
).replace(SHOWN, "IN (SELECT s.oid FROM shown s)")
WITH = f"shown (oid) AS (SELECT pg_catalog.unnest({{relations}})), seen (class, oid) AS MATERIALIZED ({OBJECTS})"
SEEN = "({0}, {1}) IN (SELECT s.class, s.oid FROM seen s) OR {1} < " + SYSTEM
OWNERS = (
    f"SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid {SHOWN} OR c.oid < {SYSTEM}"
    f" UNION ALL SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.oid {LISTED}"
    f" UNION ALL SELECT h.nspowner FROM pg_catalog.pg_namespace h WHERE h.oid IN ({HOMES})"
    " UNION ALL SELECT d.datdba FROM pg_catalog.pg_database d WHERE d.datname = {database}"
)
NOTHING = "false"
EVERYTHING = ""
OWN_BACKEND = "pid = pg_catalog.pg_backend_pid()"


def named(schema: str, name: str) -> str:
    """Rows whose (schema, name) is a relation that is shown."""
    return NAMED.format(schema, name)


def at_home(column: str) -> str:
    """Rows of a schema that is shown, or of the system's."""
    return f"oid < {SYSTEM} OR {column} IN ({HOMES})"


def in_schema(column: str) -> str:
    """The same by the schema's name."""
    return f"{column} = 'pg_catalog' OR {column} = 'information_schema' OR {column} = ANY ({{schemas}})"


def constraints(kinds: str) -> str:
    """Rows of information_schema that name a constraint without its table: of a shown one, and of no other of that
    name."""
    names = (
        "SELECT n.nspname, k.conname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_namespace n"
        f" ON n.oid = k.connamespace WHERE k.contype IN ({kinds}) AND"
    )
    seen = f"(k.conrelid = 0 OR k.conrelid {SHOWN}) AND (k.confrelid = 0 OR k.confrelid {SHOWN})"
    return (
        f"(constraint_schema, constraint_name) IN ({names} {seen} AND k.connamespace IN ({HOMES}))"
        f" AND (constraint_schema, constraint_name) NOT IN ({names} NOT ({seen}))"
    )


# NOT NULL of a column is a constraint without a row of its own before PostgreSQL 18.
NOT_NULL = (
    "constraint_name IN (SELECT pg_catalog.concat(c.relnamespace, '_', c.oid, '_', a.attnum, '_not_null') FROM"
    " pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    f" WHERE c.oid {SHOWN} AND a.attnotnull AND a.attnum > 0)"
)
ROUTINE = (
    "specific_name IN (SELECT pg_catalog.concat(p.proname, '_', p.oid) FROM pg_catalog.pg_proc p"
    f" WHERE {ROUTINES.format('p.')})"
)
SETTINGS = ", ".join(f"'{name}'" for name in sorted(SETTABLE | READABLE))

WHERE = {
    "pg_catalog.pg_class": f"oid < {SYSTEM} OR oid {SHOWN} OR oid {INDEXES} OR oid {COMPOSITES}",
    "pg_catalog.pg_attribute": f"attrelid < {SYSTEM} OR attrelid {SHOWN} OR attrelid {INDEXES} OR attrelid {COMPOSITES}",
    "pg_catalog.pg_attrdef": f"adrelid {SHOWN}",
    "pg_catalog.pg_constraint": CONSTRAINT,
    "pg_catalog.pg_index": f"indrelid < {SYSTEM} OR indrelid {SHOWN}",
    "pg_catalog.pg_inherits": f"(inhrelid {SHOWN} AND inhparent {SHOWN}) OR inhrelid {INDEXES}",
    "pg_catalog.pg_partitioned_table": f"partrelid {SHOWN}",
    "pg_catalog.pg_trigger": f"tgrelid {SHOWN} AND (tgconstrrelid = 0 OR tgconstrrelid {SHOWN})",
    "pg_catalog.pg_rewrite": f"ev_class < {SYSTEM} OR ev_class {SHOWN}",
    "pg_catalog.pg_statistic_ext": f"stxrelid {SHOWN}",
    "pg_catalog.pg_tablespace": f"oid < {SYSTEM}",
    "pg_catalog.pg_sequence": f"seqrelid {SHOWN}",
    "pg_catalog.pg_type": TYPES,
    "pg_catalog.pg_enum": f"enumtypid IN (SELECT oid FROM pg_catalog.pg_type WHERE {TYPES})",
    "pg_catalog.pg_range": f"rngtypid IN (SELECT oid FROM pg_catalog.pg_type WHERE {TYPES})",
    "pg_catalog.pg_proc": ROUTINES.format(""),
    "pg_catalog.pg_aggregate": f"aggfnoid < {SYSTEM} OR aggfnoid {LISTED}",
    "pg_catalog.pg_namespace": in_schema("nspname"),
    "pg_catalog.pg_description": SEEN.format("classoid", "objoid"),
    "pg_catalog.pg_depend": f"({SEEN.format('classid', 'objid')}) AND ({SEEN.format('refclassid', 'refobjid')})",
    "pg_catalog.pg_init_privs": f"objoid < {SYSTEM}",
    "pg_catalog.pg_am": EVERYTHING,
    "pg_catalog.pg_collation": at_home("collnamespace"),
    "pg_catalog.pg_conversion": at_home("connamespace"),
    "pg_catalog.pg_opclass": at_home("opcnamespace"),
    "pg_catalog.pg_opfamily": at_home("opfnamespace"),
    # psql asks for the comments of an operator's function: one of a function that no rule lists is hidden, as in SQL.
    "pg_catalog.pg_operator": f"oid < {SYSTEM} OR oprnamespace IN ({HOMES}) AND"
    f" (oprcode::pg_catalog.oid < {SYSTEM} OR oprcode::pg_catalog.oid {LISTED})",
    "pg_catalog.pg_amop": EVERYTHING,
    "pg_catalog.pg_amproc": EVERYTHING,
    "pg_catalog.pg_cast": EVERYTHING,
    "pg_catalog.pg_language": EVERYTHING,
    "pg_catalog.pg_extension": EVERYTHING,
    "pg_catalog.pg_available_extensions": EVERYTHING,
    "pg_catalog.pg_available_extension_versions": EVERYTHING,
    "pg_catalog.pg_ts_config": at_home("cfgnamespace"),
    "pg_catalog.pg_ts_dict": at_home("dictnamespace"),
    "pg_catalog.pg_ts_parser": at_home("prsnamespace"),
    "pg_catalog.pg_ts_template": at_home("tmplnamespace"),
    "pg_catalog.pg_ts_config_map": f"mapcfg < {SYSTEM} OR mapcfg IN (SELECT t.oid FROM pg_catalog.pg_ts_config t"
    f" WHERE t.cfgnamespace IN ({HOMES}))",
    "pg_catalog.pg_database": "datname = {database}",
    "pg_catalog.pg_roles": f"rolname = current_user OR oid < {SYSTEM} AND rolname LIKE 'pg\\_%' OR oid IN ({OWNERS})",
    "pg_catalog.pg_user": "usename = current_user",
    "pg_catalog.pg_settings": f"pg_catalog.lower(name) IN ({SETTINGS})",
    "pg_catalog.pg_stat_activity": OWN_BACKEND,
    "pg_catalog.pg_locks": f"{OWN_BACKEND} AND locktype = 'relation' AND (relation < {SYSTEM} OR relation {SHOWN})",
    "pg_catalog.pg_tables": named("schemaname", "tablename"),
    "pg_catalog.pg_views": named("schemaname", "viewname"),
    "pg_catalog.pg_matviews": named("schemaname", "matviewname"),
    "pg_catalog.pg_indexes": named("schemaname", "tablename"),
    "pg_catalog.pg_rules": named("schemaname", "tablename"),
    "pg_catalog.pg_sequences": named("schemaname", "sequencename"),
    "pg_catalog.pg_timezone_names": EVERYTHING,
    "pg_catalog.pg_timezone_abbrevs": EVERYTHING,
    "pg_catalog.pg_wait_events": EVERYTHING,
    "information_schema.tables": named("table_schema", "table_name"),
    "information_schema.columns": named("table_schema", "table_name"),
    "information_schema.views": named("table_schema", "table_name"),
    "information_schema.table_constraints": named("table_schema", "table_name"),
    "information_schema.key_column_usage": named("table_schema", "table_name"),
    "information_schema.constraint_column_usage": named("table_schema", "table_name"),
    "information_schema.constraint_table_usage": named("table_schema", "table_name"),
    "information_schema.column_privileges": named("table_schema", "table_name"),
    "information_schema.table_privileges": named("table_schema", "table_name"),
    "information_schema.role_column_grants": named("table_schema", "table_name"),
    "information_schema.role_table_grants": named("table_schema", "table_name"),
    "information_schema.column_column_usage": named("table_schema", "table_name"),
    "information_schema.column_domain_usage": named("table_schema", "table_name"),
    "information_schema.column_udt_usage": named("table_schema", "table_name"),
    "information_schema.triggers": named("event_object_schema", "event_object_table"),
    "information_schema.triggered_update_columns": named("event_object_schema", "event_object_table"),
    "information_schema.view_column_usage": f"{named('view_schema', 'view_name')} AND {named('table_schema', 'table_name')}",
    "information_schema.view_table_usage": f"{named('view_schema', 'view_name')} AND {named('table_schema', 'table_name')}",
    "information_schema.referential_constraints": constraints("'f'"),
    "information_schema.check_constraints": f"({constraints(chr(39) + 'c' + chr(39) + ', ' + chr(39) + 'n' + chr(39))}) OR {NOT_NULL}",
    "information_schema.sequences": named("sequence_schema", "sequence_name"),
    "information_schema.schemata": in_schema("schema_name"),
    "information_schema.domains": in_schema("domain_schema"),
    "information_schema.domain_constraints": in_schema("domain_schema"),
    "information_schema.domain_udt_usage": in_schema("domain_schema"),
    "information_schema.user_defined_types": in_schema("user_defined_type_schema"),
    "information_schema.attributes": in_schema("udt_schema"),
    "information_schema.udt_privileges": in_schema("udt_schema"),
    "information_schema.role_udt_grants": in_schema("udt_schema"),
    "information_schema.usage_privileges": f"object_type <> 'SEQUENCE' AND ({in_schema('object_schema')}) OR {named('object_schema', 'object_name')}",
    "information_schema.role_usage_grants": f"object_type <> 'SEQUENCE' AND ({in_schema('object_schema')}) OR {named('object_schema', 'object_name')}",
    "information_schema.element_types": f"object_type IN ('DOMAIN', 'USER-DEFINED TYPE') AND ({in_schema('object_schema')})"
    f" OR {named('object_schema', 'object_name')}",
    "information_schema.data_type_privileges": f"object_type IN ('DOMAIN', 'USER-DEFINED TYPE') AND ({in_schema('object_schema')})"
    f" OR {named('object_schema', 'object_name')}",
    "information_schema.routines": ROUTINE,
    "information_schema.parameters": ROUTINE,
    "information_schema.routine_privileges": ROUTINE,
    "information_schema.role_routine_grants": ROUTINE,
    "information_schema.sql_features": EVERYTHING,
    "information_schema.sql_implementation_info": EVERYTHING,
    "information_schema.sql_sizing": EVERYTHING,
    "information_schema.character_sets": EVERYTHING,
    "information_schema.collations": in_schema("collation_schema"),
    "information_schema.collation_character_set_applicability": in_schema("collation_schema"),
    "information_schema.enabled_roles": "role_name = current_user",
    "information_schema.information_schema_catalog_name": EVERYTHING,
}  # fmt: skip
# What tells of other sessions' work, of the whole server, or of rows: PostgreSQL's words for a missing privilege.
DENIED = re.compile(
    r"pg_catalog\.pg_(?:stat_(?!activity)|statio_|stats|cursors|db_role_setting|policies|prepared_|replication_"
    r"|shseclabel)"
)
# What names objects of other kinds or schemas than a tenant may see: there, and empty.
EMPTY = (
    "pg_auth_members", "pg_default_acl", "pg_event_trigger", "pg_foreign_data_wrapper", "pg_foreign_server",
    "pg_foreign_table", "pg_group", "pg_largeobject_metadata", "pg_parameter_acl", "pg_policy", "pg_publication",
    "pg_publication_namespace", "pg_publication_rel", "pg_publication_tables", "pg_seclabel", "pg_seclabels",
    "pg_shdepend", "pg_shdescription", "pg_subscription", "pg_subscription_rel", "pg_transform", "pg_user_mappings",
)  # fmt: skip
EMPTY_SCHEMA = (
    "administrable_role_authorizations", "applicable_roles", "check_constraint_routine_usage", "column_options",
    "foreign_data_wrapper_options", "foreign_data_wrappers", "foreign_server_options", "foreign_servers",
    "foreign_table_options", "foreign_tables", "routine_column_usage", "routine_routine_usage",
    "routine_sequence_usage", "routine_table_usage", "user_mapping_options", "user_mappings", "view_routine_usage",
)  # fmt: skip
WHERE |= {f"pg_catalog.{name}": NOTHING for name in EMPTY}
WHERE |= {f"information_schema.{name}": NOTHING for name in EMPTY_SCHEMA}

# Statistics, addresses and secrets; the value is of the column's type.
# The client's part of an application_name; the label before it is the operator's.
UNLABELLED = "pg_catalog.substr({}, pg_catalog.length('$application'::pg_catalog.text) OPERATOR(pg_catalog.+) 1)"
MASK = {
    "pg_catalog.pg_class": {
        "reltuples": "(-1)::pg_catalog.float4", "relpages": "0", "relallvisible": "0", "relallfrozen": "0",
        "relfilenode": "0::pg_catalog.oid",
        "relfrozenxid": "'0'::pg_catalog.xid", "relminmxid": "'0'::pg_catalog.xid",
        "reltoastrelid": "0::pg_catalog.oid",
        "relrowsecurity": "false", "relforcerowsecurity": "false",  # the proxy's second wall, if there is one
        # Of list partitions, the bounds are the keys of every tenant. Instants are nobody's key.
        "relpartbound": "CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_partitioned_table t"
        " ON t.partrelid = i.inhparent WHERE i.inhrelid = pg_class.oid AND t.partstrat = 'r' AND NOT EXISTS (SELECT"
        " FROM pg_catalog.unnest(t.partattrs::pg_catalog.int2[]) u(number) LEFT JOIN pg_catalog.pg_attribute a"
        " ON a.attrelid = t.partrelid AND a.attnum = u.number AND a.atttypid IN (1082, 1114, 1184)"
        " WHERE a.attnum IS NULL)) THEN relpartbound END",
    },
    "pg_catalog.pg_partitioned_table": {
        "partdefid": f"CASE WHEN partdefid {SHOWN} THEN partdefid ELSE 0::pg_catalog.oid END"
    },
    "pg_catalog.pg_attribute": {"attmissingval": "NULL::pg_catalog.anyarray"},
    "pg_catalog.pg_database": {
        "datfrozenxid": "'0'::pg_catalog.xid", "datminmxid": "'0'::pg_catalog.xid",
        "datacl": "NULL::pg_catalog.aclitem[]",
        "datlastsysoid": "0::pg_catalog.oid",
    },
    "pg_catalog.pg_sequences": {"last_value": "NULL::pg_catalog.int8"},
    "pg_catalog.pg_roles": {
        "rolpassword": "NULL::pg_catalog.text", "rolconfig": "NULL::pg_catalog.text[]",
        "rolvaliduntil": "NULL::pg_catalog.timestamptz", "rolconnlimit": "-1",
    },
    "pg_catalog.pg_user": {
        "passwd": "NULL::pg_catalog.text", "useconfig": "NULL::pg_catalog.text[]",
        "valuntil": "NULL::pg_catalog.timestamptz",
    },
    "pg_catalog.pg_settings": {
        "setting": f"CASE name WHEN 'application_name' THEN {UNLABELLED.format('setting')} ELSE setting END",
        "reset_val": "CASE name WHEN 'application_name' THEN '' ELSE reset_val END",
        "sourcefile": "NULL::pg_catalog.text", "sourceline": "NULL::pg_catalog.int4",
    },
    "pg_catalog.pg_stat_activity": {
        "pid": "'$process'::pg_catalog.int4", "query": "'$query'::pg_catalog.text",
        "application_name": UNLABELLED.format("application_name"),
        "leader_pid": "NULL::pg_catalog.int4", "client_addr": "NULL::pg_catalog.inet",
        "client_hostname": "NULL::pg_catalog.text", "client_port": "(-1)", "backend_start": "xact_start",
        "backend_xid": "NULL::pg_catalog.xid", "backend_xmin": "NULL::pg_catalog.xid",
        "query_id": "NULL::pg_catalog.int8", "wait_event": "NULL::pg_catalog.text",
        "wait_event_type": "NULL::pg_catalog.text",
    },
    "pg_catalog.pg_locks": {
        "pid": "'$process'::pg_catalog.int4", "virtualxid": "NULL::pg_catalog.text",
        "transactionid": "NULL::pg_catalog.xid", "virtualtransaction": "NULL::pg_catalog.text",
    },
}  # fmt: skip
# Of a tenant with a schema of its own: privileges name the roles of others, but on what is its own; and of what is its
# own nothing else need be hidden that others share in row mode. "" shows the column as it is.
ME = "(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = current_user)"
GRANTED = "CASE WHEN {} = " + ME + " THEN {} END"
BESIDE = {
    "pg_catalog.pg_class": {
        "relacl": GRANTED.format("relowner", "relacl"), "relrowsecurity": "", "relforcerowsecurity": "",
        "relpartbound": "",
    },
    "pg_catalog.pg_attribute": {
        "attacl": f"CASE WHEN attrelid IN (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relowner = {ME})"
        " THEN attacl END"
    },
    "pg_catalog.pg_namespace": {"nspacl": GRANTED.format("nspowner", "nspacl")},
    "pg_catalog.pg_proc": {"proacl": GRANTED.format("proowner", "proacl")},
    "pg_catalog.pg_type": {"typacl": GRANTED.format("typowner", "typacl")},
    "pg_catalog.pg_language": {"lanacl": "NULL::pg_catalog.aclitem[]"},
    "pg_catalog.pg_tablespace": {"spcacl": "NULL::pg_catalog.aclitem[]"},
    "pg_catalog.pg_sequences": {"last_value": ""},
}  # fmt: skip
# Functions that tell the same: what stands in a call's place.
FUNCTIONS = {
    "pg_tablespace_location": "''::pg_catalog.text",
    "pg_is_in_recovery": "false",
    "current_query": "'$query'::pg_catalog.text",
}
# Sizes are of everybody's rows, constraints of list partitions have everybody's keys. psql asks for them of each
# relation that it lists, and may go on without; who asks for one by name is told that it may not.
OF_COLUMNS = {
    "pg_get_partition_constraintdef": "NULL::pg_catalog.text",
    **dict.fromkeys(
        ("pg_database_size", "pg_indexes_size", "pg_relation_size", "pg_table_size", "pg_tablespace_size",
         "pg_total_relation_size"),
        "NULL::pg_catalog.int8",
    ),
}  # fmt: skip

# Functions of FROM: counters of sequences, which pg_dump 18 asks for whether it dumps them or not.
IN_FROM = {"pg_get_sequence_data": "SELECT NULL::pg_catalog.int8 AS last_value, false AS is_called OFFSET 0"}

COLUMNS = """SELECT n.nspname || '.' || c.relname || '.' || a.attname,
       pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.typname),
       pg_catalog.has_column_privilege(c.oid, a.attnum, 'select')
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace tn ON tn.oid = t.typnamespace
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.oid < 16384 AND c.relkind IN ('r', 'v') ORDER BY c.oid, a.attnum"""


def main(lines: Iterable[str]) -> None:
    """Prints the data; `lines` are what COLUMNS gave, of one server after the other."""
    found: dict[str, dict[str, str]] = {name: {} for name in WHERE}
    readable: dict[str, bool] = {}
    for line in lines:
        full, kind, may = line.split()
        schema, relation, column = full.split(".", 2)
        name = f"{schema}.{relation}"
        readable[name] = readable.get(name, False) or may == "t"
        if name in found:
            found[name][column] = f"NULL::{kind}" if WHERE[name] == NOTHING else ""
    for name, masks in MASK.items():
        found[name].update(masks)
    data = {
        "relations": {
            name: {"columns": found[name], "where": where} | ({"with": WITH} if "FROM seen" in where else {})
            for name, where in sorted(WHERE.items())
        },
        "denied": sorted(
            name for name, may in readable.items() if name not in WHERE and (DENIED.match(name) or not may)
        ),
        "functions": FUNCTIONS,
        "of_columns": OF_COLUMNS,
        "in_from": IN_FROM,
        "beside": BESIDE,
    }
    json.dump(data, sys.stdout, indent=0)
    print()


if __name__ == "__main__":
    main(sys.stdin)
