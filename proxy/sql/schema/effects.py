"""What a query or a change of rows does to the session, where the tenant has code of its own.

Numbers that are drawn from a sequence, by a default perhaps, are forgotten at check-in. What is not known to leave
nothing in the session, which is every statement once there are functions that nobody has reviewed, keeps the connection
with it, as on a database of the tenant's own: decision 0051.
"""

from __future__ import annotations

from dataclasses import replace

from proxy.sql.families import Draft
from proxy.sql.nodes import Nodes
from proxy.sql.plan import UNTRACKED
from proxy.sql.sequences import FUNCTIONS
from proxy.sql.whole.calls import Known
from proxy.sql.world import World
from proxy.sql.wrapped import query_in

ADDS_ROWS = frozenset({"InsertStmt", "MergeStmt"})


def beside_others(draft: Draft, world: World, known: Known) -> Draft:
    """The draft with what it does to the session, and the names that it asks for at Bind. A Refusal for a value that
    could name what is hidden.
    """
    copied = draft.tree.get("CopyStmt", {})
    query = query_in(draft.tree)
    if query is None and "relation" not in copied:
        return draft
    nodes = Nodes(query if query is not None else draft.tree)
    effects = draft.effects
    if effects.pins is None and not known.leaves_nothing(nodes.of("FuncCall")):
        effects = replace(effects, pins=UNTRACKED)
    called = {one["funcname"][-1]["String"].get("sval", "") for one in nodes.of("FuncCall")}
    adds = bool(ADDS_ROWS & nodes.by_kind.keys()) or bool(copied.get("is_from"))
    if effects.pins is None and (adds or called & FUNCTIONS):
        effects = replace(effects, draws=True)
    return replace(draft, effects=effects, names=draft.names)
