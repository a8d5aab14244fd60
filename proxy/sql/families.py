"""Families: what a statement of each kind goes through between classify and render: a total table.

Promises: a kind that is not in the table is not sent. A draft must be proved unless its family says that it names
nothing that could be a tenant's; only the planner makes a Forward of it. Every query, wherever it stands, goes the one
way of confine(). What a family refuses is a Refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.catalogs import confine_catalogs
from proxy.sql.classified import Classified
from proxy.sql.classify import cursor_of, setting_calls
from proxy.sql.constraints import qualified
from proxy.sql.copied import CopyIn, CopyOut, Insertion
from proxy.sql.copy import settle
from proxy.sql.explaining import COUNTED, explained
from proxy.sql.far import send_nowhere
from proxy.sql.insertion import insertion, with_rows, without_rows
from proxy.sql.lift import Lifted
from proxy.sql.liftable import mark_literals, without_holes
from proxy.sql.locks import TAG as LOCKED
from proxy.sql.locks import lock_table
from proxy.sql.mapped import map_calls, with_calls
from proxy.sql.naming import looks_up
from proxy.sql.nodes import Node, Nodes
from proxy.sql.objects import bound_names
from proxy.sql.permit import permit
from proxy.sql.plan import CATALOGS, Effects, KeyCheck, NameCheck
from proxy.sql.prepared import arguments, refuse_names
from proxy.sql.regs import TEXT, check_made, check_reg, check_target
from proxy.sql.render import render
from proxy.sql.restored import restorable
from proxy.sql.rewrite import rewrite
from proxy.sql.scope import Named
from proxy.sql.stand_ins import stand_in
from proxy.sql.tableoids import guard_tableoids
from proxy.sql.temporary import defined, filled
from proxy.sql.truncate import TAG as EMPTIED
from proxy.sql.truncate import emptied
from proxy.sql.world import World
from proxy.sql.wrapped import query_in, with_query

SET_ALONE = "Use SET, or set_config() with constants as the whole statement."


@dataclass(frozen=True, slots=True)
class Scene:
    """What a family may look at besides the statement. parameter_types: as Parse declares them."""

    world: World
    lifted: Lifted | None
    parameter_types: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan in the making. tree: what is to be sent; nodes: of the tree as it came; outputs: a query's columns, None
    where they are not all known; proved: must verify accept the text? The rest is as in Forward.
    """

    tree: Node
    effects: Effects
    tag: str | None = None
    nodes: Nodes | None = None
    proved: bool = True
    rewritten: bool = False
    rules: tuple[str, ...] = ()
    checks: tuple[KeyCheck, ...] = ()
    names: tuple[NameCheck, ...] = ()
    copy: CopyIn | CopyOut | None = None
    outputs: tuple[Named, ...] | None = None


Family = Callable[[Draft, Scene], Draft]


def drafted(classified: Classified, scene: Scene) -> Draft:
    """The statement as its family leaves it."""
    (kind,) = classified.tree
    return FAMILIES[kind](Draft(classified.tree, classified.effects, classified.tag, classified.nodes), scene)


def as_it_is(draft: Draft, scene: Scene) -> Draft:
    """What names nothing of the database."""
    return replace(draft, proved=False)


def confine(draft: Draft, scene: Scene) -> Draft:
    """The query that the statement is or holds, confined to the tenant."""
    query, world = query_in(draft.tree), scene.world
    if query is None:
        return draft
    nodes = _nodes(query, draft.nodes)
    marked = mark_literals(nodes, scene.lifted) if scene.lifted is not None else set()
    near = _nodes(send_nowhere(nodes, world), nodes)
    asked = _nodes(stand_in(near, world), near)
    permit(asked, world, scene.parameter_types)
    names = bound_names(asked)
    looked_at = False
    if world.policy.schema:
        more, looked_at = check_reg(asked, world)
        names = (*names, *more)
    mapped = map_calls(asked, world)
    effects = with_calls(draft.effects, mapped.effects) if mapped.acted else draft.effects
    named = _nodes(mapped.tree, asked)
    if world.policy.schema:
        named = _nodes(guard_tableoids(named), named)
    query, confined = confine_catalogs(named, world)
    confined = confined or asked is not near
    outcome = rewrite(query, world, scene.parameter_types)
    query = without_holes(outcome.tree, marked if looked_at else outcome.sensitive & marked)
    if effects.executes is not None:
        effects = replace(effects, executes=replace(effects.executes, arguments=arguments(query)))
    noted = ((CATALOGS, confined), ("shared.map", mapped.acted))
    return replace(
        draft,
        tree=with_query(draft.tree, query),
        effects=effects,
        rewritten=outcome.rewritten or confined,
        rules=(*draft.rules, *outcome.rules, *(rule for rule, acted in noted if acted)),
        checks=outcome.checks,
        names=names,
        outputs=outcome.outputs,
    )


def confine_within(draft: Draft, scene: Scene) -> Draft:
    """A query within another statement, where it must not change settings or be on a cursor's row."""
    query = query_in(draft.tree)
    if query is not None and setting_calls(query):
        raise InsufficientPrivilege("permission denied for function set_config", hint=SET_ALONE)
    if query is not None and any(cursor_of(one) for one in query.values()):
        raise FeatureNotSupported("WHERE CURRENT OF is not supported here", hint="Send it as it is.")
    return confine(draft, scene)


