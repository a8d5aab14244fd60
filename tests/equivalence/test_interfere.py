"""Non-interference: what a tenant is answered does not depend on the other tenants' rows.

`python -m tests.equivalence.interfere` asks more, with statistics of each database's own and on large tables.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from tests.equivalence.interfere import Interference, load_others
from tests.equivalence.lockstep import Ask
from tests.equivalence.stage import load_traps
from tests.kit.postgres import Cluster


def test_other_rows_of_others_are_not_seen(postgres15: Cluster, effort: int) -> None:
    load_traps(postgres15)
    names = load_others(postgres15, fresh=False, large=False)
    with closing(Interference(postgres15.port, postgres15.major, names)) as both:
        found = list(both.go(5, 150 * effort))
        assert [text for verdict, text in found if verdict == "leak"] == []
        counted = Counter(verdict for verdict, _ in found)
        assert counted["equal"] > 0.7 * len(found)
        assert both.bound > 0.1 * len(found)
        # the two do differ, and what is not confined shows it
        for text in ("SELECT note FROM public.orders", "SELECT 1 / qty FROM public.orders WHERE tenant_id = 2"):
            one, other = both.answers(Ask(text))
            assert one != other
