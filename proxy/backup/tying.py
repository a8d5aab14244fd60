"""Which rows a foreign key ties together, as the server itself sees it when it looks for those that reference a row.

Promises: compared are the constraint's own operators under the referenced column's collation, wherever their schema
is: `=` of the search path, or of texts, would miss the rows of a citext or a number with other digits, which a CASCADE
reaches nevertheless. A key that leads to or from another tenant's own table is refused before anything is asked.
Source: PostgreSQL's ri_triggers.c, ri_GenerateQual.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxy.backup.neighbours import Around, anothers
from proxy.backup.refusal import Refused
from proxy.backup.selection import Reference, title
from proxy.catalog.model import Catalog
from proxy.tenancy.policy import Grant

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

# An operator of a pseudo-type, such as anyenum, takes the columns as they are. -1: of whatever length, for char and bit
# are of one character or bit where nothing is said.
COMPARED = """
SELECT pg_catalog.format('%s.%I', $3::pg_catalog.text, far.attname)
       || CASE WHEN lt.typtype = 'p' THEN '' ELSE '::' || pg_catalog.format_type(o.oprleft, -1) END
       || CASE WHEN c.oid IS NULL OR lt.typcollation = 0 THEN ''
               ELSE pg_catalog.format(' COLLATE %I.%I', cn.nspname, c.collname) END
       || pg_catalog.format(' OPERATOR(%I.%s) ', n.nspname, o.oprname)
       || pg_catalog.format('%s.%I', $4::pg_catalog.text, own.attname)
       || CASE WHEN rt.typtype = 'p' THEN '' ELSE '::' || pg_catalog.format_type(o.oprright, -1) END AS same
  FROM pg_catalog.pg_constraint k
 CROSS JOIN LATERAL ROWS FROM (
         pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey), pg_catalog.unnest(k.conpfeqop))
       WITH ORDINALITY e(own, far, operator, place)
  JOIN pg_catalog.pg_attribute own ON own.attrelid = k.conrelid AND own.attnum = e.own
  JOIN pg_catalog.pg_attribute far ON far.attrelid = k.confrelid AND far.attnum = e.far
  JOIN pg_catalog.pg_operator o ON o.oid = e.operator
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_catalog.pg_type lt ON lt.oid = o.oprleft JOIN pg_catalog.pg_type rt ON rt.oid = o.oprright
  LEFT JOIN pg_catalog.pg_collation c ON c.oid = far.attcollation
  LEFT JOIN pg_catalog.pg_namespace cn ON cn.oid = c.collnamespace
 WHERE k.contype = 'f' AND k.conrelid = $1 AND k.conname = $2
 ORDER BY e.place
"""


async def tie(connection: CatalogConnection, link: Reference, child: str, parent: str) -> str:
    """The condition in SQL that the row `child` references the row `parent`. Refused where the constraint is gone."""
    rows = await connection.fetch(COMPARED, link.holder.oid, link.key.name, parent, child)
    if len(rows) != len(link.key.columns):
        raise Refused([f"the foreign key {link.key.name} of {title(link.holder)} was altered meanwhile; try again"])
    return " AND ".join(row["same"] for row in rows)


def check_ties(links: Iterable[Reference], grant: Grant, around: Around, catalog: Catalog) -> None:
    """Refused where one leads from a shared table to another tenant's own, or back: to ask for its rows, or to delete
    those that it references, would run what its owner wrote."""
    problems = set()
    for link in links:
        ours = link.target if link.child is None else link.holder
        theirs = link.holder if link.child is None else link.target
        alone = link.child is None or link.parent is None
        if alone and anothers(theirs, grant.policy, around, catalog.bypassing | {ours.owner}):
            problems.add(
                f"the foreign key {link.key.name} ties {title(ours)} to {title(theirs)}, which is not {grant.tenant}'s"
                " and may be another tenant's own: drop it first"
            )
    if problems:
        raise Refused(sorted(problems))
