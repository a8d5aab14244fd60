"""Non-interference where the server's policies decide which rows there are and the text has guards alone: what a tenant
is answered does not depend on the other tenants' rows.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing

from tests.equivalence.interfere import Interference, load_others
from tests.equivalence.lockstep import Ask
from tests.equivalence.stage import load_traps, rewriting_of
from tests.kit.postgres import Cluster
from tests.kit.rls import provision_walls, rls_grants, role_of


def test_other_rows_of_others_are_not_seen_behind_policies(postgres15: Cluster, effort: int) -> None:
    load_traps(postgres15)
    others = load_others(postgres15, fresh=False, large=False)
    names = ("policies_a", "policies_b")
    for name, of in zip(names, others, strict=True):
        postgres15.create_database(name, of)
        provision_walls(postgres15, name, rls_grants(postgres15.port, name))
    grants = rls_grants(postgres15.port, names[0])
    rewriting = rewriting_of(next(one for one in grants if one.tenant == "acme" and not one.policy.read_only))
    with closing(Interference(postgres15.port, postgres15.major, names, rewriting, role_of("acme"))) as both:
        found = list(both.go(7, 100 * effort))
        assert [text for verdict, text in found if verdict == "leak"] == []
        counted = Counter(verdict for verdict, _ in found)
        assert counted["equal"] > 0.7 * len(found)
        assert both.bound > 0.1 * len(found)
        # and what is not guarded shows that the two differ
        hole = "CASE WHEN note = '5' THEN ARRAY['a', 'b'] ELSE ARRAY['y'] END"
        text = f"SELECT 1 FROM public.orders WHERE ARRAY[ARRAY['x'], {hole}] IS NULL"
        for side in both.sides:
            side.client.simple("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_seqscan = on")
        one, other = both.answers(Ask(text))
        assert one != other
