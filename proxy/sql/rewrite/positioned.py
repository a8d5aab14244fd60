"""Positioned: WHERE CURRENT OF stands alone, and needs no predicate: the cursor is one of the session's own, made of a
query that shows own rows only.

That the cursor shows rows of the table as they are, without a boundary in between, the session asks of it
(Effects.positioned). Nothing can be joined to CURRENT OF with AND, so another confined table beside the target would
have no place for its predicate.
"""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit
from proxy.sql.scope import Level


def is_positioned(level: Level) -> bool:
    """Does the statement name its row by a cursor?"""
    return "CurrentOfExpr" in level.body.get("whereClause", {})


def check_positions(edit: Edit) -> None:
    """Raise FeatureNotSupported for WHERE CURRENT OF beside another table, and within another statement."""
    for level in edit.analysis.levels:
        if not is_positioned(level):
            continue
        if len(level.sources) > 1:
            raise FeatureNotSupported(
                "WHERE CURRENT OF beside other tables is not supported", hint="Name the row by its key."
            )
        if level.parent is not None:
            raise FeatureNotSupported(
                "WHERE CURRENT OF within another statement is not supported", hint="Send it as a statement of its own."
            )
