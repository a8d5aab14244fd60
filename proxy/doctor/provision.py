"""The SQL that makes a tenant's schema and its role at the server: idempotent, for a superuser of the database.

Promises: afterwards the role may define what it likes in its schema, reads the shared ones, and reaches nothing else;
what stands in its schema is its own. Nothing is dropped, and no password is in the text but as a verifier. Pure: random
bytes are an argument. Source: PostgreSQL documentation, "Privileges", "Schemas".
"""

from __future__ import annotations

from proxy.auth.scram import build_verifier
from proxy.tenancy.policy import Grant

ATTRIBUTES = "LOGIN INHERIT NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
# Everything in the schema that has an owner of its own; indexes and row types go with their tables. Not foreign tables:
# who owns one says by its options what is read elsewhere, with the login that it was given. A materialized view keeps
# the rows that another owner could read: they are read anew, with the tenant's rights, or are no more.
TAKE_OVER = """\
DO $provision$ DECLARE one record; stored text[] := '{{}}'; again text; BEGIN
  FOR one IN
    SELECT pg_catalog.format('%s %s', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
             WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END, c.oid::pg_catalog.regclass) AS object
      FROM pg_catalog.pg_class c WHERE c.relnamespace = {schema_text}::pg_catalog.regnamespace
       AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'c') AND c.relowner <> {role_text}::pg_catalog.regrole
       AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid
             AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')))
    UNION ALL
    SELECT pg_catalog.format('%s %s', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
             t.oid::pg_catalog.regtype) FROM pg_catalog.pg_type t
     WHERE t.typnamespace = {schema_text}::pg_catalog.regnamespace AND t.typtype IN ('d', 'e', 'r')
       AND t.typowner <> {role_text}::pg_catalog.regrole
    UNION ALL
    SELECT pg_catalog.format('ROUTINE %s', p.oid::pg_catalog.regprocedure) FROM pg_catalog.pg_proc p
     WHERE p.pronamespace = {schema_text}::pg_catalog.regnamespace AND p.proowner <> {role_text}::pg_catalog.regrole
    UNION ALL
    SELECT pg_catalog.format('%s %s', CASE i.type WHEN 'statistics object' THEN 'STATISTICS' ELSE i.type END,
             i.identity)
      FROM pg_catalog.pg_depend d CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
     WHERE d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
       AND d.refobjid = {schema_text}::pg_catalog.regnamespace::pg_catalog.oid
       AND i.type IN ('collation', 'conversion', 'operator', 'operator class', 'operator family', 'statistics object',
                      'text search configuration', 'text search dictionary')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                        WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_database b ON b.oid = s.dbid
                        WHERE b.datname = pg_catalog.current_database() AND s.classid = d.classid AND s.objid = d.objid
                          AND s.deptype = 'o' AND s.refobjid = {role_text}::pg_catalog.regrole::pg_catalog.oid)
  LOOP
    EXECUTE 'ALTER ' || one.object || ' OWNER TO {role}';
    IF one.object LIKE 'MATERIALIZED VIEW %' THEN stored := stored || one.object; END IF;
  END LOOP;
  FOREACH again IN ARRAY stored LOOP
    BEGIN EXECUTE 'REFRESH ' || again;
    EXCEPTION WHEN others THEN EXECUTE 'REFRESH ' || again || ' WITH NO DATA'; END;
  END LOOP;
END $provision$;
"""


def provision(grant: Grant, salt: bytes) -> str:
    """The statements for one tenant on one database, each idempotent. salt: 16 random bytes, for the password."""
    policy, server = grant.policy, grant.server
    role, schema, database = _name(server.role), _name(policy.schema), _name(server.database)
    schema_text = text_of(_name(policy.schema))
    lines = role_of(grant, salt)
    lines += [
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC;",
        f"GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {role};",
        f"CREATE SCHEMA IF NOT EXISTS {schema};",
        f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;",
        f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role};",
    ]
    if policy.schema != "public":
        what = "CREATE" if "public" in policy.shared_schemas else "ALL"
        lines.append(f"REVOKE {what} ON SCHEMA public FROM PUBLIC;")
    for one in policy.shared_schemas:
        shared = _name(one)
        lines += [
            f"GRANT USAGE ON SCHEMA {shared} TO {role};",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA {shared} TO {role};",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {shared} GRANT SELECT ON TABLES TO {role};",
        ]
    taken = TAKE_OVER.format(
        role=role.replace("'", "''"), role_text=text_of(_name(server.role)), schema_text=schema_text
    )
    return "\n".join([*lines, taken])


def role_of(grant: Grant, salt: bytes) -> list[str]:
    """A tenant's login role, with its password if the rules know one."""
    role, password = _name(grant.server.role), grant.credentials.password
    lines = [
        f"DO $provision$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname ="
        f" {text_of(grant.server.role)}) THEN CREATE ROLE {role}; END IF; END $provision$;",
        f"ALTER ROLE {role} {ATTRIBUTES};",
    ]
    if password is not None:
        lines.append(f"ALTER ROLE {role} PASSWORD {text_of(build_verifier(password, salt))};")
    return lines


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text_of(value: str) -> str:
    """A literal."""
    return "'" + value.replace("'", "''") + "'"
