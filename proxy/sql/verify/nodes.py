"""The nodes that may stand in expressions, and the fields of statements: what is not here is not proved."""

from __future__ import annotations

EXPRESSIONS = frozenset({
    "A_ArrayExpr", "A_Const", "A_Expr", "A_Indices", "A_Indirection", "A_Star", "BoolExpr", "BooleanTest", "Boolean",
    "CaseExpr", "CaseWhen",
    "CoalesceExpr", "CollateClause", "ColumnDef", "ColumnRef", "Float", "FuncCall", "GroupingFunc", "GroupingSet",
    "Integer", "JsonAggConstructor",
    "JsonArgument", "JsonArrayAgg", "JsonArrayConstructor", "JsonArrayQueryConstructor", "JsonBehavior", "JsonFormat",
    "JsonFuncExpr",
    "JsonIsPredicate", "JsonKeyValue", "JsonObjectAgg", "JsonObjectConstructor", "JsonOutput", "JsonParseExpr",
    "JsonReturning", "JsonScalarExpr",
    "JsonSerializeExpr", "JsonTable", "JsonTableColumn", "JsonTablePathSpec", "JsonValueExpr", "List", "MinMaxExpr",
    "MultiAssignRef", "NamedArgExpr",
    "NullTest", "ParamRef", "RangeFunction", "RangeTableFunc", "RangeTableFuncCol", "ResTarget", "RowExpr",
    "SQLValueFunction", "SetToDefault",
    "SortBy", "String", "SubLink", "TypeCast", "TypeName", "WindowDef", "XmlExpr", "XmlSerialize", "IndexElem",
    "ReturningOption", "LockingClause", "MergeSupportFunc",

})  # fmt: skip

SELECT_FIELDS = frozenset({
    "all", "distinctClause", "fromClause", "groupClause", "groupDistinct", "havingClause", "larg", "limitCount",
    "limitOffset", "limitOption",
    "lockingClause", "op", "rarg", "sortClause", "targetList", "valuesLists", "whereClause", "windowClause",
    "withClause",
})  # fmt: skip

INSERT_FIELDS = frozenset({
    "cols", "onConflictClause", "override", "relation", "returningClause", "selectStmt", "withClause",
})  # fmt: skip

CHANGE_FIELDS = frozenset({
    "fromClause", "relation", "returningClause", "targetList", "usingClause", "whereClause",
    "withClause",
})  # fmt: skip

MERGE_FIELDS = frozenset({
    "joinCondition", "mergeWhenClauses", "relation", "returningClause", "sourceRelation", "withClause",
})  # fmt: skip

ACTION_FIELDS = frozenset({"commandType", "condition", "matchKind", "override", "targetList", "values"})
