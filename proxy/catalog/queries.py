"""The queries of introspect.py: text only, all names qualified, columns in the order of the model's fields.

"char" columns are cast to text, because drivers disagree on them. Objects of temporary schemas are left out
everywhere: they are other sessions' and come and go.
"""

from __future__ import annotations

DATABASE = """
SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
       pg_catalog.current_database()::pg_catalog.text AS database
"""

SCHEMAS = r"""
SELECT nspname AS name FROM pg_catalog.pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_' ORDER BY nspname
"""

EXTENSIONS = "SELECT extname AS name, extversion AS version FROM pg_catalog.pg_extension ORDER BY extname"

MEMBERS = """
SELECT CASE d.classid WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN 'function' ELSE 'type' END AS catalog,
       d.objid AS object, e.extname AS name
  FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
 WHERE d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
   AND d.classid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)
"""

# pg_get_viewdef and pg_get_expr are slow, and the server's own views are classified by name: theirs are left empty.
RELATIONS = r"""
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::pg_catalog.text AS kind, c.reltype AS row_type,
       c.relispartition AS is_partition, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS owner,
       CASE WHEN c.relkind IN ('v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
            THEN COALESCE(pg_catalog.pg_get_viewdef(c.oid), '') ELSE '' END AS definition,
       CASE WHEN c.relkind = 'v' AND c.reloptions IS NOT NULL THEN COALESCE(
              (SELECT o.option_value::pg_catalog.bool FROM pg_catalog.pg_options_to_table(c.reloptions) o
                WHERE o.option_name = 'security_invoker'), false) ELSE false END AS security_invoker,
       c.relhasrules AND EXISTS (SELECT FROM pg_catalog.pg_rewrite r
                                  WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') AS rules,
       c.relrowsecurity AS row_security
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
 ORDER BY c.oid
"""

# attnotnull of PostgreSQL 18 is true for a NOT NULL constraint that is NOT VALID, too: rows may hold NULL then.
COLUMNS = """
SELECT a.attrelid, a.attnum::pg_catalog.int4, a.attname, a.atttypid, a.atttypmod, a.attcollation,
       a.attnotnull AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'n'
            AND NOT k.convalidated AND k.conkey = ARRAY[a.attnum]),
       a.attgenerated::pg_catalog.text, a.attidentity::pg_catalog.text,
       CASE WHEN a.atthasdef AND c.relnamespace NOT IN
                 ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
            THEN COALESCE((SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attrdef d
                            WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum), '') ELSE '' END
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
 WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
   AND c.relpersistence <> 't'
 ORDER BY a.attrelid, a.attnum
"""

# Unique indexes with and without a constraint, and exclusion constraints (which is what WITHOUT OVERLAPS is, too).
# equal: for each column of an exclusion, whether its operator is the equality of some B-tree.
KEYS = """
SELECT i.indrelid AS relation, c.relname AS name,
       CASE WHEN i.indisexclusion THEN 'x' WHEN k.contype IS NULL THEN 'i' ELSE k.contype::pg_catalog.text END AS kind,
       i.indkey::pg_catalog.int2[] AS columns, i.indnkeyatts::pg_catalog.int4 AS key_columns,
       i.indpred IS NOT NULL AS partial, COALESCE(k.condeferrable, false) AS deferrable,
       i.indisvalid AND i.indisready AS valid,
       CASE WHEN i.indisexclusion THEN ARRAY(
         SELECT EXISTS (SELECT FROM pg_catalog.pg_amop m JOIN pg_catalog.pg_am t ON t.oid = m.amopmethod
                         WHERE m.amopopr = o.oid AND m.amopstrategy = 3 AND t.amname = 'btree')
           FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY o(oid, place) ORDER BY o.place) END AS equal
  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
  LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
       AND k.contype IN ('p', 'u', 'x')
 WHERE (i.indisunique OR i.indisexclusion) AND c.relpersistence <> 't'
 ORDER BY i.indrelid, c.relname
"""

