"""Classified: what classify says of one statement, and what the families of statements in modules of their own say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.sql.nodes import Nodes
from proxy.sql.plan import NO_EFFECTS, Answer, Effects, StatementKind

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Classified:
    """tree: what is planned, mostly the client's; answer: the whole plan when the proxy replies itself."""

    kind: StatementKind
    tree: Node
    effects: Effects = NO_EFFECTS
    answer: Answer | None = None
    tag: str | None = None  # of the command, where it is not that of the tree
    nodes: Nodes | None = None  # of the tree, where they are gathered already
