"""Which statements a tenant may send about what is in its own schema: a table over the grammar's statements.

A kind that is not listed here is planned as in row mode, or refused as there. Of a listed kind the parts are looked at
that lead out of the schema: kinds of objects that a database shares, tablespaces, other roles, what has no place of its
own. Which names stand in it is names.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proxy.errors import FeatureNotSupported, InsufficientPrivilege, Refusal, UndefinedObject
from proxy.sql.parse import walk

Node = dict[str, Any]

OPERATOR = "The operator of the database does this."
UNBUILT = "Ask the operator to do it directly at the server, as the tenant's role."

# Kind -> its tag, as PostgreSQL names it in a refusal.
DEFINITIONS: Mapping[str, str] = {
    "AlterDomainStmt": "ALTER DOMAIN",
    "AlterEnumStmt": "ALTER TYPE",
    "AlterFunctionStmt": "ALTER FUNCTION",
    "AlterObjectSchemaStmt": "ALTER",
    "AlterOwnerStmt": "ALTER",
    "AlterPolicyStmt": "ALTER POLICY",
    "AlterSeqStmt": "ALTER SEQUENCE",
    "AlterStatsStmt": "ALTER STATISTICS",
    "AlterTableStmt": "ALTER TABLE",
    "CallStmt": "CALL",
    "ClusterStmt": "CLUSTER",
    "CommentStmt": "COMMENT",
    "CompositeTypeStmt": "CREATE TYPE",
    "ConstraintsSetStmt": "SET CONSTRAINTS",
    "CreateDomainStmt": "CREATE DOMAIN",
    "CreateEnumStmt": "CREATE TYPE",
    "CreateFunctionStmt": "CREATE FUNCTION",
    "CreatePolicyStmt": "CREATE POLICY",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "CreateStatsStmt": "CREATE STATISTICS",
    "CreateStmt": "CREATE TABLE",
    "CreateTableAsStmt": "CREATE TABLE AS",
    "CreateTrigStmt": "CREATE TRIGGER",
    "DoStmt": "DO",
    "DropStmt": "DROP TABLE",
    "IndexStmt": "CREATE INDEX",
    "LockStmt": "LOCK TABLE",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "ReindexStmt": "REINDEX",
    "RenameStmt": "ALTER",
    "ReplicaIdentityStmt": "ALTER TABLE",
    "RuleStmt": "CREATE RULE",
    "TruncateStmt": "TRUNCATE TABLE",
    "VacuumStmt": "VACUUM",
    "ViewStmt": "CREATE VIEW",
}
READING = frozenset({"ConstraintsSetStmt"})  # what a read-only session may send

WITHIN = frozenset({
    "CreateSeqStmt", "DeleteStmt", "InsertStmt", "MergeStmt", "ReturnStmt", "SelectStmt", "UpdateStmt",
    "VariableSetStmt",
})  # fmt: skip

# Kinds of objects that stand in a schema and are a tenant's to define.
OBJECTS = frozenset({
    "OBJECT_ATTRIBUTE", "OBJECT_COLUMN", "OBJECT_DEFAULT", "OBJECT_DOMAIN", "OBJECT_DOMCONSTRAINT", "OBJECT_FUNCTION",
    "OBJECT_INDEX", "OBJECT_MATVIEW", "OBJECT_POLICY", "OBJECT_PROCEDURE", "OBJECT_ROUTINE", "OBJECT_RULE",
    "OBJECT_SEQUENCE", "OBJECT_STATISTIC_EXT", "OBJECT_TABCONSTRAINT", "OBJECT_TABLE", "OBJECT_TRIGGER", "OBJECT_TYPE",
    "OBJECT_VIEW",
})  # fmt: skip
OBJECT_FIELDS = ("objectType", "objtype", "renameType", "removeType", "relationType")
UNSET = "OBJECT_ACCESS_METHOD"  # the first of the kinds, which stands for none where nothing is said
TABLESPACES = ("tablespacename", "tableSpace", "tableSpaceName", "tablespace")
# Subcommands of ALTER TABLE that lead to what a database or a server shares.
BEYOND = frozenset({
    "AT_AlterColumnGenericOptions", "AT_GenericOptions", "AT_SetAccessMethod", "AT_SetTableSpace",
})  # fmt: skip
OWN_ROLES = frozenset({"ROLESPEC_CURRENT_USER", "ROLESPEC_CURRENT_ROLE", "ROLESPEC_SESSION_USER", "ROLESPEC_PUBLIC"})


def is_definition(tree: Node) -> bool:
    """Is it one of these statements? What it is about may be a temporary table nevertheless."""
    ((name, body),) = tree.items()
    return name in DEFINITIONS or (name == "SelectStmt" and _makes(body))


def _makes(select: Node) -> bool:
    """Is it SELECT INTO? The clause stands in the first arm."""
    return "intoClause" in select or ("larg" in select and _makes(select["larg"]))


def check_kind(tree: Node, role: str, schema: str, read_only: bool) -> None:
    """A Refusal for a part that leads out of the schema, and for a session that may only read."""
    ((name, body),) = tree.items()
    if read_only and name not in READING:
        raise Refusal(
            f"cannot execute {DEFINITIONS.get(name, 'SELECT INTO')} in a read-only transaction", sqlstate="25006"
        )
    check = CHECKS.get(name)
    if check is not None:
        check(body)
    if name == "AlterObjectSchemaStmt" and body.get("newschema") != schema:
        raise UndefinedObject(f'schema "{body.get("newschema")}" does not exist', sqlstate="3F000")
    for kind, one in (*walk(tree), (name, body)):
        if kind.endswith("Stmt") and kind not in WITHIN and one is not body:
            raise FeatureNotSupported("this statement is not supported here", hint=UNBUILT)
        kinds = [(field, one[field]) for field in OBJECT_FIELDS if _is_object(one.get(field))]
        if any(kind not in OBJECTS and (field, kind) != ("relationType", UNSET) for field, kind in kinds):
            raise FeatureNotSupported("this kind of object is not supported here", hint=UNBUILT)
        if any(one.get(field, "pg_default") != "pg_default" for field in TABLESPACES):
            raise FeatureNotSupported("tablespaces are not supported here", hint=OPERATOR)
        if kind == "AlterTableCmd" and one.get("subtype") in BEYOND:
            raise FeatureNotSupported("this form of ALTER TABLE is not supported here", hint=OPERATOR)
        for role_spec in _roles(one):
            if role_spec["roletype"] not in OWN_ROLES and role_spec.get("rolename") != role:
                missing = role_spec.get("rolename", "")
                raise UndefinedObject(f'role "{missing}" does not exist', location=role_spec.get("location"))


def _is_object(value: object) -> bool:
    return isinstance(value, str) and value.startswith("OBJECT_")


def _roles(body: Node) -> list[Node]:
    """Roles that a node names in fields of its own."""
    fields = [body, *(one for one in body.values() if isinstance(one, dict))]
    return [one for one in fields if isinstance(one.get("roletype"), str)]


def _some(what: str) -> Callable[[Node], None]:
    def check(body: Node) -> None:
        if not body.get("rels") and not body.get("relation"):
            raise InsufficientPrivilege(f"permission denied to {what} the whole database", hint="Name the tables.")

    return check


def _of_relation(body: Node) -> None:
    if body.get("kind") not in ("REINDEX_OBJECT_INDEX", "REINDEX_OBJECT_TABLE"):
        raise InsufficientPrivilege("permission denied to reindex the whole database", hint="Name a table or an index.")


def _file(body: Node) -> None:
    if body.get("ofTypename") is None and "partspec" not in body and body.get("accessMethod") not in (None, "heap"):
        raise FeatureNotSupported("this access method is not supported here", hint=OPERATOR)


CHECKS: Mapping[str, Callable[[Node], None]] = {
    "VacuumStmt": _some("vacuum"),
    "ClusterStmt": _some("cluster"),
    "ReindexStmt": _of_relation,
    "CreateStmt": _file,
}
