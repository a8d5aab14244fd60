"""The planner broken on purpose: a test build, to see what the server's policies are worth without it.

`broken(fault)` gives the environment in which every Python process of a proxy has the fault from its start; the product
has no switch for it. In each of them the verifier accepts everything. What the fault leaves in place are the refusals,
because no policy at the server knows of functions, keys without the tenant column, or catalogs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.sql import planner, rewrite
from proxy.sql.rewrite import edit as editing
from proxy.sql.rewrite.conflict import confine_conflicts
from proxy.sql.rewrite.edit import Edit
from proxy.sql.rewrite.guards import guard_conjuncts
from proxy.sql.rewrite.having import guard_having
from proxy.sql.rewrite.merge import confine_merges
from proxy.sql.rewrite.ordering import guard_ordering_operators
from proxy.sql.rewrite.placement import place_predicates
from proxy.sql.world import Visible

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "REWRITER_FAULT"
START = "from tests.escapes.faults import break_rewriter\n\nbreak_rewriter()\n"
OTHERS = {"default": "2", "slug": "globex", "uid": "00000000-0000-4000-8000-000000000002"}


def _without(*rules: rewrite.Rule) -> None:
    rewrite.RULES = tuple(one for one in rewrite.RULES if one not in rules)


def _nothing_placed() -> None:
    """No predicate anywhere: not in WHERE, ON, fences, MERGE or ON CONFLICT. The guards stand."""
    _without(place_predicates, confine_merges, confine_conflicts)


def _nothing_guarded() -> None:
    """No predicate and no guard; what is supplied is the tenant's own key."""
    _without(
        place_predicates, confine_merges, confine_conflicts, guard_conjuncts, guard_having, guard_ordering_operators
    )


def _always_true() -> None:
    """Everything is in its place, and true of every row."""
    true: dict[str, Any] = {"A_Const": {"boolval": {"boolval": True}, "location": -1}}
    Edit.predicate = lambda self, source, env: true  # type: ignore[method-assign]  # that is the fault


def _anothers_key() -> None:
    """Every predicate, guard and supplied key is another tenant's, in INSERT, too."""
    original = editing.key_constant

    def anothers(visible: Visible) -> Any:
        made = original(visible)
        made["TypeCast"]["arg"] = {"A_Const": {"sval": {"sval": OTHERS[visible.key]}, "location": -1}}
        return made

    for name, module in list(sys.modules.items()):
        if name.startswith("proxy.sql") and getattr(module, "key_constant", None) is original:
            module.key_constant = anothers  # type: ignore[attr-defined]  # asked in the line above


FAULTS: dict[str, Callable[[], None]] = {
    "nothing placed": _nothing_placed,
    "nothing guarded": _nothing_guarded,
    "always true": _always_true,
    "another's key": _anothers_key,
}


def break_rewriter() -> None:
    """What a process does at its start."""
    FAULTS[os.environ[VARIABLE]]()
    planner.verify_fillings = lambda *what: None  # type: ignore[attr-defined]  # that is the fault


@contextmanager
def broken(fault: str, folder: Path) -> Iterator[None]:
    """While this lasts, child processes have the fault. folder: of this test's own."""
    (folder / "sitecustomize.py").write_text(START, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
        patch.setenv(VARIABLE, fault)
        yield
