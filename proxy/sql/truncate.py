"""TRUNCATE: a DELETE of the tenant's rows, answered as what was asked.

Promises: the tables are emptied of own rows and nothing else, in one statement, or nothing is sent. A table that
another one references by a foreign key gets PostgreSQL's own refusal, unless that one is emptied as well. Row triggers
for DELETE fire, those for TRUNCATE do not; sequences go on. Source: PostgreSQL, ExecuteTruncateGuts in tablecmds.c and
heap_truncate_check_FKs in heap.c.
"""

from __future__ import annotations

from typing import Any

from proxy.catalog.model import Relation
from proxy.errors import FeatureNotSupported, Refusal
from proxy.sql.world import World

Node = dict[str, Any]
TAG = "TRUNCATE TABLE"
WRONG_TYPE = "42809"


def emptied(body: Node, world: World) -> Node:
    """The statement that stands for a TRUNCATE; a Refusal for its options, and where PostgreSQL would refuse."""
    if world.policy.read_only:
        raise Refusal(f"cannot execute {TAG} in a read-only transaction", sqlstate="25006")
    if body.get("restart_seqs"):
        raise FeatureNotSupported("TRUNCATE ... RESTART IDENTITY is not supported", hint="Its sequences are shared.")
    if body.get("behavior") == "DROP_CASCADE":
        raise FeatureNotSupported("TRUNCATE ... CASCADE is not supported", hint="Name the other tables as well.")
    targets = [one["RangeVar"] for one in body["relations"]]
    _check(targets, world)
    deletes: list[Node] = [{"DeleteStmt": {"relation": one}} for one in targets]
    *first, last = deletes
    if first:  # one statement, so that foreign keys are asked when all of them are done
        ctes: list[Node] = [
            {
                "CommonTableExpr": {
                    "ctename": f"_truncated{at}",
                    "ctematerialized": "CTEMaterializeDefault",
                    "ctequery": one,
                }
            }
            for at, one in enumerate(first)
        ]
        last["DeleteStmt"]["withClause"] = {"ctes": ctes}
    return last


def _check(targets: list[Node], world: World) -> None:
    relations: dict[int, Relation] = {}
    for one in targets:
        visible = world.relation(one.get("schemaname"), one.get("relname", ""))
        if visible is None:
            return  # it does not exist: resolve has the words, and is asked next
        relation = visible.relation
        if relation.kind not in "rp":
            raise Refusal(f'"{relation.name}" is not a table', sqlstate=WRONG_TYPE)
        if relation.kind == "p" and not one.get("inh"):
            raise Refusal(
                "cannot truncate only a partitioned table",
                hint="Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly.",
                sqlstate=WRONG_TYPE,
            )
        if visible.access != "tenant":
            return  # not its table: the rewriter has the words, and is asked before keys are
        relations[relation.oid] = relation
    for relation in relations.values():
        _refuse_referenced(relation, relations, world)


def _refuse_referenced(relation: Relation, emptied_too: dict[int, Relation], world: World) -> None:
    """The first table by number that references this one and keeps its rows."""
    for other in sorted(world.catalog.relations.values(), key=lambda one: one.oid):
        if other.oid in emptied_too or not any(key.references == relation.oid for key in other.foreign_keys):
            continue
        detail = hint = None
        if world.relation(other.schema, other.name) is not None:  # a hidden table has no name here
            detail = f'Table "{other.name}" references "{relation.name}".'
            hint = f'Truncate table "{other.name}" at the same time, or use TRUNCATE ... CASCADE.'
        raise FeatureNotSupported(
            "cannot truncate a table referenced in a foreign key constraint", detail=detail, hint=hint
        )
