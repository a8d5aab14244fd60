"""What is another tenant's own in a database where tenants share tables: the operator's commands leave it alone.

Who has a schema of its own defines there what it likes: triggers, expressions of indexes, operators; a query that only
names its table may run some of it as the operator, while it is planned. So another's table is never in a query. By the
rules a schema and what its role owns are a tenant's (`Policy.own_schemas`), and the proxy shows them to nobody else;
what stands in a schema that the serving role cannot use is served to nobody either, and is somebody's that the rules
do not name (any more, or yet).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.backup.refusal import Refused
from proxy.catalog.model import Relation
from proxy.tenancy.policy import Grant, Policy

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

MEMBERS = """
SELECT d.objid AS oid FROM pg_catalog.pg_depend d
 WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'e'
"""
ROLE = "SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1"
CLOSED = """
SELECT n.nspname::pg_catalog.text AS name FROM pg_catalog.pg_namespace n
 WHERE NOT pg_catalog.has_schema_privilege($1::pg_catalog.oid, n.oid, 'USAGE')
"""


@dataclass(frozen=True, slots=True)
class Around:
    """What the server says of a database besides its catalog. members: OIDs of relations that belong to extensions.
    closed: where tables are shared, the schemas that the role which serves the tenant cannot use."""

    members: frozenset[int] = frozenset()
    closed: frozenset[str] = frozenset()


async def around(connection: CatalogConnection, grant: Grant) -> Around:
    """Refused where the role that serves the tenant is not at the server: nobody knows what it could use."""
    members = frozenset(row["oid"] for row in await connection.fetch(MEMBERS))
    if not grant.policy.shares_tables:
        return Around(members)
    role = await connection.fetchval(ROLE, grant.server.role)
    if role is None:
        raise Refused([f"there is no role {grant.server.role} at the server, by which {grant.tenant} is served"])
    return Around(members, frozenset(row["name"] for row in await connection.fetch(CLOSED, role)))


def owned_apart(relation: Relation, policy: Policy) -> bool:
    """Do the rules say that it is of a tenant with a schema of its own, and so nothing that is shared?"""
    return relation.schema in policy.own_schemas or relation.owner in policy.own_roles


def anothers(relation: Relation, policy: Policy, around: Around, trusted: Container[str]) -> bool:
    """Is it, or may it be, another tenant's own, beside tables that are shared? trusted: who owns those, and roles that
    may do all anyway: what they defined runs with every statement as it is."""
    if not policy.shares_tables:
        return False
    return owned_apart(relation, policy) or (relation.schema in around.closed and relation.owner not in trusted)
