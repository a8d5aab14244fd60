"""What hangs on a tenant's schema, goes with what is dropped there, and is in no archive of it.

Promises: looked for before anything is dropped, and nothing is changed. What nobody could give back by one statement
that is safe for an operator (casts and transforms, which are the tenant's code, and places in publications, which may
have filters) is Refused, by name. Grants to other roles are told, as statements that the server's own words make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# What an extension brought, and the cast that each range type has, come and go with these.
HANGING = """
WITH n AS (SELECT s.oid FROM pg_catalog.pg_namespace s WHERE s.nspname = $1),
t AS (SELECT y.oid FROM pg_catalog.pg_type y JOIN n ON n.oid = y.typnamespace),
p AS (SELECT f.oid FROM pg_catalog.pg_proc f JOIN n ON n.oid = f.pronamespace),
found AS (
  SELECT 'pg_catalog.pg_cast'::pg_catalog.regclass AS class, k.oid FROM pg_catalog.pg_cast k
   WHERE k.castsource IN (SELECT t.oid FROM t) OR k.casttarget IN (SELECT t.oid FROM t)
      OR k.castfunc IN (SELECT p.oid FROM p)
  UNION ALL SELECT 'pg_catalog.pg_transform'::pg_catalog.regclass, r.oid FROM pg_catalog.pg_transform r
   WHERE r.trftype IN (SELECT t.oid FROM t) OR r.trffromsql::pg_catalog.oid IN (SELECT p.oid FROM p)
      OR r.trftosql::pg_catalog.oid IN (SELECT p.oid FROM p)
  UNION ALL SELECT 'pg_catalog.pg_publication_rel'::pg_catalog.regclass, r.oid FROM pg_catalog.pg_publication_rel r
    JOIN pg_catalog.pg_class c ON c.oid = r.prrelid JOIN n ON n.oid = c.relnamespace)
SELECT i.type || ' ' || i.identity AS name
  FROM found o CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype IN ('e', 'i'))
 ORDER BY 1
"""
# PUBLIC may call routines and use types without a grant, so only tables and sequences have some to give again.
GRANTS = """
WITH n AS (SELECT s.oid FROM pg_catalog.pg_namespace s WHERE s.nspname = $1),
o AS (
  SELECT 'pg_catalog.pg_class'::pg_catalog.regclass AS class, c.oid, '' AS of, c.relowner AS owner, c.relacl AS acl,
         CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
    FROM pg_catalog.pg_class c JOIN n ON n.oid = c.relnamespace
  UNION ALL SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, pg_catalog.format(' (%I)', a.attname), c.relowner,
         a.attacl, 'TABLE'
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN n ON n.oid = c.relnamespace
   WHERE NOT a.attisdropped
  UNION ALL SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid, '', f.proowner, f.proacl, 'ROUTINE'
    FROM pg_catalog.pg_proc f JOIN n ON n.oid = f.pronamespace
  UNION ALL SELECT 'pg_catalog.pg_type'::pg_catalog.regclass, y.oid, '', y.typowner, y.typacl, 'TYPE'
    FROM pg_catalog.pg_type y JOIN n ON n.oid = y.typnamespace)
SELECT pg_catalog.format('GRANT %s ON %s %s TO %s%s;',
         pg_catalog.string_agg(e.privilege_type || o.of, ', ' ORDER BY e.privilege_type, o.of), o.kind, i.identity,
         CASE e.grantee WHEN 0 THEN 'PUBLIC'
              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.grantee)::pg_catalog.text) END,
         CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) AS statement
  FROM o CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) e
 CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.class, o.oid, 0) i
 WHERE e.grantee <> o.owner AND (e.grantee <> 0 OR o.kind IN ('TABLE', 'SEQUENCE'))
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = o.class AND d.objid = o.oid AND d.deptype = 'e')
 GROUP BY o.kind, i.identity, e.grantee, e.is_grantable
 ORDER BY 1
"""


async def hanging(connection: CatalogConnection, schema: str) -> tuple[str, ...]:
    """What a replace of the schema takes from other roles, as the statements that give it again. Refused as above."""
    names = [row["name"] for row in await connection.fetch(HANGING, schema)]
    if names:
        raise Refused(
            [
                f"on what is in the schema {schema} there hangs what is in no archive: {', '.join(names)}; drop it"
                " before (a table is taken out by ALTER PUBLICATION … DROP TABLE), and make it again afterwards"
            ]
        )
    return tuple(row["statement"] for row in await connection.fetch(GRANTS, schema))
