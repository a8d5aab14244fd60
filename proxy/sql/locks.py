"""LOCK TABLE: tenants lock each other out of nothing, and a tenant's own lockers serialise as they would.

The weak modes, which every reader and writer takes anyway, become ACCESS SHARE. A strong one, which would make other
tenants' writers wait, becomes an advisory lock of the tenant's on the table and its children, shared for SHARE and
exclusive otherwise, to the end of the transaction: it keeps out those who lock the table, not those who just write.
Names and privileges are checked as the server would. Decision 0024. Source: PostgreSQL documentation, 13.3.1 and LOCK.
"""

from __future__ import annotations

from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported, InsufficientPrivilege, Refusal, UndefinedObject, UndefinedTable
from proxy.sql.mapped import table_lock
from proxy.sql.plan import Effects
from proxy.sql.world import Visible, World

Node = dict[str, Any]
ACCESS_SHARE, ROW_EXCLUSIVE, SHARE = 1, 3, 5  # lockdefs.h
TAG = "LOCK TABLE"
BLOCK = Effects(block=TAG)
NOT_OBTAINED = "could not obtain lock on relation"


def lock_table(body: Node, world: World) -> Node:
    """The tree that is sent for a LockStmt; a Refusal when the tenant may not lock one of its tables so."""
    mode = int(body["mode"])
    if world.policy.read_only and mode > ROW_EXCLUSIVE:
        raise Refusal("cannot execute LOCK TABLE in a read-only transaction", sqlstate="25006")
    tables = [_visible(one["RangeVar"], mode, world) for one in body["relations"]]
    if mode <= ROW_EXCLUSIVE:
        relations = [
            {"RangeVar": {**_without_database(one["RangeVar"]), "schemaname": found.relation.schema}}
            for one, found in zip(body["relations"], tables, strict=True)
        ]
        return {"LockStmt": {**body, "relations": relations, "mode": ACCESS_SHARE}}
    nowait = bool(body.get("nowait"))
    every: list[Relation] = []
    for one, found in zip(body["relations"], tables, strict=True):
        below = world.descendants(found.relation) if one["RangeVar"].get("inh") else []
        every += [found.relation, *sorted(below, key=lambda each: each.oid)]
    calls = [_call(table_lock(relation.schema, relation.name), mode, nowait, relation.name) for relation in every]
    condition = calls[0] if len(calls) == 1 else {"BoolExpr": {"boolop": "OR_EXPR", "args": calls, "location": -1}}
    return {"SelectStmt": {"whereClause": condition, "limitOption": "LIMIT_OPTION_DEFAULT", "op": "SETOP_NONE"}}


def _visible(range_var: Node, mode: int, world: World) -> Visible:
    schema, name = range_var.get("schemaname"), range_var["relname"]
    found = world.relation(schema, name)
    if schema is not None and schema not in (*world.path, "information_schema"):
        raise UndefinedObject(f'schema "{schema}" does not exist', sqlstate="3F000")
    if found is None or range_var.get("catalogname", world.catalog.database) != world.catalog.database:
        full = name if schema is None else f"{schema}.{name}"
        raise UndefinedTable(f'relation "{full}" does not exist')
    if found.access == "catalog" or (found.access == "shared" and mode > ACCESS_SHARE):
        raise InsufficientPrivilege(f"permission denied for table {name}")
    if found.relation.kind == "m":
        if world.catalog.major < 15:
            raise Refusal(f'"{name}" is not a table or view', sqlstate="42809")
        detail = "This operation is not supported for materialized views."
        raise Refusal(f'cannot lock relation "{name}"', detail=detail, sqlstate="42809")
    if found.relation.kind == "v" and mode > ACCESS_SHARE:
        raise FeatureNotSupported("LOCK of a view is not supported", hint="Lock the tables that it is made of.")
    return found


def _without_database(range_var: Node) -> Node:
    return {name: value for name, value in range_var.items() if name != "catalogname"}


def _call(number: Node, mode: int, nowait: bool, name: str) -> Node:
    """A condition that is never true and takes the lock on the way. What cannot be had at once fails as a cast of the
    server's own words, which answers.py takes out again: there is no function that raises an error.
    """
    function = f"pg_{'try_' if nowait else ''}advisory_xact_lock{'_shared' if mode == SHARE else ''}"
    call: Node = {
        "FuncCall": {
            "funcname": [_string("pg_catalog"), _string(function)],
            "args": [number],
            "funcformat": "COERCE_EXPLICIT_CALL",
            "location": -1,
        }
    }
    if nowait:
        when: Node = {"CaseWhen": {"expr": call, "result": _constant("0"), "location": -1}}
        words = _constant(f'{NOT_OBTAINED} "{name}"')
        case: Node = {"CaseExpr": {"args": [when], "defresult": words, "location": -1}}
        type_name: Node = {"names": [_string("pg_catalog"), _string("int4")], "typemod": -1, "location": -1}
        call = {"TypeCast": {"arg": case, "typeName": type_name, "location": -1}}
    return {"NullTest": {"arg": call, "nulltesttype": "IS_NULL", "location": -1}}


def _string(value: str) -> Node:
    return {"String": {"sval": value}}


def _constant(value: str) -> Node:
    return {"A_Const": {"sval": {"sval": value}, "location": -1}}
