"""What a role reaches without the proxy's predicates: hidden relations, code, triggers, more verbs than it needs.

Through the proxy none of it is in reach; it is the second line that these findings are about. Source: isolation.md 3.5,
3.8 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.finding import Finding, Severity, identifier
from proxy.catalog.model import Function, Relation
from proxy.doctor.patient import Patient, full, short

NEEDLESS = ("TRUNCATE", "REFERENCES", "TRIGGER")
WRITES = ("INSERT", "UPDATE", "DELETE")
KINDS = {"v": "view", "m": "view", "r": "unlisted", "p": "unlisted", "f": "unlisted"}


def column_findings(patient: Patient) -> Iterator[Finding]:
    """`column.relation`: a rule or its column would make it a tenant's, and its tenant column cannot confine."""
    for (schema, name), why in sorted(patient.world.hidden_reasons.items()):
        relation = patient.catalog.relations.get((schema, name))
        if relation is None or (schema, name) not in {(one.schema, one.name) for one, _ in patient.relations()}:
            continue
        ddl = _not_null(patient, relation) if why.endswith("is nullable") else ""
        yield Finding(
            f"column.{short(schema, name)}",
            "warning",
            f"{full(relation)} is hidden: {why}",
            ddl or "give the column a type and collation that can confine, or hide the relation by rule",
        )


def _not_null(patient: Patient, relation: Relation) -> str:
    rule = patient.world.policy.relations.get((relation.schema, relation.name))
    column = identifier((rule and rule.tenant_column) or patient.world.policy.tenant_column)
    nullable = [one for one in (relation, *patient.world.descendants(relation)) if one.kind in "rp"]
    return " ".join(f"ALTER TABLE {full(one)} ALTER COLUMN {column} SET NOT NULL;" for one in nullable)


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
                f"REVOKE ALL ON {full(relation)} FROM PUBLIC, {patient.role};",
                f"SELECT * FROM {full(relation)}",
            )
            continue
        surplus = patient.may(relation, *NEEDLESS, *(() if seen.access == "tenant" else WRITES))
        if surplus:
            attack = f"TRUNCATE {full(relation)}" if "TRUNCATE" in surplus else f"DELETE FROM {full(relation)}"
            yield Finding(
                f"grants.{name}",
                "warning",
                f"role {patient.role} may {', '.join(surplus)} on {full(relation)}, which no tenant needs",
                f"REVOKE {', '.join(surplus)} ON {full(relation)} FROM PUBLIC, {patient.role};",
                attack if {"TRUNCATE", "DELETE"} & set(surplus) and relation.kind != "m" else "",
            )


def function_findings(patient: Patient) -> Iterator[Finding]:
    """`function.name`: it runs with its owner's rights, or is so cheap that it is called before any predicate."""
    rules = patient.world.function_rules
    for oid, signature in sorted(patient.examination.functions.items(), key=lambda one: one[1]):
        function = patient.catalog.functions_by_oid.get(oid)
        cheap = function is not None and function.cost < 1 and not function.leakproof
        if function is None or not (function.security_definer or cheap):
            continue
        kind = "PROCEDURE" if function.kind == "p" else "FUNCTION"
        listed = (function.schema, function.name) in rules
        named = f"{kind} {_qualified(function, signature)}"
        cost = f"ALTER {named} COST 1;" if cheap else ""
        revoked = f"REVOKE EXECUTE ON {named} FROM PUBLIC, {patient.role};"
        invoker = f"ALTER {named} SECURITY INVOKER;" if function.security_definer else ""
        why = "is called before the predicates"
        if function.security_definer:
            why = "runs as its owner, whom no predicate confines"
        example = f"SELECT {identifier(function.schema)}.{identifier(function.name)}(…)"
        if cheap:
            example = f"SELECT 1 FROM a_table WHERE tenant_column = 'own' AND {example.removeprefix('SELECT ')}"
        yield Finding(
            f"function.{short(function.schema, function.name)}",
            "warning",
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
    for relation, _ in patient.confined():
        actions = patient.examination.actions.get(relation.oid, ())
        if actions and not relation.is_partition:
            names = ", ".join(f"{one.name} ({one.what})" if one.what else f"rule {one.name}" for one in actions)
            yield Finding(
                f"trigger.{short(relation.schema, relation.name)}",
                "warning",
                f"writing to {full(relation)} runs code that sees all tenants: {names}",
                " ".join(f"ALTER TABLE {full(relation)} DISABLE {one.kind} {identifier(one.name)};" for one in actions),
                f"UPDATE {full(relation)} SET … WHERE tenant_column = 'own' -- its code may read and tell others' rows",
            )
