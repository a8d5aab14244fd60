"""What the role of a tenant behind policies would reach at the server without the proxy: nothing but its own rows and
what is shared, or it is not served.

Every one of these findings is critical and cannot be accepted: where the server is the wall, or the second one, what it
allows is what isolation is worth. Source: isolation.md 2.3, 3.8 and 4.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.catalog.finding import Finding, identifier
from proxy.catalog.model import Relation
from proxy.catalog.walls import POLICY
from proxy.doctor.patient import Patient, full, short
from proxy.doctor.surface import SHOWN

ROWS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"})
AGAIN = "run what `partywall provision` prints"


def wall_findings(patient: Patient) -> Iterator[Finding]:
    """`rls.relation`: without our policy, or a view around it. `rls.grants.relation`: more than rows of its own or what
    is shared. `rls.definer.function`: runs as somebody for whom no policy holds.
    """
    if not patient.world.policy.behind_rls:
        return
    for (schema, name), why in sorted(patient.world.unwalled.items()):
        relation = patient.catalog.relations[schema, name]
        remedy = _again(patient, relation)
        if relation.kind == "v":
            remedy = f"ALTER VIEW {full(relation)} SET (security_invoker = true);"
            remedy += " -- and let no rule verify it while it reads what no policy holds for"
        attack = f"SELECT * FROM {full(relation)} -- all tenants' rows"
        yield _critical(f"rls.{short(schema, name)}", f"{full(relation)}: {why}", remedy, attack)
    for relation, seen in patient.relations():
        allowed = frozenset() if seen is None else ROWS if seen.access == "tenant" else frozenset({"SELECT"})
        surplus = [one for one in patient.may(relation) if one not in allowed]
        if surplus and (relation.schema, relation.name) not in patient.world.unwalled:
            text = f"role {patient.role} may {', '.join(surplus)} on {full(relation)}"
            remedy = f"REVOKE {', '.join(surplus)} ON {full(relation)} FROM {patient.holders};"
            attack = next(one for verb, one in SHOWN.items() if verb in surplus).replace("{}", full(relation))
            yield _critical(f"rls.grants.{short(relation.schema, relation.name)}", text, remedy, attack)
    for oid, signature in sorted(patient.examination.functions.items(), key=lambda one: one[1]):
        function = patient.catalog.functions_by_oid.get(oid)
        if function is not None and function.security_definer and function.owner in patient.catalog.bypassing:
            kind = "PROCEDURE" if function.kind == "p" else "FUNCTION"
            text = f"role {patient.role} may call {signature}, which runs as {function.owner}: no policy holds for it"
            remedy = f"REVOKE EXECUTE ON {kind} {signature} FROM {patient.holders};"
            verb = "CALL" if function.kind == "p" else "SELECT"
            attack = f"{verb} {identifier(function.schema)}.{identifier(function.name)}(…)"
            yield _critical(f"rls.definer.{short(function.schema, function.name)}", text, remedy, attack)


def _again(patient: Patient, relation: Relation) -> str:
    """`partywall provision` makes our policy, and leaves others' to whoever made them."""
    others = [one for one in patient.examination.policies.get(relation.oid, ()) if one != POLICY]
    dropped = " ".join(f"DROP POLICY {identifier(one)} ON {full(relation)};" for one in others)
    return f"{dropped} -- then {AGAIN}" if dropped else AGAIN


def _critical(name: str, text: str, remedy: str, attack: str) -> Finding:
    return Finding(name, "critical", text, remedy, attack, acceptable=False)
