"""At which server a case runs where the server's version is not the matter: at one in this run, at another in the next.

The turn is drawn once for a run and printed; PARTYWALL_TEST_TURN says it again. Over as many turns as there are
servers every case has been at each of them, and in every run each server has its part of every test's cases.
`make test-long` is at all of them at once. What looks for what a version does (what the catalogs show, attacks through
the proxy, names that one server knows and another does not, what is dumped, recorded or generated) stands not on this
list, and is at every server in every run.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar
from zlib import crc32

T = TypeVar("T")
VARIABLE = "PARTYWALL_TEST_TURN"
# The drivers' part is the proxy's protocol; the doctor's and the catalog's cases (its attacks among them, which a
# remedy ends) are changes that both servers know in one form; what a backup writes is the same text; behind policies
# and in schemas the rewriter is the same.
IN_TURN = {
    "backup": (
        "test_advancing", "test_breaking", "test_erasing", "test_keying", "test_remaking", "test_restoring",
        "test_taking", "test_writing",
    ),
    "catalog": ("test_facts", "test_own", "test_own_objects", "test_parts", "test_walls"),
    "doctor": (
        "test_attacks", "test_behind", "test_indexes", "test_keys", "test_views", "test_wall_attacks", "test_walls",
    ),
    "drivers": (
        "test_asyncpg_types", "test_copy", "test_django", "test_jdbc", "test_node", "test_own_schema",
        "test_own_schema_alembic", "test_pgbench", "test_sqlalchemy", "test_sqlalchemy_inspector",
    ),
    "equivalence": (
        "test_application_name", "test_comments", "test_copy", "test_copy_inserted", "test_own_functions",
        "test_own_schema_sessions", "test_pipelines", "test_prepared_meaning", "test_search_path", "test_sessions",
        "test_stale", "test_transaction_pooling",
    ),
    "escapes": ("test_copy_inserted", "test_second_wall", "test_walls"),
}  # fmt: skip


def turn_of(servers: int) -> int:
    """The turn of this run: what is said, or drawn and from then on said to all processes of the run."""
    return int(os.environ.setdefault(VARIABLE, str(secrets.randbelow(servers))))


def in_turn(module: Path) -> bool:
    """Is the version not the matter of the tests in this file?"""
    return module.stem in IN_TURN.get(module.parent.name, ())


def at_their_turn(
    cases: Iterable[T], major: Callable[[T], int | None], name: Callable[[T], str], majors: Sequence[int], turn: int
) -> list[T]:
    """Of one test's cases those that are due. major: at which server, None for one that is at none; name: of the test
    and the case, with pgNN where that server is named.
    """
    numbers: dict[str, int] = {}
    kept: list[T] = []
    for one in cases:
        at = major(one)
        rest = name(one).replace(f"pg{at}", "pg", 1)
        number = numbers.setdefault(rest, len(numbers)) + crc32(rest.partition("[")[0].encode())
        if at is None or at == majors[(number + turn) % len(majors)]:
            kept.append(one)
    return kept
