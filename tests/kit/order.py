"""Which files are given out first: those that take longest, so that no worker has one of them left at the end.

pytest-xdist goes by the number of tests, so that a file of one long test would come last. Files of very many tests
begin as they always did.
"""

from __future__ import annotations

from collections import OrderedDict

MANY = 100  # tests
# Seconds on two cores, roughly; whoever is not here takes less than each of these.
SECONDS = {
    "tests/app/test_supervision.py": 60,
    "tests/chaos/test_shared_limits.py": 50,
    "tests/equivalence/test_equality.py": 50,
    "tests/escapes/test_second_wall.py": 50,
    "tests/cli/test_move_troubles.py": 40,
    "tests/escapes/test_walls.py": 40,
    "tests/cli/test_move_killed.py": 30,
    "tests/equivalence/test_interfere.py": 30,
    "tests/chaos/test_accounting.py": 28,
    "tests/fleet/test_supervisor.py": 25,
    "tests/backup/test_killed.py": 24,
    "tests/escapes/test_rls_attacks.py": 24,
    "tests/escapes/test_own_database_attacks.py": 24,
    "tests/drivers/test_quotas.py": 22,
    "tests/drivers/test_psql_catalogs.py": 21,
    "tests/equivalence/test_interfere_rls.py": 20,
    "tests/escapes/test_attacks.py": 20,
    "tests/equivalence/test_generate.py": 19,
    "tests/escapes/test_own_schema_attacks.py": 17,
    "tests/chaos/test_kills.py": 16,
    "tests/equivalence/test_smith.py": 12,
    "tests/chaos/test_noisy_neighbour.py": 11,
}


class SlowestFirst(OrderedDict[str, dict[str, bool]]):
    """The tests of each file that no worker has yet, as pytest-xdist keeps them."""

    def popitem(self, last: bool = True) -> tuple[str, dict[str, bool]]:
        """One of many tests, or the slowest; of those that are not slow the one that came first. `last` is ignored."""
        file = next(iter(self))
        if len(self[file]) < MANY:
            file = max(self, key=lambda one: SECONDS.get(one, 0))
        return file, self.pop(file)