# A key that references a partitioned table has a row for each partition, too; those say nothing new.
FOREIGN_KEYS = """
SELECT k.conrelid AS relation, k.conname AS name, k.conkey AS columns, k.confrelid AS references,
       k.confkey AS referenced, k.confdeltype::pg_catalog.text AS on_delete, k.confupdtype::pg_catalog.text AS on_update
  FROM pg_catalog.pg_constraint k
 WHERE k.contype = 'f' AND NOT EXISTS (
         SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)
 ORDER BY k.conrelid, k.conname
"""

PARENTS = """
SELECT i.inhrelid AS relation, i.inhparent AS parent
  FROM pg_catalog.pg_inherits i ORDER BY i.inhrelid, i.inhseqno
"""

TRIGGERS = """
SELECT t.tgrelid AS relation, t.tgname AS name, t.tgtype & 2 <> 0 AS before
  FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal ORDER BY t.tgrelid, t.tgname
"""

READS = """
SELECT DISTINCT r.ev_class AS relation, d.refobjid AS read
  FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
    ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = r.oid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class
  JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
 WHERE c.relkind IN ('v', 'm') AND r.rulename = '_RETURN'
   AND c.relnamespace NOT IN ('pg_catalog'::pg_catalog.regnamespace, 'information_schema'::pg_catalog.regnamespace)
 ORDER BY 1, 2
"""

BYPASSING = "SELECT rolname::pg_catalog.text AS name FROM pg_catalog.pg_roles WHERE rolsuper OR rolbypassrls ORDER BY 1"

TYPES = r"""
SELECT t.oid, n.nspname AS schema, t.typname AS name, t.typtype::pg_catalog.text AS kind,
       t.typcategory::pg_catalog.text AS category, t.typbasetype AS base,
       CASE WHEN t.typlen = -1 AND t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc
            THEN t.typelem ELSE 0::pg_catalog.oid END AS element,
       t.typarray AS array, t.typrelid AS relation, COALESCE(r.rngsubtype, 0::pg_catalog.oid) AS subtype,
       t.typcollation AS collation,
       t.typtype = 'd' AND (t.typnotnull OR EXISTS (
         SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid)) AS checked,
       t.typispreferred AS preferred
  FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_range r ON t.oid IN (r.rngtypid, r.rngmultitypid) AND t.typtype IN ('r', 'm')
 WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
 ORDER BY t.oid
"""

FUNCTIONS = r"""
SELECT p.oid, n.nspname AS schema, p.proname AS name, p.prokind::pg_catalog.text, p.proargtypes::pg_catalog.oid[],
       p.prorettype, p.proretset, p.provolatile::pg_catalog.text, p.proleakproof, p.proisstrict, p.prosecdef,
       p.procost::pg_catalog.float8, l.lanname::pg_catalog.text, p.provariadic, p.pronargdefaults::pg_catalog.int4,
       pg_catalog.pg_get_userbyid(p.proowner)::pg_catalog.text
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE n.nspname !~ '^pg_(toast_)?temp_'
 ORDER BY p.oid
"""

OPERATORS = r"""
SELECT o.oid, n.nspname AS schema, o.oprname AS name, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid
  FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
 WHERE o.oprcode <> 0::pg_catalog.oid AND n.nspname !~ '^pg_(toast_)?temp_'
 ORDER BY o.oid
"""

CASTS = """
SELECT castsource, casttarget, castfunc, castcontext::pg_catalog.text, castmethod::pg_catalog.text
  FROM pg_catalog.pg_cast ORDER BY castsource, casttarget
"""

COLLATIONS = r"""
SELECT c.oid, n.nspname, c.collname, c.collisdeterministic
  FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
 WHERE c.collencoding IN (-1, pg_catalog.pg_char_to_encoding(pg_catalog.getdatabaseencoding()))
   AND n.nspname !~ '^pg_(toast_)?temp_'
 ORDER BY c.oid, c.collencoding
"""

ORDERING_OPERATORS = """
SELECT DISTINCT amopopr AS operator FROM pg_catalog.pg_amop WHERE amoppurpose = 'o' ORDER BY amopopr
"""