def explain(draft: Draft, scene: Scene) -> Draft:
    """EXPLAIN, as the rule allows it."""
    policy = scene.world.policy
    done = confine_within(replace(draft, tree=explained(draft.tree, policy)), scene)
    if policy.schema and CATALOGS in done.rules:
        raise FeatureNotSupported("EXPLAIN of a catalog is not supported", hint=COUNTED)
    return done


def create_as(draft: Draft, scene: Scene) -> Draft:
    """CREATE TABLE AS and SELECT INTO: the table is the session's own."""
    if scene.world.policy.schema:
        check_made(Nodes(draft.tree), scene.world)
        if draft.effects.executes is not None:  # of columns that nobody knows
            raise FeatureNotSupported("EXECUTE is not supported here", hint="Write the query itself.")
    done = confine_within(draft, scene)
    known = None if done.effects.executes is not None else done.outputs
    if known is None or not all(one.value.type for one in known):
        check_made(Nodes(draft.tree), scene.world)
    elif any(looks_up(scene.world.catalog, one.value.type or 0) for one in known):
        raise FeatureNotSupported("a column whose values are names is not supported here", hint=TEXT)
    tree, made = filled(done.tree["CreateTableAsStmt"], known, scene.world)
    return replace(done, tree=tree, effects=replace(done.effects, writes=True, creates=made))


def copy(draft: Draft, scene: Scene) -> Draft:
    """COPY: of a table from the client, or of a query to it."""
    tree, copied = settle(draft.tree, scene.world)
    if isinstance(copied, CopyIn):
        check_target(draft.tree["CopyStmt"]["relation"], scene.world)
    if isinstance(copied, CopyIn) and copied.insert is not None:
        return inserted(draft, scene, tree, copied, copied.insert)
    settled = replace(draft, tree=tree, copy=copied, rewritten=True, rules=("row.copy",))
    return confine_within(settled, scene)


def inserted(draft: Draft, scene: Scene, tree: Node, copied: CopyIn, asked: Insertion) -> Draft:
    """COPY FROM as an INSERT of rows of parameters: what is proved has two."""
    refuse_names(asked.types, scene.world.catalog)
    drafts = [
        confine(replace(draft, tree=one, nodes=None), replace(scene, parameter_types=asked.types * rows))
        for rows, one in enumerate((with_rows(tree, 1), tree), 1)
    ]
    one, two = drafts
    checks = one.checks
    restore = restorable(one.tree, scene.world)
    insert = insertion(render(one.tree).template, render(two.tree).template, asked.types, asked.shape, checks, restore)
    return replace(
        two, copy=replace(copied, insert=insert), checks=without_rows(checks), rules=(*two.rules, "row.copy_insert")
    )


def empty(draft: Draft, scene: Scene) -> Draft:
    """TRUNCATE: the tenant's rows are deleted."""
    tree = emptied(draft.tree["TruncateStmt"], scene.world)
    return confine(replace(draft, tree=tree, tag=EMPTIED), scene)


def define(draft: Draft, scene: Scene) -> Draft:
    """CREATE TABLE, DROP TABLE and CREATE INDEX of the session's own."""
    tree, effects, expressions = defined(draft.tree, scene.world)
    nodes = Nodes({"List": {"items": expressions}})
    permit(nodes, scene.world)
    if map_calls(nodes, scene.world).acted:
        raise FeatureNotSupported("this function is not supported in a table's definition")
    return replace(draft, tree=tree, effects=effects)


def lock(draft: Draft, scene: Scene) -> Draft:
    """LOCK TABLE: a lock among the tenant's own sessions."""
    tree = lock_table(draft.tree["LockStmt"], scene.world)
    return replace(draft, tree=tree, tag=LOCKED, rules=("shared.lock",))


def name_constraints(draft: Draft, scene: Scene) -> Draft:
    """SET CONSTRAINTS: of tables that the tenant sees."""
    return replace(draft, tree=qualified(draft.tree, scene.world), proved=False)


FAMILIES: Mapping[str, Family] = {
    "SelectStmt": confine,
    "InsertStmt": confine,
    "UpdateStmt": confine,
    "DeleteStmt": confine,
    "MergeStmt": confine,
    "PrepareStmt": confine,
    "ExecuteStmt": confine_within,
    "DeclareCursorStmt": confine_within,
    "ExplainStmt": explain,
    "CreateTableAsStmt": create_as,
    "CopyStmt": copy,
    "TruncateStmt": empty,
    "CreateStmt": define,
    "DropStmt": define,
    "IndexStmt": define,
    "LockStmt": lock,
    "ConstraintsSetStmt": name_constraints,
    "TransactionStmt": as_it_is,
    "VariableSetStmt": as_it_is,
    "VariableShowStmt": as_it_is,
    "DiscardStmt": as_it_is,
    "FetchStmt": as_it_is,
    "ClosePortalStmt": as_it_is,
}


def _nodes(tree: Node, known: Nodes | None) -> Nodes:
    """Of a tree; `known`: of what it was before this station, which may have left it as it is."""
    return known if known is not None and known.tree is tree else Nodes(tree)
