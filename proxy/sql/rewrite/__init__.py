"""Rewrite: guarded injection (isolation.md 2.1 and 2.5), one rule per file, in the order of RULES.

Promises: `rewrite` edits a copy; what it returns reads and writes only rows of the tenant's key, and no expression
of the client's that could throw, emit or act runs on another row. What cannot be confined is refused. No rule looks
at a key value: the tree has holes for them. A statement over shared relations and catalogs alone is only qualified.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.sql.plan import KeyCheck
from proxy.sql.resolve import resolve
from proxy.sql.rewrite.boundaries import set_boundaries
from proxy.sql.rewrite.conflict import confine_conflicts
from proxy.sql.rewrite.edit import Edit
from proxy.sql.rewrite.guards import guard_conjuncts
from proxy.sql.rewrite.having import guard_having
from proxy.sql.rewrite.insert import supply_key
from proxy.sql.rewrite.keys import refuse_foreign_keys_and_oracles
from proxy.sql.rewrite.locking import refuse_foreign_locks
from proxy.sql.rewrite.merge import confine_merges
from proxy.sql.rewrite.merged import check_merged_columns
from proxy.sql.rewrite.numbers import supply_numbers
from proxy.sql.rewrite.ordering import guard_ordering_operators
from proxy.sql.rewrite.placement import place_predicates
from proxy.sql.rewrite.positioned import check_positions
from proxy.sql.rewrite.qualify import qualify_names
from proxy.sql.rewrite.sample import refuse_samples
from proxy.sql.rewrite.sets import refuse_sorted_sets
from proxy.sql.rewrite.target import check_targets
from proxy.sql.rewrite.update import keep_key
from proxy.sql.scope import Named, Tree
from proxy.sql.world import Scenery

Rule = Callable[[Edit], None]

# For every statement; then for those that touch a confined relation.
ALWAYS: tuple[Rule, ...] = (check_targets, refuse_foreign_locks, qualify_names)
RULES: tuple[Rule, ...] = (
    refuse_samples,
    refuse_sorted_sets,
    keep_key,
    check_positions,
    refuse_foreign_keys_and_oracles,
    supply_key,
    guard_ordering_operators,
    guard_conjuncts,
    guard_having,
    confine_merges,
    supply_numbers,
    check_merged_columns,
    set_boundaries,
    confine_conflicts,
    place_predicates,
)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The edited tree. rewritten: a predicate or key was put in. sensitive: byte offsets, in the client's text, of
    the literals whose value a decision looked at. checks: what admission must ask before the text is sent."""

    tree: Tree
    rewritten: bool
    rules: tuple[str, ...]
    sensitive: set[int] = field(default_factory=set)
    checks: tuple[KeyCheck, ...] = ()
    outputs: tuple[Named, ...] | None = None  # its columns; None where they are not all known


def _copied(value: Any) -> Any:
    """A copy, but for strings: nobody edits one."""
    if type(value) is dict:
        return {name: _copied(one) if type(one) is dict or type(one) is list else one for name, one in value.items()}
    return [one if "String" in one else _copied(one) for one in value]


def rewrite(tree: Tree, world: Scenery, parameter_types: Sequence[int] = ()) -> Rewritten:
    """Confine a SELECT, INSERT, UPDATE, DELETE or MERGE to the tenant of `world`.

    Raises UndefinedTable, InsufficientPrivilege with PostgreSQL's texts, and FeatureNotSupported for what is not
    provable."""
    edited = _copied(tree)
    analysis = resolve(edited, world, parameter_types)
    edit = Edit(analysis, world)
    for rule in ALWAYS:
        rule(edit)
    if analysis.confined:
        for rule in RULES:
            rule(edit)
    sensitive = analysis.silence.sensitive | edit.sensitive
    checks, outputs = edit.checks(sensitive), analysis.query.outputs
    return Rewritten(edited, analysis.confined, tuple(edit.rules), sensitive, checks, outputs)


__all__ = ["ALWAYS", "RULES", "Rewritten", "rewrite"]