# The volatile functions of pg_catalog that what is stored in the database calls: views, rules, defaults, checks,
# policies, triggers' conditions, operators and casts of its own. A tree of nodes has the functions' numbers; a view of
# pg_settings is as good as set_config(). What a default draws from a sequence is known.
STORED = r"""
SELECT DISTINCT p.proname::pg_catalog.text AS name FROM (
  SELECT (pg_catalog.regexp_matches(s.tree, ':funcid (\d+)', 'g'))[1]::pg_catalog.oid AS oid, s.gives FROM (
    SELECT pg_catalog.concat(r.ev_action::pg_catalog.text, r.ev_qual::pg_catalog.text) AS tree, false AS gives
      FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
    UNION ALL SELECT d.adbin::pg_catalog.text, true FROM pg_catalog.pg_attrdef d
    UNION ALL SELECT t.typdefaultbin::pg_catalog.text, true FROM pg_catalog.pg_type t
    UNION ALL SELECT k.conbin::pg_catalog.text, false FROM pg_catalog.pg_constraint k
    UNION ALL SELECT t.tgqual::pg_catalog.text, false FROM pg_catalog.pg_trigger t
    UNION ALL SELECT pg_catalog.concat(y.polqual::pg_catalog.text, y.polwithcheck::pg_catalog.text), false
      FROM pg_catalog.pg_policy y) s
  UNION ALL
  SELECT o.oprcode, false FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
   WHERE n.nspname <> 'pg_catalog'
  UNION ALL
  SELECT c.castfunc, false FROM pg_catalog.pg_cast c WHERE c.oid >= 16384) f
  JOIN pg_catalog.pg_proc p ON p.oid = f.oid
 WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.provolatile = 'v'
   AND NOT (f.gives AND p.proname = 'nextval')
UNION
SELECT 'set_config' FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
   AND r.ev_action::pg_catalog.text
       ~ (':relid ' || 'pg_catalog.pg_settings'::pg_catalog.regclass::pg_catalog.oid || '\M')
ORDER BY 1
"""

# Every catalog that is read above, by what identifies a row. A row's xmin is the transaction that wrote it: it is new
# after each INSERT and UPDATE, survives freezing, and is untouched by the in-place updates of VACUUM and ANALYZE.
_FINGERPRINTED = {
    "pg_namespace": "oid",
    "pg_class": "oid",
    "pg_attribute": "attrelid || '.' || attnum",
    "pg_attrdef": "oid",
    "pg_constraint": "oid",
    "pg_index": "indexrelid",
    "pg_inherits": "inhrelid || '.' || inhparent",
    "pg_trigger": "oid",
    "pg_rewrite": "oid",
    "pg_policy": "oid",
    "pg_type": "oid",
    "pg_range": "rngtypid",
    "pg_proc": "oid",
    "pg_operator": "oid",
    "pg_cast": "oid",
    "pg_collation": "oid",
    "pg_amop": "oid",
    "pg_extension": "oid",
    "pg_depend": "classid || '.' || objid || '.' || refobjid",
}


def _fingerprint(catalogs: dict[str, str], where: dict[str, str]) -> str:
    return (
        "SELECT pg_catalog.string_agg(pg_catalog.concat(q.rows, ':', q.hash), ',' ORDER BY q.place) FROM ("  # noqa: S608 - names from above
        + " UNION ALL ".join(
            f"SELECT {place} AS place, pg_catalog.count(*) AS rows, "  # noqa: S608 - as above
            f"pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat({identity}, ' ', xmin), 0)) AS hash "
            f"FROM pg_catalog.{catalog}" + (f" WHERE {where[catalog]}" if catalog in where else "")
            for place, (catalog, identity) in enumerate(catalogs.items())
        )
        + ") q"
    )


FINGERPRINT = _fingerprint(_FINGERPRINTED, {"pg_depend": "deptype = 'e'"})

# ---- of some schemas, $1: what many tenants have beside each other must not be read by each of them

