"""COPY table FROM STDIN: proof that the server itself refuses each row that is not the tenant's.

The rows are not in the text, so nothing is believed of them, nor of who prepares them: the first condition of WHERE
must be, to the letter, the one that passes a row with the tenant's key and fails the statement for any other. What else
stands in WHERE is handed on, to be proved as expressions over the table.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.sql.parse import parse
from proxy.sql.plan import FOREIGN_ROW
from proxy.sql.verify.catalogs import bare
from proxy.sql.verify.levels import Node, Unproven, conjuncts, strings
from proxy.sql.verify.relations import KEYS, Relations

FIELDS = {"relation", "attlist", "is_from", "options", "whereClause"}
OPTIONS = {
    "format", "delimiter", "null", "default", "header", "quote", "escape", "encoding", "force_quote", "force_null",
    "force_not_null", "on_error", "log_verbosity", "reject_limit",
}  # fmt: skip


def stand_in(body: Node, relations: Relations, keys: Mapping[str, str]) -> Node:
    """A SELECT that is confined exactly when the rest of this COPY is; Unproven where the COPY itself is not."""
    own_schema = relations.policy.isolation == "schema"
    if set(body) - FIELDS or not (body.get("is_from") or own_schema):
        raise Unproven(f"fields {set(body) - FIELDS} of COPY")
    if {one["DefElem"]["defname"] for one in body.get("options", ())} - OPTIONS:
        raise Unproven("an option of COPY")
    table = body["relation"]
    schema, name = table.get("schemaname"), table["relname"]
    if own_schema and schema is None and "catalogname" not in table and relations.elsewhere(name):
        return _select([{"RangeVar": table}], conjuncts(body.get("whereClause")))
    shown = None if schema is None or "catalogname" in table else relations.shown(schema, name)
    if shown is not None and not body.get("is_from") and shown.access == "shared":
        return _select([{"RangeVar": table}], [])
    if shown is not None and shown.access == "own":  # whatever the rows are
        return _select([{"RangeVar": table}], conjuncts(body.get("whereClause")))
    if shown is None or shown.access != "tenant" or shown.column is None:
        raise Unproven("a target of COPY that is not the tenant's table")
    if strings(body.get("attlist", ())).count(shown.column.name) != 1:
        raise Unproven("a COPY without the tenant column")
    parts = conjuncts(body.get("whereClause"))
    own, condition = _conditions(name, shown.column.name, KEYS[shown.column.type], keys[shown.key])
    if not parts or bare(parts[0]) != bare(condition):
        raise Unproven("a COPY that takes rows of others")
    return _select([{"RangeVar": table}], parts[1:], {"whereClause": own})


def _select(source: list[Node], targets: list[Node], clauses: Node | None = None) -> Node:
    values = [{"ResTarget": {"val": one}} for one in targets]
    return {"SelectStmt": {"targetList": values, "fromClause": source, "op": "SETOP_NONE", **(clauses or {})}}


def _conditions(table: str, column: str, type_name: str, key: str) -> tuple[Node, Node]:
    """Whether a row is the tenant's; and the same as a condition that fails the statement where it is not."""
    name = f"{_quoted(table)}.{_quoted(column)}"
    own = f"{name} OPERATOR(pg_catalog.=) {_literal(key)}::pg_catalog.{type_name}"
    shown = f"COALESCE({name}::pg_catalog.text, '')"
    error = f"({_literal(FOREIGN_ROW)} OPERATOR(pg_catalog.||) {shown})::pg_catalog.bool"
    text = f"SELECT {own}, CASE WHEN {own} THEN true ELSE {error} END"
    select = parse(text.encode(), size_limit=1 << 24, server_major=18)[0].tree["SelectStmt"]
    first, second = (one["ResTarget"]["val"] for one in select["targetList"])
    return first, second


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
