"""The search path of a session whose tenant has a schema of its own: any list of names, as on a private database.

A name that is not the tenant's to see is one that is not there, to the server too, because the role may not use that
schema; the path that the planner reads names with is without it. Refused is what would put something before pg_catalog,
or the server's own views among the names that need no schema: the planner could not tell them apart.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from proxy.errors import FeatureNotSupported, Refusal
from proxy.sql.classified import Classified
from proxy.sql.names import split_name
from proxy.sql.parse import Statement
from proxy.sql.plan import Effects, PlanContext, SettingEffect, StatementKind, TransactionVerb
from proxy.sql.search_path import BARE
from proxy.tenancy.policy import Policy

Node = dict[str, Any]
QUOTED = re.compile(r"'((?:[^']|'')*)'")
USER = "$user"
CONFIGURATION = "default_text_search_config"
LONGEST = 1000  # bytes
APART = "Send it in a text of its own."
TAKING_BACK = frozenset({TransactionVerb.ROLLBACK, TransactionVerb.ROLLBACK_TO})
KNOWN = frozenset({"TransactionStmt", "VariableSetStmt", "VariableShowStmt"})  # in which no name is looked up
HINT = "Leave pg_catalog out of the list: it is searched first. Qualify other names of the server's."


def classify_path(statement: Statement, context: PlanContext) -> Classified | None:
    """SET or RESET search_path of a tenant that may have any; None for everything else."""
    body = statement.tree.get("VariableSetStmt")
    return set_path(body) if body is not None and context.policy.schema else None


def with_path(context: PlanContext, effects: Effects) -> PlanContext:
    """The context of what stands behind a statement in one text."""
    for one in effects.settings if context.policy.schema else ():
        if one.name == "search_path":
            there = context.policy.path if one.value is None else path_of(context.policy, one.value, context.role)
            context = replace(context, search_path=there, bare=one.value == BARE)
    return context


class Course:
    """The contexts of the statements of one text, one after the other. A path that was set in the text is not known any
    more once a transaction was ended or taken back there.
    """

    def __init__(self, context: PlanContext) -> None:
        self.context = context
        self._set, self._local, self._lost = False, False, False

    def follow(self, effects: Effects) -> None:
        """Behind a statement with these effects."""
        if not self.context.policy.schema:
            return
        paths = [one.local for one in effects.settings if one.name == "search_path"]
        if paths:
            self._set, self._local, self._lost = True, any(paths), False
            self.context = with_path(self.context, effects)
        elif effects.transaction in TAKING_BACK:
            self._lost = self._lost or self._set
        elif effects.transaction is TransactionVerb.COMMIT:
            self._lost = self._lost or self._local

    def check(self, tree: Node) -> None:
        """FeatureNotSupported for a statement whose names nobody can read."""
        if self._lost and not KNOWN & tree.keys():
            raise FeatureNotSupported("this statement is not supported behind another search_path", hint=APART)


def set_path(body: Node) -> Classified | None:
    """What SET or RESET search_path does; None for a SET of anything else."""
    if str(body.get("name", "")).lower() != "search_path":
        return None
    kind, local = body.get("kind"), bool(body.get("is_local", False))
    tree = {"VariableSetStmt": body}
    if kind in ("VAR_RESET", "VAR_SET_DEFAULT"):
        effects = Effects(settings=(SettingEffect("search_path", None, local),))
        return Classified(StatementKind.SETTING, tree, effects, tag="RESET" if kind == "VAR_RESET" else None)
    names = [one.get("A_Const", {}).get("sval", {}).get("sval") for one in body.get("args", ())]
    constants = [one.get("A_Const", {}) for one in body.get("args", ())]
    if kind != "VAR_SET_VALUE" or not names or any("sval" not in one for one in constants):
        raise FeatureNotSupported("this value of search_path is not supported", hint="Write names of schemas.")
    plain = [str(name or "") for name in names]
    require_path(plain)
    text = ", ".join("'" + one.replace("'", "''") + "'" for one in plain)
    return Classified(StatementKind.SETTING, tree, Effects(settings=(SettingEffect("search_path", text, local),)))


def require_path(names: list[str]) -> None:
    """FeatureNotSupported for a path on which a name could mean what the planner would not look at."""
    for at, name in enumerate(names):
        system = name.startswith("pg_") or name == "information_schema"
        if system and not (name == "pg_catalog" and at == 0):
            raise FeatureNotSupported(f'"{name}" is not supported in search_path here', hint=HINT)


def check_settings(effects: Effects, policy: Policy) -> None:
    """A Refusal for a setting whose value names what is not there to the tenant: the server looks it up."""
    for one in effects.settings if policy.schema else ():
        if one.name == CONFIGURATION and (one.parameter is not None or not may_be_configuration(policy, one.value)):
            raise Refusal(f'invalid value for parameter "{CONFIGURATION}": {one.value}', sqlstate="22023")


def may_be_configuration(policy: Policy, value: str | None) -> bool:
    """May a session have this text search configuration? One without a schema is on the path."""
    schema = None if value is None else split_name(value.strip("'"))[0]
    return schema in (None, "pg_catalog", *policy.path)


def may_be_path(value: str) -> bool:
    """May a session have this path, a list as the setting's own text has it?"""
    try:
        require_path([one.strip().strip('"') for one in value.split(",")])
    except FeatureNotSupported:
        return False
    return len(value.encode()) <= LONGEST


def names_in(text: str) -> list[str]:
    """The names of a value as SET writes it."""
    return [one.replace("''", "'") for one in QUOTED.findall(text)]


def path_of(policy: Policy, text: str, role: str) -> tuple[str, ...]:
    """The path that a value as SET writes it means to the tenant: what it does not see is not there."""
    if text == BARE:
        return ()
    names = [role if one == USER else one for one in names_in(text)]
    return tuple(dict.fromkeys(one for one in names if one in (*policy.path, "pg_catalog")))
