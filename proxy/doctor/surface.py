"""What a role reaches without the proxy's predicates: hidden relations, code, triggers, more verbs than it needs.

Through the proxy none of it is in reach; it is the second line that these findings are about. Source: isolation.md 3.5,
3.8 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.finding import Finding, Severity, identifier
from proxy.catalog.model import Function
from proxy.doctor.patient import Patient, full, short

NEEDLESS = ("TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
SHOWN = {  # the worst first
    "SELECT": "SELECT * FROM {} -- everybody's",
    "TRUNCATE": "TRUNCATE {} -- everybody's rows, which no predicate confines",
    "DELETE": "DELETE FROM {} -- everybody's",
    "UPDATE": "UPDATE {} SET … -- everybody's",
    "INSERT": "INSERT INTO {} DEFAULT VALUES -- everybody reads it",
    "TRIGGER": "CREATE TRIGGER another BEFORE UPDATE ON {} FOR EACH ROW"
    " EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger() -- or another, which others run",
    "MAINTAIN": "REINDEX TABLE {} -- everybody waits",
    "REFERENCES": "CREATE TABLE another (a … REFERENCES {}) -- where it may create: 23503 tells what others have",
}
EVENTS = {
    "INSERT": "INSERT INTO {table} ({own}) VALUES ('own')",
    "UPDATE": "UPDATE {table} SET {own} = {own} WHERE {own} = 'own'",
    "DELETE": "DELETE FROM {table} WHERE {own} = 'own'",
    "TRUNCATE": "TRUNCATE {table}",
}
COMPARISON = 1  # what comparing the tenant column costs; what costs no more may be called before
LEGIBLE = frozenset({"sql", "internal"})
TRIGGER = 2279  # the type that only triggers' functions return
WRITES = ("INSERT", "UPDATE", "DELETE")
KINDS = {"v": "view", "m": "view", "r": "unlisted", "p": "unlisted", "f": "unlisted"}


def relation_findings(patient: Patient) -> Iterator[Finding]:
    """`view.` and `unlisted.relation`: hidden, and the role may use it. `grants.relation`: it may do more."""
    for relation, seen in patient.relations():
        name = short(relation.schema, relation.name)
        if seen is None:
            held = patient.may(relation)
            if not held:
                continue
            severity: Severity = "warning" if relation.kind in "vmf" or "SELECT" in held else "advice"
            what = "shows rows of all tenants" if relation.kind in "vm" else "has no rule, and no column that confines"
            yield Finding(
                f"{KINDS[relation.kind]}.{name}",
                severity,
                f"{full(relation)} is hidden, and role {patient.role} may use it: it {what}",
                f"REVOKE ALL ON {full(relation)} FROM {patient.holders};",
                f"SELECT * FROM {full(relation)}",
            )
            continue
        surplus = patient.may(relation, *NEEDLESS, *(() if seen.access == "tenant" else WRITES))
        given = patient.examination.grantable.get(relation.oid, ())
        if not surplus and not given:
            continue
        table = full(relation)
        attack = f"GRANT {given[0]} ON {table} TO PUBLIC" if given else ""
        if surplus:
            attack = next(one for verb, one in SHOWN.items() if verb in surplus).replace("{}", table)
        remedies = [f"REVOKE {', '.join(surplus)} ON {table} FROM {patient.holders};"] if surplus else []
        if given:
            remedies.append(f"REVOKE GRANT OPTION FOR ALL ON {table} FROM {patient.given_to} CASCADE;")
        may = [f"may {', '.join(surplus)}"] if surplus else []
        may += [f"may grant {', '.join(given)} to others"] if given else []
        yield Finding(
            f"grants.{name}",
            "warning",
            f"role {patient.role} {' and '.join(may)} on {table}, which no tenant needs",
            " ".join(remedies),
            attack,
        )


def function_findings(patient: Patient) -> Iterator[Finding]:
    """`function.name`: it runs with its owner's rights, or is so cheap that it is called before any predicate, or
    nobody can see what it does, and no rule says that it was reviewed.
    """
    rules = patient.world.function_rules
    for oid, signature in sorted(patient.examination.functions.items(), key=lambda one: one[1]):
        function = patient.catalog.functions_by_oid.get(oid)
        if function is None:
            continue
        listed = (function.schema, function.name) in rules
        cheap = function.cost <= COMPARISON and not function.leakproof
        opaque = function.language not in LEGIBLE and not listed and function.result != TRIGGER
        if not (function.security_definer or cheap or opaque):
            continue
        kind = "PROCEDURE" if function.kind == "p" else "FUNCTION"
        named = f"{kind} {_qualified(function, signature)}"
        cost = f"ALTER {named} COST 100;" if cheap else ""
        revoked = f"REVOKE EXECUTE ON {named} FROM {patient.holders};"
        invoker = f"ALTER {named} SECURITY INVOKER;" if function.security_definer else ""
        why = f"is written in {function.language}, and no rule says that it was reviewed"
        if function.security_definer:
            why = "runs as its owner, whom no predicate confines"
        elif cheap:
            why = "is called before the predicates"
        called = f"{identifier(function.schema)}.{identifier(function.name)}(…)"
        example = f"{'CALL' if function.kind == 'p' else 'SELECT'} {called}"
        if cheap:
            example = f"SELECT 1 FROM a_table WHERE tenant_column = 'own' AND {called}"
        yield Finding(
            f"function.{short(function.schema, function.name)}",
            "warning" if function.security_definer or cheap else "advice",
            f"{signature} {why}, and role {patient.role} may call it" + ("; the rules allow it" if listed else ""),
            " ".join(one for one in (cost, invoker if listed else revoked) if one),
            example,
        )


def _qualified(function: Function, signature: str) -> str:
    """regprocedure leaves out schemas of the search path, which is not the one of whoever runs the DDL."""
    head = f"{identifier(function.schema)}."
    return signature if "." in signature.partition("(")[0] else head + signature


def action_findings(patient: Patient) -> Iterator[Finding]:
    """`trigger.relation`: triggers and rules of tenants' tables run unfiltered, by whoever writes."""
    for relation, column in patient.confined():
        actions = patient.examination.actions.get(relation.oid, ())
        if actions:
            table, own = full(relation), identifier(column.name)
            names = ", ".join(f"{one.name} ({one.what})" if one.what else f"rule {one.name}" for one in actions)
            attack = EVENTS[actions[0].event].format(table=table, own=own)
            yield Finding(
                f"trigger.{short(relation.schema, relation.name)}",
                "warning",
                f"writing to {table} runs code that sees all tenants: {names}",
                " ".join(f"ALTER TABLE {table} DISABLE {one.kind} {identifier(one.name)};" for one in actions),
                f"{attack} -- its code may read and tell others' rows",
            )
