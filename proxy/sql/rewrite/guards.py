"""Guards: a conjunct that is not silent becomes CASE WHEN guard THEN conjunct END (isolation.md 2.5, rule 3).

Promises: below a scan's tenant predicate only silent or guarded expressions run. In a FULL JOIN the operands of =
are guarded, so that it stays joinable. Marks the levels that it acted on as loud. Runs before any rule that puts
predicates in."""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.rewrite.edit import Edit, case, conjunction, references
from proxy.sql.rewrite.veil import veiled
from proxy.sql.scope import UNKNOWN, Clause, Env, Level, Source, Tree, strings
from proxy.sql.silent import conjuncts
from proxy.sql.types import node


def guard_conjuncts(edit: Edit) -> None:
    """Guard WHERE, ON and ON CONFLICT .. WHERE of every level."""
    for level in edit.analysis.levels:
        for clause in level.clauses:
            if clause.kind == "having" or clause.key not in clause.body:
                continue
            parts = conjuncts(clause.body[clause.key])
            silent = [edit.analysis.silence.conjunct(one, clause.env) for one in parts]
            if all(silent):
                continue
            level.loud = True
            edit.note("row.guard")
            clause.body[clause.key] = conjunction(
                [
                    part if quiet else _guarded(edit, level, clause, part)
                    for part, quiet in zip(parts, silent, strict=True)
                ]
            )


def guarded_relations(edit: Edit, level: Level, env: Env, wrapped: Tree) -> list[Source]:
    """The relations whose rows an expression must be kept to: those it names, where they are all tables and one is
    of this level and there is no sub-link; else every tenant relation that can be named there."""
    columns, has_sublink = references(wrapped)
    values = [edit.analysis.types.value(one, env) for one in columns]
    sources = [one.source for one in values if one.source is not None]
    named = not has_sublink and len(sources) == len(values) and any(one.level is level for one in sources)
    wanted = env.tenants()
    return list(dict.fromkeys(one for one in wanted if one in sources) if named else dict.fromkeys(wanted))


def guard(edit: Edit, sources: list[Source], env: Env) -> Tree | None:
    """AND of `(a.c = key) IS NOT FALSE`; None over no relation."""
    tests: list[Tree] = [
        {"BooleanTest": {"arg": edit.predicate(one, env), "booltesttype": "IS_NOT_FALSE", "location": -1}}
        for one in sources
    ]
    return conjunction(tests) if tests else None


def guarded(edit: Edit, level: Level, env: Env, wrapped: Tree) -> Tree:
    """The expression under its guard."""
    test = guard(edit, guarded_relations(edit, level, env, wrapped), env)
    return wrapped if test is None else case(test, wrapped)


def _guarded(edit: Edit, level: Level, clause: Clause, part: Tree) -> Tree:
    name, body = node(part)
    full = clause.join is not None and clause.join.kind == "JOIN_FULL"
    if not (
        full
        and name == "A_Expr"
        and body.get("kind") == "AEXPR_OP"
        and strings(body.get("name", [])) in (["="], ["pg_catalog", "="])
    ):
        test = guard(edit, guarded_relations(edit, level, clause.env, part), clause.env)
        return veiled(edit, clause.env, part) if test is None else case(test, part)
    types, silence = edit.analysis.types, edit.analysis.silence
    left, right = types.value(body["lexpr"], clause.env), types.value(body["rexpr"], clause.env)
    operator = strings(body["name"]) or []
    comparable = silence.operator_comparable(operator, left, right)
    if not comparable and not types.is_pg_catalog(operator, (left.type, right.type)):
        raise FeatureNotSupported("this condition of a FULL JOIN cannot be confined")
    for side in ("lexpr", "rexpr"):
        # under a comparison that is not known to be silent both operands are NULL on other rows, and = is strict
        if not (comparable and silence.silent(body[side], clause.env)) and references(body[side]) != ([], False):
            test = guard(edit, _operand_relations(edit, level, clause, body[side]), clause.env)
            body[side] = body[side] if test is None else case(test, body[side])
    return part


def _operand_relations(edit: Edit, level: Level, clause: Clause, operand: Tree) -> list[Source]:
    """As guarded_relations; but an operand over one arm's derived tables must not name the other arm, or nothing could
    be hashed or sorted. It is computed on that arm's rows, which come from behind a boundary."""
    columns, has_sublink = references(operand)
    arms = clause.join.arms if clause.join is not None and not has_sublink else ()
    wanted = guarded_relations(edit, level, clause.env, operand)
    for arm in arms:
        if all(edit.analysis.types.value(one, arm) is not UNKNOWN for one in columns):
            return [one for one in wanted if one in arm.tenants()]
    return wanted
