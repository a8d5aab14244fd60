"""Fields: what the statements and clauses of a tenant may consist of, by name: a total table.

Promises: a field that stands here is one that the planner looks at, or that cannot matter. What a newer grammar adds is
refused with 0A000 until somebody has thought about it. Expressions are not in the table: they are walked whole,
whatever they hold. The verifier has tables of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.errors import FeatureNotSupported
from proxy.sql.nodes import Node, Nodes

_QUERY = ("withClause", "whereClause", "targetList", "fromClause")
_CHANGE = ("relation", "withClause", "returningClause")

# Node -> its fields. "location" and its like stand everywhere.
FIELDS: Mapping[str, frozenset[str]] = {
    name: frozenset(fields)
    for name, fields in {
        "SelectStmt": (
            *_QUERY, "distinctClause", "groupClause", "groupDistinct", "havingClause", "windowClause", "valuesLists",
            "sortClause", "limitOffset", "limitCount", "limitOption", "lockingClause", "op", "all", "larg", "rarg",
            "intoClause",
        ),
        "InsertStmt": (*_CHANGE, "cols", "selectStmt", "onConflictClause", "override"),
        "UpdateStmt": (*_CHANGE, "targetList", "whereClause", "fromClause"),
        "DeleteStmt": (*_CHANGE, "whereClause", "usingClause"),
        "MergeStmt": (*_CHANGE, "sourceRelation", "joinCondition", "mergeWhenClauses"),
        "MergeWhenClause": ("matchKind", "commandType", "override", "condition", "targetList", "values"),
        "TransactionStmt": ("kind", "options", "savepoint_name", "gid", "chain"),
        "VariableSetStmt": ("kind", "name", "args", "jumble_args", "is_local"),
        "VariableShowStmt": ("name",),
        "DiscardStmt": ("target",),
        "DeallocateStmt": ("name", "isall"),
        "ClosePortalStmt": ("portalname",),
        "UnlistenStmt": ("conditionname",),
        "ConstraintsSetStmt": ("constraints", "deferred"),
        "TruncateStmt": ("relations", "restart_seqs", "behavior"),
        "ExplainStmt": ("query", "options"),
        "CopyStmt": (
            "relation", "query", "attlist", "is_from", "is_program", "filename", "options", "whereClause",
        ),
        "DeclareCursorStmt": ("portalname", "options", "query"),
        "FetchStmt": ("direction", "howMany", "portalname", "ismove"),
        "PrepareStmt": ("name", "argtypes", "query"),
        "ExecuteStmt": ("name", "params"),
        "ListenStmt": ("conditionname",),
        "NotifyStmt": ("conditionname", "payload"),
        "LockStmt": ("relations", "mode", "nowait"),
        "CreateTableAsStmt": ("query", "into", "objtype", "is_select_into", "if_not_exists"),
        "CreateStmt": (
            "relation", "tableElts", "inhRelations", "partbound", "partspec", "ofTypename", "constraints", "options",
            "oncommit", "tablespacename", "accessMethod", "if_not_exists",
        ),
        "DropStmt": ("objects", "removeType", "behavior", "missing_ok", "concurrent"),
        "IndexStmt": (
            "idxname", "relation", "accessMethod", "tableSpace", "indexParams", "indexIncludingParams", "options",
            "whereClause", "unique", "nulls_not_distinct", "concurrent", "if_not_exists", "reset_default_tblspc",
        ),
        "WithClause": ("ctes", "recursive"),
        "CommonTableExpr": (
            "ctename", "aliascolnames", "ctematerialized", "ctequery", "search_clause", "cycle_clause",
        ),
        "CTESearchClause": ("search_col_list", "search_breadth_first", "search_seq_column"),
        "CTECycleClause": (
            "cycle_col_list", "cycle_mark_column", "cycle_mark_value", "cycle_mark_default", "cycle_path_column",
        ),
        "OnConflictClause": ("action", "infer", "targetList", "whereClause"),
        "InferClause": ("indexElems", "whereClause", "conname"),
        "IndexElem": ("name", "expr", "collation", "opclass", "opclassopts", "ordering", "nulls_ordering"),
        "ReturningClause": ("exprs",),
        "RangeVar": ("catalogname", "schemaname", "relname", "inh", "relpersistence", "alias"),
        "RangeSubselect": ("lateral", "subquery", "alias"),
        "RangeFunction": ("lateral", "ordinality", "is_rowsfrom", "functions", "alias", "coldeflist"),
        "RangeTableSample": ("relation", "method", "args", "repeatable"),
        "JoinExpr": (
            "jointype", "isNatural", "larg", "rarg", "usingClause", "join_using_alias", "quals", "alias",
        ),
        "LockingClause": ("lockedRels", "strength", "waitPolicy"),
        "ResTarget": ("name", "indirection", "val"),
        "CurrentOfExpr": ("cursor_name",),
        "SubLink": ("subLinkType", "testexpr", "operName", "subselect"),
        "MultiAssignRef": ("source", "colno", "ncolumns"),
    }.items()
}  # fmt: skip


def check_fields(nodes: Nodes) -> None:
    """FeatureNotSupported for a field that is not in the table, anywhere in the statement."""
    for kind, bodies in nodes.by_kind.items():
        known = FIELDS.get(kind)
        if known is not None:
            for body in bodies:
                if not known.issuperset(body):
                    _refuse(body, known)


def _refuse(body: Node, known: frozenset[str]) -> None:
    if any(name not in known and name[0] != "_" and not name.endswith("location") for name in body):
        raise FeatureNotSupported("this form of the statement is not supported")
