"""What policy shows of the database, judged from Policy and Catalog alone: relations, functions, types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from proxy.catalog.model import Catalog, Column, Relation
from proxy.sql.plan import Temporary
from proxy.tenancy.policy import PROXY_SCHEMA, Policy, RelationRule

SYSTEM = ("pg_catalog", "information_schema")
NOWHERE = "pg_absent"  # what a schema that is hidden was replaced by
KEYS = {21: "int2", 23: "int4", 20: "int8", 2950: "uuid", 25: "text", 1043: "varchar", 1042: "bpchar"}
# Run SQL text, change settings, reach files, other sessions or other objects: never, whatever else allows them.
NEVER = (
    "query_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "cursor_to_xml", "ts_stat", "lo_", "pg_read_",
    "pg_ls_", "pg_stat_",
    "pg_notify", "pg_advisory_", "pg_try_advisory_", "pg_backend_pid", "current_query",
    "pg_terminate_", "pg_cancel_", "dblink", "pg_export_", "txid_",
    "pg_logical_", "pg_replication_",
    "binary_upgrade_", "pg_reload_", "pg_rotate_", "pg_promote", "pg_switch_", "pg_create_", "pg_drop_", "pg_copy_",
    "currtid", "setval", "lastval",
    "pg_file_", "loread", "lowrite", "pg_relation_size", "pg_total_relation_size", "pg_table_size", "pg_indexes_size",
    "pg_database_size",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """A relation that policy shows. column: what confines it, None for shared ones."""

    relation: Relation
    access: Literal["tenant", "shared", "view", "own"]
    column: Column | None = None
    key: str = ""
    is_open: bool = False  # it may have more columns than are known


class Relations:
    """Lookups for one policy and catalog."""

    def __init__(self, policy: Policy, catalog: Catalog, temporary: tuple[Temporary, ...] = ()) -> None:
        self.policy = policy
        self.catalog = catalog
        self._own = {one.name: one for one in temporary}

    @property
    def by_policies(self) -> bool:
        """Do the server's policies alone decide which rows there are? All that is shown has one then."""
        return self.policy.isolation == "rls"

    def shown(self, schema: str, name: str) -> Shown | None:
        """The relation, or None where policy hides it."""
        if schema == "pg_temp":
            own = self._own.get(name)
            return None if own is None else Shown(own.relation, "own", is_open=own.columns is None)
        relation = self.catalog.relations.get((schema, name))
        if self.policy.isolation == "schema":
            return self._beside(schema, relation or Relation(0, schema, name, "r"), relation is not None)
        if relation is None or schema.startswith("pg_") or schema in (*SYSTEM, PROXY_SCHEMA):
            return None
        if schema in self.policy.own_schemas or relation.owner in self.policy.own_roles:
            return None
        rule = self._rule(relation)
        if rule is None:
            rule = RelationRule(schema, name, "tenant") if relation.kind in "rp" else None
            if rule is None or relation.column(self.policy.tenant_column) is None:
                return None
        if rule.access == "hidden":
            return None
        if rule.access == "shared":
            return Shown(relation, "shared")
        column = relation.column(rule.tenant_column or self.policy.tenant_column)
        if column is None or column.type not in KEYS:
            return None
        found: Shown | None = None
        if relation.kind in "rp" and rule.access == "tenant" and column.not_null:
            found = Shown(relation, "tenant", column, rule.key)
        elif relation.kind in "vm":
            found = Shown(relation, "view", column, rule.key)
        return found if found is None or not self.policy.behind_rls or self._walled(found, column.name) else None

    def _walled(self, shown: Shown, column: str) -> bool:
        """Does the server's own policy hold for it, where there must be one?"""
        relation = shown.relation
        if relation.kind == "v":
            return self._reads_walled(relation, ())
        return relation.kind != "m" and relation.wall == (column, shown.key)

    def _reads_walled(self, view: Relation, within: tuple[int, ...]) -> bool:
        """Is a view asked with rights that policies hold for, and reads nothing else?"""
        if not view.security_invoker and view.owner in self.catalog.bypassing:
            return False
        for oid in view.reads:
            one = self.catalog.relations_by_oid.get(oid)
            if one is None or one.schema in SYSTEM or oid in within:
                continue
            if one.kind == "v":
                if not self._reads_walled(one, (*within, view.oid)):
                    return False
            elif (seen := self.shown(one.schema, one.name)) is None or seen.access not in ("tenant", "shared"):
                return False
        return True

    def _beside(self, schema: str, relation: Relation, known: bool) -> Shown | None:
        """Of a tenant with a schema of its own, beside those of others: what it makes there, and what is shared."""
        if schema == self.policy.schema:
            return Shown(relation, "own", is_open=True)
        return Shown(relation, "shared") if known and schema in self.policy.shared_schemas else None

    def is_seen(self, schema: object) -> bool:
        """Of a tenant with a schema of its own: is it that, or shared, or the server's?"""
        return schema in (self.policy.schema, *self.policy.shared_schemas, *SYSTEM)

    def is_near(self, schema: str) -> bool:
        """May a column be named with it: the server's, the session's, one that nobody can have, or one of which the
        tenant sees anything?
        """
        if schema in (*SYSTEM, *self.policy.path, "pg_temp", NOWHERE):
            return True
        return self.policy.isolation != "schema" and any(
            self.shown(schema, name) is not None for one, name in self.catalog.relations if one == schema
        )

    def elsewhere(self, name: str) -> bool:
        """Is it a name that, without its schema, can mean nothing but what a role of a schema's tenant reaches? That is
        no relation of the server's, which the path has first.
        """
        known = any((schema, name) in self.catalog.relations for schema in SYSTEM)
        return self.policy.isolation == "schema" and not known

    def _rule(self, relation: Relation) -> RelationRule | None:
        rule = self.policy.relations.get((relation.schema, relation.name))
        if rule is not None or relation.column(self.policy.tenant_column) is not None:
            return rule
        for number in relation.parents:
            parent = self.catalog.relations_by_oid.get(number)
            rule = None if parent is None else self._rule(parent)
            if rule is not None and rule.access == "tenant":
                return rule
        return None

    def callable(self, schema: str | None, name: str) -> bool:
        """May this function be called? Outside pg_catalog only what policy lists."""
        if name.startswith(NEVER) and name != "pg_advisory_unlock_all":  # the session's own
            return False
        found = self.catalog.functions.get(name, ())
        if self.policy.isolation == "schema":
            return self._called_beside(schema, name)
        listed = {(one.schema, one.extension) for one in self.policy.functions if one.name == name}
        considered = [one for one in found if schema is None or one.schema == schema]
        return bool(considered) and all(
            one.schema in SYSTEM or not listed.isdisjoint({(one.schema, ""), (one.schema, one.extension)})
            for one in considered
            if schema is not None or one.schema in (*SYSTEM, "public")
        )

    def _called_beside(self, schema: str | None, name: str) -> bool:
        """The server's; any of the tenant's own schema, known or not; of the shared ones what policy lists."""
        own, shared = self.policy.schema, self.policy.shared_schemas
        if schema not in (None, own, *shared, *SYSTEM):
            return False
        listed = {(one.schema, one.name) for one in self.policy.functions}
        found = [one for one in self.catalog.functions.get(name, ()) if schema in (None, one.schema)]
        return all(one.schema in (own, *SYSTEM) or (one.schema, name) in listed for one in found) and bool(
            found or schema in (None, own)
        )

    def confined_in(self, tree: dict[str, Any]) -> bool:
        """Does the statement name a relation that holds rows of others? If not, nothing needs guards or boundaries."""
        waiting: list[Any] = [tree]
        while waiting:
            one = waiting.pop()
            if type(one) is list:
                waiting += one
            elif type(one) is dict:
                if type(one.get("relname")) is str:
                    shown = self.shown(one.get("schemaname", ""), one["relname"])
                    if shown is not None and shown.column is not None:
                        return True
                waiting += [value for value in one.values() if type(value) is dict or type(value) is list]
                if "fromClause" in one:  # looked at first: there it is
                    waiting.append(one["fromClause"])
        return False
