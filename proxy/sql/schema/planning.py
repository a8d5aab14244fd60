"""A statement about what is in a tenant's own schema becomes a plan: looked at, and sent as it came.

Nothing in it is rewritten: what is stored of it, a view's or a default's text, is what the client wrote, and so are the
server's answers. So whatever would have to be rewritten is refused: catalogs, which show everybody, and the functions
that stand for something else. verify proves the text again with code of its own. Queries and changes of rows are
planned as in row mode, with nothing to confine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from proxy.errors import FeatureNotSupported
from proxy.sql.mapped import map_calls
from proxy.sql.naming import check_types, types_in
from proxy.sql.nodes import Nodes
from proxy.sql.parse import Statement
from proxy.sql.permit import permit
from proxy.sql.plan import UNTRACKED, Effects, Forward, PlanContext, StatementKind, Template
from proxy.sql.regs import check_made, check_reg, check_sources
from proxy.sql.schema.bodies import CODE, check_code
from proxy.sql.schema.definitions import DEFINITIONS, check_kind, is_definition
from proxy.sql.schema.names import QUERIES, check_names
from proxy.sql.schema.tokens import Piece
from proxy.sql.schema.values import check_values
from proxy.sql.stand_ins import stand_in
from proxy.sql.verify.definitions import verify_definition
from proxy.sql.world import World

Node = dict[str, Any]
RULE = ("schema.own",)
# What row mode knows of temporary tables.
TEMPORARY = frozenset({
    "CreateStmt", "CreateTableAsStmt", "DropStmt", "IndexStmt", "LockStmt", "SelectStmt", "TruncateStmt",
})  # fmt: skip
# What gives a relation columns of whatever types a query has.
STORES = frozenset({"CreateTableAsStmt", "IntoClause", "ViewStmt"})
TABLES = "Tables, indexes on them and what is selected into them can be temporary."
CALL_HINT = "Call it in a statement of its own."
ITSELF = "Send it by itself."
TEMPORARY_HINT = "Make them before, in a statement of its own."
ACTING = frozenset({"CallStmt", "CreateFunctionStmt", "DoStmt"})  # which run code, or may be run by what comes next
KINDS = {"LockStmt": StatementKind.LOCK, "DoStmt": StatementKind.OTHER}


def plan_definition(
    statement: Statement, text: bytes, whole: bool, context: PlanContext, world: World
) -> Forward | None:
    """The plan; None for another kind of statement, and for one about temporary tables. A Refusal. whole: the text is
    this statement.
    """
    tree = statement.tree
    if not is_definition(tree):
        return None
    if about_temporary(tree, context):
        if not TEMPORARY & tree.keys():
            raise FeatureNotSupported("this statement is not supported for temporary objects", hint=TABLES)
        return None
    check_kind(tree, context.role, context.policy.schema, context.policy.read_only)
    pieces: tuple[Piece, ...] = ()
    if CODE & tree.keys():
        pieces = check_code(tree, world, lambda one: _check_within(one, context, world))
    _check_kept(tree, world)
    if "CreateTrigStmt" in tree:
        _check_trigger(tree["CreateTrigStmt"], world)
    begin = 0 if whole else statement.location
    sent = text if whole else text[begin : begin + statement.length]
    verify_definition(sent, context, world.catalog, pieces)
    effects = Effects(writes=True, pins=None if ACTING.isdisjoint(tree) else UNTRACKED)
    kind = KINDS.get(next(iter(tree)), StatementKind.DDL)
    return Forward(kind, Template((sent,)), effects, rules=RULE, begins=len(text[:begin].decode()))


def _check_kept(tree: Node, world: World) -> None:
    """A Refusal for what cannot be kept, or sent, as it was written."""
    check_names(tree, world)
    nodes = Nodes(tree)
    permit(nodes, world)
    check_types(_types(tree), nodes.of("TypeCast"), world)
    check_reg(nodes, world)
    if "CreateStmt" in tree:
        check_sources(nodes, world)
    if STORES & nodes.by_kind.keys() or STORES & tree.keys():
        check_made(nodes, world)
    if map_calls(nodes, world).acted or stand_in(nodes, world) is not nodes.tree:
        raise FeatureNotSupported("this function is not supported here", hint=CALL_HINT)
    if nodes.of("ExecuteStmt"):
        raise FeatureNotSupported("EXECUTE is not supported here", hint="Write the query itself.")


def _types(tree: Node) -> list[Node]:
    """Every type that it names; a domain that is altered stands in a field of its own."""
    altered = tree.get("AlterDomainStmt", {}).get("typeName")
    return [*types_in(tree), *([{"names": altered}] if altered else [])]


def _check_within(tree: Node, context: PlanContext, world: World) -> None:
    """A Refusal for a statement that may not be in the body of a function."""
    ((name, _),) = tree.items()
    if (name not in DEFINITIONS and name not in QUERIES) or name in CODE:
        raise FeatureNotSupported("this statement is not supported in a function", hint=ITSELF)
    if about_temporary(tree, replace(context, temporary=())):
        raise FeatureNotSupported("temporary objects are not supported in a function", hint=TEMPORARY_HINT)
    check_kind(tree, context.role, context.policy.schema, read_only=False)
    _check_kept(tree, world)
    check_values(Nodes(tree), world)
    if "CreateTrigStmt" in tree:
        _check_trigger(tree["CreateTrigStmt"], world)


def _check_trigger(body: Node, world: World) -> None:
    """Its function: the tenant's own, or the one of the server's that does nothing but compare."""
    names = [one["String"].get("sval", "") for one in body["funcname"]]
    schema, name = (names[-2] if len(names) > 1 else None), names[-1]
    for one in world.function_candidates(schema, name):
        if one.schema != world.policy.schema and name != "suppress_redundant_updates_trigger":
            raise FeatureNotSupported(f"trigger function {name}() is not supported here", hint="Write one of your own.")


def about_temporary(tree: Node, context: PlanContext) -> bool:
    """Is it about the session's temporary tables? Those are known by name."""
    names = {one.name for one in context.temporary}
    waiting: list[Any] = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            if isinstance(one.get("relname"), str) and (
                one.get("relpersistence") == "t"
                or one.get("schemaname") == "pg_temp"
                or ("schemaname" not in one and one["relname"] in names)
            ):
                return True
            waiting += one.values()
    drop = tree.get("DropStmt", {})
    for one in drop.get("objects", ()) if drop.get("removeType") == "OBJECT_TABLE" else ():
        parts = [part["String"].get("sval", "") for part in one["List"]["items"]]
        if parts[:-1] == ["pg_temp"] or (len(parts) == 1 and parts[0] in names):
            return True
    return False
