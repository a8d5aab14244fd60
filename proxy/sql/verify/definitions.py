"""A statement about what is in a tenant's own schema, proved: it stays there.

The text is parsed afresh and looked through whole, by what a node looks like and not by what kind it is: whatever has
a name of a relation, or is a list of names, says a schema of the tenant's world or none; no relation is a catalog; no
role but the tenant's own is named; nothing is defined that belongs to the database. Lists of names of columns are known
by where they stand. Shares nothing with sql/schema.
"""

from __future__ import annotations

from typing import Any

from proxy.catalog.model import Catalog
from proxy.errors import FeatureNotSupported
from proxy.sql.parse import parse, walk
from proxy.sql.plan import PlanContext
from proxy.sql.verify.bodies import Spans, check_inside, statements_of
from proxy.sql.verify.calls import Calls
from proxy.sql.verify.levels import Level, Node, Unproven
from proxy.sql.verify.names import check_rows, check_types, check_values
from proxy.sql.verify.relations import SYSTEM, Relations

HINT = "Send the statement by itself, or ask the operator to do it directly at the server."
STATEMENTS = frozenset({
    "AlterDomainStmt", "AlterEnumStmt", "AlterFunctionStmt", "AlterObjectSchemaStmt", "AlterOwnerStmt",
    "AlterPolicyStmt", "AlterSeqStmt", "AlterStatsStmt", "AlterTableStmt", "CallStmt", "ClusterStmt", "CommentStmt",
    "CompositeTypeStmt", "ConstraintsSetStmt", "CreateDomainStmt", "CreateEnumStmt", "CreateFunctionStmt",
    "CreatePolicyStmt", "CreateSeqStmt", "CreateStatsStmt", "CreateStmt", "CreateTableAsStmt", "CreateTrigStmt",
    "DeleteStmt", "DoStmt", "DropStmt", "IndexStmt", "InsertStmt", "LockStmt", "MergeStmt", "RefreshMatViewStmt",
    "ReindexStmt", "RenameStmt", "ReplicaIdentityStmt", "ReturnStmt", "RuleStmt", "SelectStmt", "TruncateStmt",
    "UpdateStmt", "VacuumStmt", "VariableSetStmt", "ViewStmt",
})  # fmt: skip
SHARED = (
    "CAST", "DATABASE", "EVENT_TRIGGER", "EXTENSION", "FDW", "FOREIGN", "LANGUAGE", "OPCLASS", "OPERATOR", "OPFAMILY",
    "PARAMETER", "PUBLICATION", "ROLE", "SCHEMA", "SUBSCRIPTION", "TABLESPACE", "USER_MAPPING",
)  # fmt: skip
OWN_ROLES = ("ROLESPEC_CURRENT_USER", "ROLESPEC_CURRENT_ROLE", "ROLESPEC_SESSION_USER", "ROLESPEC_PUBLIC")
# Fields whose lists of strings are names of columns, values or words.
WORDS = frozenset({
    "aliascolnames", "aliases", "args", "attlist", "attrs", "colNames", "colnames", "cols", "columns", "fields",
    "fk_attrs", "fk_del_set_cols", "indirection", "keys", "pk_attrs", "stat_types", "usingClause", "vals",
})  # fmt: skip
PARTS = ("ATTRIBUTE", "COLUMN", "CONSTRAINT", "DEFAULT", "POLICY", "RULE", "TRIGGER")


CODE = frozenset({"AlterFunctionStmt", "CreateFunctionStmt", "DoStmt"})


def verify_definition(sent: bytes, context: PlanContext, catalog: Catalog, pieces: Spans = ()) -> None:
    """FeatureNotSupported unless `sent` is one statement that stays in the tenant's world. pieces: where in a body in
    PL/pgSQL SQL is said to stand, and how it is parsed.
    """
    try:
        statements = parse(sent, size_limit=len(sent) + 1, server_major=catalog.major)
        if len(statements) != 1:
            raise Unproven("more than one statement")
        tree = statements[0].tree
        proof = _Proof(context, catalog)
        proof.statement(tree)
        for one in statements_of(tree, pieces, catalog.major) if CODE & tree.keys() else ():
            check_inside(one, catalog)
            proof.statement(one)
    except Unproven as reason:
        raise FeatureNotSupported("statement cannot be confined", hint=HINT) from reason


class _Proof:
    def __init__(self, context: PlanContext, catalog: Catalog) -> None:
        policy = context.policy
        self._role, self._database = context.role, catalog.database
        self._seen = (policy.schema, *policy.shared_schemas)
        self._relations = Relations(policy, catalog)
        self._calls = Calls(self._relations, {})

    def statement(self, tree: Node) -> None:
        for name, body in walk(tree):
            if name.endswith("Stmt") and name not in STATEMENTS:
                raise Unproven(f"a statement of kind {name}")
            if name == "FuncCall":
                self._calls.function(body)
            if name == "ColumnRef":
                self._calls.attribute(name, body, [], Level((), {}))
        self._any(tree, "", part=False)
        check_values(tree, self._relations)
        check_types(tree, self._relations)
        if "CreateStmt" in tree:
            for relation in _relations_in(tree["CreateStmt"]):
                check_rows(relation, self._relations)

    def _any(self, value: Any, field: str, *, part: bool) -> None:
        """part: names in it are of a part of a relation, under the relation's own."""
        if isinstance(value, list):
            if value and all(set(one) == {"String"} for one in value):
                self._names([one["String"].get("sval", "") for one in value], field, part)
                return
            for one in value:
                self._any(one, field, part=part)
        elif isinstance(value, dict):
            self._node(value)
            kinds = [one for one in value.values() if isinstance(one, str) and one.startswith("OBJECT_")]
            if any(kind.removeprefix("OBJECT_").startswith(SHARED) for kind in kinds):
                raise Unproven("an object of the database's")
            within = any(kind.endswith(PARTS) for kind in kinds) or value.get("defname") == "owned_by"
            for name, one in value.items():
                here = within and name in ("object", "objects", "arg")
                self._any(one, name, part=here or (part and name in ("List", "items")))

    def _node(self, body: Node) -> None:
        name = body.get("relname")
        if isinstance(name, str):
            schema = body.get("schemaname")
            if "catalogname" in body and body["catalogname"] != self._database:
                raise Unproven("another database")
            if schema is None and not self._relations.elsewhere(name):
                raise Unproven(f"a catalog: {name}")
            if schema not in (None, *self._seen):
                raise Unproven(f"a schema that is not shown: {schema}")
        role = body.get("roletype")
        if isinstance(role, str) and role not in OWN_ROLES and body.get("rolename") != self._role:
            raise Unproven("another role")
        if body.get("newschema", self._seen[0]) != self._seen[0]:
            raise Unproven("another schema")

    def _names(self, names: list[str], field: str, part: bool) -> None:
        if field in WORDS:
            return
        names = names[:-1] if part else names
        before = names[-2:-1]
        if (before and before[0] not in (*SYSTEM, *self._seen)) or names[:-2] not in ([], [self._database]):
            raise Unproven(f"a name that is not shown: {'.'.join(names)}")


def _relations_in(value: Any) -> list[Node]:
    """The body of every relation that is named."""
    found: list[Node] = []
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            found += [one] if isinstance(one.get("relname"), str) else []
            waiting += one.values()
    return found
