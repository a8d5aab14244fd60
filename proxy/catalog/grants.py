"""Who holds what in a database, as far as `partywall provision` must know it to grant and revoke no more than needed.

Asks on a connection of catalog.connect; changes nothing. Source: PostgreSQL documentation, "Access Privilege Inquiry
Functions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

_OUTSIDE = r"n.nspname NOT IN ('pg_catalog', 'information_schema', 'partywall') AND n.nspname !~ '^pg_'"

# $1: a role, which need not be there. Privileges of single columns count as those of the table.
HELD = rf"""
SELECT c.oid, a.grantee = 0 AS everybody, pg_catalog.array_agg(DISTINCT a.privilege_type) AS privileges
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL (
    SELECT e.grantee, e.privilege_type FROM pg_catalog.aclexplode(c.relacl) e
    UNION ALL
    SELECT e.grantee, e.privilege_type FROM pg_catalog.pg_attribute t, pg_catalog.aclexplode(t.attacl) e
     WHERE t.attrelid = c.oid AND NOT t.attisdropped) a
 WHERE {_OUTSIDE} AND (a.grantee = 0 OR a.grantee = (SELECT g.oid FROM pg_catalog.pg_roles g WHERE g.rolname = $1))
 GROUP BY c.oid, a.grantee ORDER BY c.oid, a.grantee
"""  # noqa: S608  # made of constants

# $1: relations. The sequences that defaults of their columns draw from; those of identity columns ask for no privilege.
DRAWN = """
SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, s.relname) AS name
  FROM pg_catalog.pg_attrdef a
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = a.oid
   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
 WHERE a.adrelid = ANY ($1::pg_catalog.oid[]) ORDER BY 1
"""

# What everybody may call, and runs as somebody for whom no policy holds. A trigger's function needs nobody's EXECUTE.
DEFINERS = rf"""
SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_roles o ON o.oid = p.proowner AND (o.rolsuper OR o.rolbypassrls)
 WHERE p.prosecdef AND {_OUTSIDE}
   AND (p.proacl IS NULL OR EXISTS (SELECT FROM pg_catalog.aclexplode(p.proacl) a WHERE a.grantee = 0))
 ORDER BY 1
"""  # noqa: S608  # as above


@dataclass(frozen=True, slots=True)
class Grants:
    """everybody, group: privileges by relation, of PUBLIC and of the group; drawn, definers: names in SQL."""

    everybody: Mapping[int, frozenset[str]]
    group: Mapping[int, frozenset[str]]
    drawn: tuple[str, ...] = ()
    definers: tuple[str, ...] = ()


async def read_grants(connection: CatalogConnection, group: str, relations: Sequence[int]) -> Grants:
    """relations: those of tenants, whose defaults are looked at. Errors: asyncpg.PostgresError."""
    rows = await connection.fetch(HELD, group)
    held = {
        kind: {one["oid"]: frozenset(one["privileges"]) for one in rows if one["everybody"] is kind}
        for kind in (True, False)
    }
    drawn = await connection.fetch(DRAWN, list(relations))
    definers = await connection.fetch(DEFINERS)
    return Grants(held[True], held[False], tuple(one["name"] for one in drawn), tuple(one["name"] for one in definers))
