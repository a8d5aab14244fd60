"""Reading: is it certain that a statement does nothing but read, so that nothing is lost when its result is cut off?

Only then may a client be told that it failed although the server has completed it. Whatever is not known to be harmless
is taken for writing: functions that nobody has reviewed, and what may call them unseen: views, domains, operators,
casts, rules and policies. A stable or immutable function counts as well, because what it calls need not be. Names are
compared without their schemas, wherever they stand in the tree. Decision 0056.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from proxy.catalog.model import Catalog
from proxy.sql.copied import CopyIn, CopyOut
from proxy.sql.plan import NO_EFFECTS, Effects, StatementKind
from proxy.tenancy.extensions import reviewed

Node = dict[str, Any]
SYSTEM = frozenset({"pg_catalog", "information_schema"})
KINDS = frozenset({StatementKind.SELECT, StatementKind.COPY, StatementKind.EXPLAIN})
WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one database. acting: names of functions and relations that may do more than read; hidden: such a function may
    run without being named, as an operator or a cast.
    """

    acting: frozenset[str]
    hidden: bool

    @classmethod
    def of(cls, catalog: Catalog) -> Reading:
        """As of this picture of the database."""
        functions = {
            one.oid: one.name
            for many in catalog.functions.values()
            for one in many
            if one.schema not in SYSTEM and one.extension not in reviewed()
        }
        used = {one.function for many in catalog.own_operators.values() for one in many}
        used |= {one.function for one in catalog.casts.values()}
        return cls(_with_views(frozenset(functions.values()), catalog), not used.isdisjoint(functions))

    def only(self, kind: StatementKind, tree: Node, effects: Effects, copy: CopyIn | CopyOut | None = None) -> bool:
        """Does this statement only read? Of an EXECUTE: do its arguments?"""
        if effects.executes is not None:
            if kind is not StatementKind.PREPARE and kind is not StatementKind.EXPLAIN:
                return False
        elif "FetchStmt" in tree:  # its rows are of a block, or were kept when that ended
            return effects == NO_EFFECTS
        elif kind not in KINDS or isinstance(copy, CopyIn):
            return False
        if replace(effects, executes=None, fresh=False) != NO_EFFECTS or self.hidden:
            return False
        return not self.acting or self.acting.isdisjoint(strings(tree))


def strings(tree: Any) -> set[str]:
    """Every string in a tree: all its names, and literals."""
    found: set[str] = set()
    stack = [tree]
    while stack:
        one = stack.pop()
        if type(one) is dict:
            stack += one.values()
        elif type(one) is list:
            stack += one
        elif type(one) is str:
            found.add(one)
    return found


def _with_views(functions: frozenset[str], catalog: Catalog) -> frozenset[str]:
    """And what may call them: domains with conditions, foreign tables, tables with rules or policies, and views that
    name any of these, or of the functions.
    """
    relations = [one for one in catalog.relations.values() if one.schema not in SYSTEM]
    views = [one for one in relations if one.kind == "v"]
    acting = set(functions)
    acting |= {one.name for one in catalog.types.values() if one.checked and one.schema not in SYSTEM}
    acting |= {one.name for one in relations if one.kind == "f" or one.rules or (one.row_security and one.wall is None)}
    words = {one.oid: set(WORD.findall(one.definition)) for one in views}
    grows = True
    while grows:
        odd = [name.replace('"', '""') for name in acting if WORD.fullmatch(name) is None]
        found = {
            one.name
            for one in views
            if one.name not in acting
            and (not acting.isdisjoint(words[one.oid]) or any(name in one.definition for name in odd))
        }
        grows = bool(found)
        acting |= found
    return frozenset(acting)
