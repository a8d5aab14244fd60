"""Writes proxy/tenancy/extensions.json: what may be called of an extension that the rules list.

    python -m proxy.sql.data.generate_extensions --queries NAME | psql -XqAt … | python -m … > FILE

over servers with the extensions, their answers one after the other; an extension's versions are joined. Everything that
computes from its arguments stays; what was left out stands here, reviewed by hand: it takes names or SQL, changes
objects or settings, or tells of rows and statistics that no policy has looked at.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable

REVIEWED = ("citext", "pg_trgm", "hstore", "uuid-ossp", "pgcrypto", "vector", "postgis")
# Nobody's arguments: support functions of indexes and planner, type input and output, triggers.
INTERNAL = frozenset({
    "internal", "cstring", "_cstring", "index_am_handler", "trigger", "event_trigger", "regclass", "regproc", "regtype", "regrole",
})  # fmt: skip
# VOLATILE because they draw at random, and for nothing else.
DICE = {
    "pgcrypto": frozenset({
        "gen_salt", "gen_random_bytes", "gen_random_uuid", "pgp_sym_encrypt", "pgp_sym_encrypt_bytea",
        "pgp_pub_encrypt", "pgp_pub_encrypt_bytea",
    }),
    "uuid-ossp": frozenset({"uuid_generate_v1", "uuid_generate_v1mc", "uuid_generate_v4"}),
    "postgis": frozenset({"st_generatepoints"}),
}  # fmt: skip
REFUSED = {
    "pg_trgm": frozenset({"set_limit"}),  # a setting that outlives the lease
    "hstore": frozenset({"populate_record"}),  # any type's input function, by the row type that is given
    # These read a table's statistics or run SQL made of names; spatial_ref_sys is a relation of the rules.
    "postgis": frozenset({
        "st_estimatedextent", "st_findextent", "st_fromflatgeobuf", "st_fromflatgeobuftotable", "find_srid",
        "geometrytype_name", "postgis_index_supportfn", "pgis_geometry_accum_transfn",
    }),
}  # fmt: skip
TYPES = {"int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean", "varchar": "character varying"}
SAFE_LANGUAGES = ("c", "internal", "sql")


def query(name: str) -> str:
    """What to ask a server; nothing stays there."""
    return f"""
    BEGIN; SET LOCAL client_min_messages = error; CREATE EXTENSION "{name}" SCHEMA public;
    SELECT '{name}', p.proname, l.lanname, p.provolatile, p.prosecdef OR p.proconfig IS NOT NULL, r.typname,
      (SELECT coalesce(string_agg(t.typname, ',' ORDER BY place), '')
         FROM unnest(p.proargtypes) WITH ORDINALITY AS a(id, place) JOIN pg_type t ON t.oid = a.id)
      FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = '{name}'
      JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang JOIN pg_type r ON r.oid = p.prorettype
     WHERE d.deptype = 'e' AND d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_extension'::regclass ORDER BY 2, 7;
    ROLLBACK;"""


def gathered(lines: Iterable[str]) -> dict[str, list[str]]:
    """extension -> name(type,…) of its functions that may be called; `lines` are what the servers said."""
    found: dict[str, set[str]] = {name: set() for name in REVIEWED}
    for line in lines:
        extension, name, language, volatility, special, result, arguments = line.rstrip("\n").split("|")
        types = [one for one in arguments.split(",") if one]
        if language not in SAFE_LANGUAGES or special == "t" or name in REFUSED.get(extension, ()):
            continue
        if INTERNAL & {result, *types} or (
            "record" in types and name != "hstore"
        ):  # hstore(record) is as row_to_json()
            continue
        if volatility == "v" and name not in DICE.get(extension, ()):
            continue
        if extension == "postgis" and name.startswith(("_", "pgis_", "postgis_", "add", "drop", "update", "lock")):
            continue
        found[extension].add(f"{name}({','.join(TYPES.get(one, one) for one in types)})")
    return {name: sorted(some) for name, some in found.items()}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--queries"]:
        print(query(sys.argv[2]))
    else:
        json.dump(gathered(sys.stdin), sys.stdout, indent=0)
        print()
