"""The queries of facts.py, own.py and own_schema.py: text only. Each asks about many roles at once.

$1 holds the names of roles; what a role reaches through others counts, inherited or not, because SET ROLE reaches it.
Where thousands of roles meet thousands of objects, privileges are read from the lists themselves and not asked for one
by one. Nothing is asked that an ordinary role could not see. Sources: PostgreSQL documentation, "System Catalogs",
"Privileges".
"""

from __future__ import annotations

ROLES = """
SELECT r.rolname::pg_catalog.text AS name, r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
       pg_catalog.current_database()::pg_catalog.text AS database,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
       pg_catalog.current_setting('server_encoding') AS encoding,
       pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CREATE') AS create_schema,
       pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'TEMPORARY') AS temporary
  FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1::pg_catalog.name[])
"""

_REACH = """
WITH RECURSIVE reach(root, oid) AS (
  SELECT r.oid, m.roleid FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles r ON r.oid = m.member
   WHERE r.rolname = ANY ($1::pg_catalog.name[])
  UNION
  SELECT reach.root, m.roleid FROM pg_catalog.pg_auth_members m JOIN reach ON reach.oid = m.member)"""

# Memberships, direct and through others.
MEMBERSHIPS = f"""{_REACH}, owners(oid) AS (
  SELECT c.relowner FROM pg_catalog.pg_class c UNION SELECT n.nspowner FROM pg_catalog.pg_namespace n
  UNION SELECT p.proowner FROM pg_catalog.pg_proc p UNION SELECT d.datdba FROM pg_catalog.pg_database d)
SELECT pg_catalog.pg_get_userbyid(reach.root)::pg_catalog.text AS role, r.rolname::pg_catalog.text AS name,
       r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication AS powerful,
       r.oid IN (SELECT o.oid FROM owners o) AS owner
  FROM reach JOIN pg_catalog.pg_roles r ON r.oid = reach.oid ORDER BY 1, 2
"""

# $2: for each role, the schema that is its own, or "". Everything in reach that a role owns, but what is in that.
OWNED = r"""
SELECT r.rolname::pg_catalog.text AS role, o.kind, o.name
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.name[]),
                     pg_catalog.unnest($2::pg_catalog.name[])) t(role, own)
  JOIN pg_catalog.pg_roles r ON r.rolname = t.role
  JOIN (
  SELECT 'TABLE' AS kind, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, c.relowner AS owner, n.nspname
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
  UNION ALL
  SELECT 'SCHEMA', pg_catalog.quote_ident(n.nspname), n.nspowner, NULL FROM pg_catalog.pg_namespace n
   WHERE n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 'ROUTINE', p.oid::pg_catalog.regprocedure::pg_catalog.text, p.proowner, n.nspname
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
   WHERE n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_(toast_)?temp_'
  UNION ALL
  SELECT 'DATABASE', pg_catalog.quote_ident(d.datname), d.datdba, NULL FROM pg_catalog.pg_database d
) o(kind, name, owner, schema) ON o.owner = r.oid AND o.schema IS DISTINCT FROM t.own
ORDER BY 1, 2, 3
"""

CREATABLE = r"""
SELECT r.rolname::pg_catalog.text AS role, pg_catalog.quote_ident(n.nspname) AS name
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_namespace n
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND n.nspname !~ '^pg_(toast_)?temp_'
   AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') ORDER BY 1, 2
"""

# role: "" for all roles.
SETTINGS = """
SELECT COALESCE(r.rolname::pg_catalog.text, '') AS role, pg_catalog.split_part(setting, '=', 1) AS name,
       s.setdatabase <> 0::pg_catalog.oid AS of_database
  FROM pg_catalog.pg_db_role_setting s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS setting
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
 WHERE (s.setrole = 0::pg_catalog.oid OR r.rolname = ANY ($1::pg_catalog.name[]))
   AND (s.setdatabase = 0::pg_catalog.oid
        OR s.setdatabase = (SELECT d.oid FROM pg_catalog.pg_database d
                             WHERE d.datname = pg_catalog.current_database()))
 ORDER BY 2, 1, 3
"""

# Who can write there can say who a tenant is; who can read there knows all verifiers.
RULES = """
SELECT r.rolname::pg_catalog.text AS role
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND NOT r.rolsuper
   AND n.nspname = 'partywall' AND c.relname = 'tenants'
   AND (pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')
        OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE'))
"""

# $2: names of functions of pg_catalog.
FUNCTIONS = """
SELECT r.rolname::pg_catalog.text AS role, p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_roles r CROSS JOIN pg_catalog.pg_proc p
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND NOT r.rolsuper
   AND ((p.proname = ANY ($2::pg_catalog.name[]) AND p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace)
        OR p.proname LIKE 'dblink%')
   AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')
 ORDER BY 1, 2
"""

