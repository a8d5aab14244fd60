"""What a statement's calls, and what they may call in turn, do to the session, as far as the proxy can tell.

The functions of pg_catalog that leave nothing in a session are those that a tenant may call in row mode, too. What is
not known to leave nothing keeps the connection with the session until it ends (UNTRACKED), and so does every statement
of a database that has functions of its own: a trigger, a default, a view or an operator may call them. Decision 0051.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proxy.catalog.model import Catalog
from proxy.sql.functions import allowed, by_number, relation_text
from proxy.sql.mapped import SESSION_LOCKS, kept
from proxy.sql.parse import walk
from proxy.sql.plan import NO_EFFECTS, UNTRACKED, Effects
from proxy.sql.sequences import FUNCTIONS as SEQUENCES
from proxy.tenancy.extensions import reviewed

Node = dict[str, Any]
SYSTEM = ("pg_catalog", "information_schema")
NOTED = SESSION_LOCKS | {"pg_notify", "setseed"}
QUIET = frozenset({
    "current_setting", "has_database_privilege", "has_schema_privilege", "pg_advisory_unlock",
    "pg_advisory_unlock_all", "pg_advisory_unlock_shared", "pg_advisory_xact_lock", "pg_advisory_xact_lock_shared",
    "pg_backend_pid", "pg_cancel_backend", "pg_is_in_recovery", "pg_listening_channels", "pg_terminate_backend",
    "pg_try_advisory_xact_lock", "pg_try_advisory_xact_lock_shared",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one database's functions. own: names outside the system's schemas; acting: it has functions
    that nobody has reviewed, or has stored calls that may leave something.
    """

    own: frozenset[str]
    acting: bool

    @classmethod
    def of(cls, catalog: Catalog) -> Known:
        """As of this picture of the database."""
        found = [one for many in catalog.functions.values() for one in many if one.schema not in SYSTEM]
        unknown = any(one.extension not in reviewed() for one in found)
        stored = any(not cls(frozenset(), False)._leaves_nothing("pg_catalog", one) for one in catalog.stored_calls)
        return cls(frozenset(one.name for one in found), unknown or stored)

    def effects(self, tree: Node) -> Effects:
        """What the calls of a query or a change of rows do to the session."""
        names = [_name(body) for name, body in walk(tree) if name == "FuncCall"]
        if not self.acting and all(self._leaves_nothing(schema, name) for schema, name in names):
            return NO_EFFECTS
        called = {name for _, name in names}
        others = [one for one in names if one[1] not in NOTED]
        pins = kept(called)
        if self.acting or not all(self._leaves_nothing(schema, name) for schema, name in others):
            pins = UNTRACKED
        return Effects(pins=pins, notifies="pg_notify" in called)

    def leaves_nothing(self, calls: list[Node]) -> bool:
        """Do these calls leave nothing in a session but what is tracked by name: numbers of sequences, for one?"""
        names = [_name(body) for body in calls]
        noted = NOTED | SEQUENCES
        return not self.acting and all(self._leaves_nothing(*one) for one in names if one[1] not in noted)

    def _leaves_nothing(self, schema: str, name: str) -> bool:
        if schema not in ("", "pg_catalog") or (not schema and name in self.own):
            return False
        return name in allowed() or name in QUIET or name in by_number() or name in relation_text()


def _name(call: Node) -> tuple[str, str]:
    names = ["", *(str(part.get("String", {}).get("sval", "")) for part in call.get("funcname", ()))]
    return names[-2] if len(names) > 1 else "", names[-1]