_homes = "ARRAY(SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::pg_catalog.name[]))"
_here = "ANY (ARRAY(SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = ANY (" + _homes + ")))"  # noqa: S608 - names from above
_within = {
    "pg_namespace": "nspname = ANY ($1::pg_catalog.name[])",
    "pg_class": f"relnamespace = ANY ({_homes})",
    "pg_attribute": f"attrelid = {_here}",
    "pg_attrdef": f"adrelid = {_here}",
    "pg_constraint": f"connamespace = ANY ({_homes})",
    "pg_index": f"indrelid = {_here}",
    "pg_inherits": f"inhrelid = {_here}",
    "pg_trigger": f"tgrelid = {_here}",
    "pg_rewrite": f"ev_class = {_here}",
    "pg_policy": f"polrelid = {_here}",
    "pg_type": f"typnamespace = ANY ({_homes})",
    "pg_proc": f"pronamespace = ANY ({_homes})",
    "pg_operator": f"oprnamespace = ANY ({_homes})",
    "pg_collation": f"collnamespace = ANY ({_homes})",
}
SCOPED_FINGERPRINT = _fingerprint(_FINGERPRINTED, {"pg_depend": "deptype = 'e'", **_within})

# ---- of each schema by itself; what stands in no schema is everybody's, and not looked at for each tenant

FINGERPRINTED_RELATIONS = """
SELECT ARRAY(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname = ANY ($1::pg_catalog.name[]))
"""
_IN_SCHEMA = {
    "pg_namespace": "oid",
    "pg_class": "relnamespace",
    "pg_constraint": "connamespace",
    "pg_type": "typnamespace",
    "pg_proc": "pronamespace",
    "pg_operator": "oprnamespace",
    "pg_collation": "collnamespace",
}
_OF_RELATION = {
    "pg_attribute": "attrelid",
    "pg_attrdef": "adrelid",
    "pg_index": "indrelid",
    "pg_inherits": "inhrelid",
    "pg_trigger": "tgrelid",
    "pg_rewrite": "ev_class",
    "pg_policy": "polrelid",
}
_schemas = "(SELECT n.oid AS home FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::pg_catalog.name[]))"
_relations = (
    "(SELECT c.oid AS relation, c.relnamespace AS home FROM pg_catalog.pg_class c"  # noqa: S608 - names from above
    f" WHERE c.relnamespace = ANY ({_homes}))"
)


def _part(place: int, source: str) -> str:
    """The mark of one catalog for each schema, as `home`; source: its rows, and whose."""
    return (
        f"SELECT {place} AS place, home, pg_catalog.count(*) AS rows, pg_catalog.sum(pg_catalog.hashtextextended("  # noqa: S608 - names from above
        f"pg_catalog.concat(s.mark, ' ', s.written), 0)) AS hash FROM ({source}) s GROUP BY home"
    )


def _parts(known: bool) -> str:
    """One text for each schema. known: of one, whose relations are $2: found by indexes; else of many, in one go."""
    texts = []
    for place, (catalog, column) in enumerate({**_IN_SCHEMA, **_OF_RELATION}.items()):
        row = f"SELECT {{home}} AS home, {_FINGERPRINTED[catalog]} AS mark, xmin AS written FROM pg_catalog.{catalog}"  # noqa: S608
        if catalog in _IN_SCHEMA:
            source = row.format(home=column) + f" WHERE {column} = ANY ({_homes})"
        elif known:
            source = row.format(home=_homes.removeprefix("ARRAY")) + f" WHERE {column} = ANY ($2::pg_catalog.oid[])"
        else:
            row = row.replace(_FINGERPRINTED[catalog], _FINGERPRINTED[catalog].replace("oid", f"{catalog}.oid", 1))
            source = row.format(home="r.home") + f" JOIN {_relations} r ON r.relation = {column}"
            source = source.replace("xmin AS", f"{catalog}.xmin AS")
        texts.append(_part(place, source))
    every = " UNION ALL ".join(texts)
    return (
        "SELECT n.nspname, pg_catalog.string_agg(pg_catalog.concat(q.place, ':', q.rows, ':', q.hash), ','"  # noqa: S608
        f" ORDER BY q.place) FROM ({every}) q JOIN pg_catalog.pg_namespace n ON n.oid = q.home GROUP BY n.nspname"
    )


PART_FINGERPRINT, PART_FINGERPRINTS = _parts(known=True), _parts(known=False)


def scoped(query: str, column: str) -> str:
    """The rows of one of the queries above whose `column`, an OID or a schema's name, is in the array $1."""
    kind = "oid" if column in ("relation", "attrelid") else "name"
    return f"SELECT q.* FROM ({query}) q WHERE q.{column} = ANY ($1::pg_catalog.{kind}[])"  # noqa: S608 - names from here