FOREIGN = """
SELECT r.rolname::pg_catalog.text AS role, o.kind, o.name FROM pg_catalog.pg_roles r CROSS JOIN LATERAL (
  SELECT 'SERVER', s.srvname::pg_catalog.text FROM pg_catalog.pg_foreign_server s
   WHERE pg_catalog.has_server_privilege(r.oid, s.oid, 'USAGE')
  UNION ALL
  SELECT 'DATA WRAPPER', w.fdwname::pg_catalog.text FROM pg_catalog.pg_foreign_data_wrapper w
   WHERE pg_catalog.has_foreign_data_wrapper_privilege(r.oid, w.oid, 'USAGE')) o(kind, name)
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND NOT r.rolsuper
 ORDER BY 1, 2, 3
"""

DATABASES = """
SELECT r.rolname::pg_catalog.text AS role, d.datname::pg_catalog.text AS name
  FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_database d ON d.datdba = r.oid
 WHERE r.rolname = ANY ($1::pg_catalog.name[]) AND NOT r.rolsuper AND d.datname <> pg_catalog.current_database()
 ORDER BY 1, 2
"""

# The roles whose privileges a role has: itself, everybody (0), and what it is a member of. $2: as for OWNED.
_GRANTEES = f"""{_REACH}, self(role, own, oid) AS (
  SELECT r.rolname, t.own, r.oid
    FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.name[]),
                     pg_catalog.unnest($2::pg_catalog.name[])) t(role, own)
    JOIN pg_catalog.pg_roles r ON r.rolname = t.role),
grantee(role, own, oid) AS (
  SELECT s.role, s.own, s.oid FROM self s
  UNION ALL SELECT s.role, s.own, 0::pg_catalog.oid FROM self s
  UNION ALL SELECT s.role, s.own, reach.oid FROM self s JOIN reach ON reach.root = s.oid)"""

# Of each role: is its schema there, and may it use it?
OWN = f"""{_GRANTEES}
SELECT g.role::pg_catalog.text AS role, n.nspname IS NOT NULL AS present,
       COALESCE(pg_catalog.has_schema_privilege(g.role, n.oid, 'USAGE'), false) AS usable
  FROM self g LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = g.own
"""

# $3: the shared schemas, which may be read.
REACHED = rf"""{_GRANTEES}, granted(name, privilege, oid) AS (
  SELECT n.nspname, a.privilege_type, a.grantee
    FROM pg_catalog.pg_namespace n CROSS JOIN LATERAL pg_catalog.aclexplode(
           COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) a
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast_)?temp_')
SELECT g.role::pg_catalog.text AS role, a.name::pg_catalog.text AS name,
       pg_catalog.bool_or(a.privilege = 'CREATE') AS creates
  FROM grantee g JOIN granted a ON a.oid = g.oid
 WHERE a.name <> g.own AND (a.privilege = 'CREATE' OR a.name <> ALL ($3::pg_catalog.name[]))
 GROUP BY 1, 2 ORDER BY 1, 2
"""

# $3: as above. What may be done to what stands there, but reading it.
WRITABLE = f"""{_GRANTEES}, granted(name, sequence, privilege, oid) AS (
  SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind = 'S', a.privilege_type, a.grantee
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
      SELECT e.privilege_type, e.grantee FROM pg_catalog.aclexplode(COALESCE(c.relacl, pg_catalog.acldefault(
               (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::pg_catalog."char", c.relowner))) e
      UNION ALL
      SELECT e.privilege_type, e.grantee FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) e
       WHERE t.attrelid = c.oid) a
   WHERE n.nspname = ANY ($3::pg_catalog.name[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
     AND a.privilege_type <> 'SELECT')
SELECT g.role::pg_catalog.text AS role, a.name, a.sequence, pg_catalog.array_agg(DISTINCT a.privilege) AS privileges
  FROM grantee g JOIN granted a ON a.oid = g.oid
 GROUP BY 1, 2, 3 ORDER BY 1, 2
"""

# $3: as above. Functions there and in the role's own schema that act as somebody else.
DEFINERS = f"""{_GRANTEES}
SELECT g.role::pg_catalog.text AS role, p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN self g ON n.nspname = g.own OR n.nspname = ANY ($3::pg_catalog.name[])
 WHERE p.prosecdef AND n.nspname <> 'pg_catalog' AND p.proowner <> g.oid
   AND pg_catalog.has_function_privilege(g.oid, p.oid, 'EXECUTE')
 ORDER BY 1, 2
"""

# Foreign keys from tables of the role's own schema to shared ones. cast: of a column whose type is the tenant's
# own, so that what compares it may be its code. A domain is compared as its base type.
KEYS = f"""{_GRANTEES}
SELECT g.role::pg_catalog.text AS role, pg_catalog.format('%I.%I', g.own, c.relname) AS name,
       pg_catalog.quote_ident(k.conname) AS key, k.confrelid::pg_catalog.regclass::pg_catalog.text AS shared,
       pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS version,
       EXISTS (SELECT FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
                WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND t.typtype <> 'd'
                  AND t.typnamespace = n.oid) AS cast
  FROM self g JOIN pg_catalog.pg_namespace n ON n.nspname = g.own
  JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid
  JOIN pg_catalog.pg_class o ON o.oid = k.confrelid JOIN pg_catalog.pg_namespace s ON s.oid = o.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND s.nspname = ANY ($3::pg_catalog.name[])
 ORDER BY 1, 2, 3
"""
