"""The search path of a session: the pinned one, or none at all, which is what pg_dump works under; and what that
sets besides.

Nothing else may be chosen: with another path the server could take a name for something that the planner did not look
at. Without any, names mean less than the planner thinks, never more. Decision 0028.
"""

from __future__ import annotations

from typing import Any

from proxy.sql.classified import Classified
from proxy.sql.plan import Effects, SettingEffect, StatementKind
from proxy.sql.settings import allowed_setting

Node = dict[str, Any]
BARE = "''"  # as SET writes it


def search_path(tree: Node, names: list[str], local: bool) -> Classified | None:
    """SET search_path to these names; None where a session may not have them."""
    if names == [""]:
        return Classified(StatementKind.SETTING, tree, Effects(settings=(SettingEffect("search_path", BARE, local),)))
    if not allowed_setting("search_path", ", ".join(names)):
        return None
    back = SettingEffect("search_path", None, local)
    return Classified(StatementKind.SETTING, set_tree("search_path", "public", local), Effects(settings=(back,)))


def of_a_dump(body: Node) -> Classified | None:
    """What a SET or RESET means that pg_dump sends after it has emptied its path; None for any other. It turns
    row_security off, because it would rather fail than be filtered: on and off show the same to a role that owns
    nothing.
    """
    if body.get("name") == "row_security":
        return Classified(StatementKind.SETTING, set_tree("row_security", "on", False))
    if body.get("name") == "search_path" and body.get("kind") == "VAR_RESET":
        return search_path({}, ["public"], False)
    return None


def set_tree(name: str, value: str, local: bool) -> Node:
    """SET name TO 'value' as a statement."""
    body: Node = {
        "kind": "VAR_SET_VALUE",
        "name": name,
        "args": [{"A_Const": {"sval": {"sval": value}, "location": -1}}],
    }
    return {"VariableSetStmt": {**body, **({"is_local": True} if local else {}), "location": -1}}
