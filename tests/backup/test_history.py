"""A full backup, and then only what changed, again and again: each of them restores its own moment, in every mode."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from proxy.backup.archive import writing
from proxy.backup.chain import Chain
from proxy.backup.refusal import Refused
from proxy.backup.remaking import remake
from proxy.backup.restoring import restore
from proxy.backup.since import Since
from proxy.backup.taking import back_up
from proxy.tenancy.policy import Grant
from tests.backup.links import chain
from tests.backup.shelf import UNDER, book_of, checksums, operators, sample_grant
from tests.backup.test_remaking import beside, pictured
from tests.kit.owned import GIVEN, ROLES, owned
from tests.kit.postgres import Cluster
from tests.kit.rls import WALLED, load_walled, rls_grants
from tests.kit.rules import own_rules
from tests.kit.sample import load_sample, pristine

SEED = 20261126
ROUNDS = 3
# What a round is made of; {t} is the tenant's condition, {n} a number that was drawn, {k} another.
CHANGES = """
UPDATE orders SET note = 'n{n}', amount = amount + 1 WHERE id % 5 = {k} AND {t}
UPDATE customers SET name = E'tab\\there\\\\ {n}' WHERE id % 3 = 1 AND {t}
INSERT INTO customers (tenant_id, id, name) SELECT tenant_id, 1000 + {n}, E'line\\n' FROM customers WHERE {t} LIMIT 1
DELETE FROM order_items WHERE (order_id + line) % 7 = {k} AND {t}
INSERT INTO events SELECT * FROM events WHERE id % 6 = {k} AND {t}
DELETE FROM events WHERE id % 6 = {k} AND {t}
UPDATE events SET at = at + interval '1 year' WHERE id % 9 = {k} AND {t}
DELETE FROM metrics WHERE value::int % 5 = {k} AND {t}
UPDATE users SET email = 'x' || email WHERE id = {k} AND {t}
UPDATE vehicles SET wheels = {n} WHERE {t}
DELETE FROM "Order Details" WHERE "Id" % 4 = {k} AND {quoted}
UPDATE accounts SET balance = {n} WHERE {t}
"""
# Of one's own schema or database, where definitions change as well.
DEFINITIONS = """
ALTER TABLE notes ADD COLUMN IF NOT EXISTS more text DEFAULT 'x'
CREATE TABLE IF NOT EXISTS fresh AS SELECT n, 'row ' || n AS t FROM generate_series(1, {n}) n
DROP TABLE IF EXISTS fresh
INSERT INTO notes SELECT tenant, {n} + 1000, 'b', 'c' FROM notes LIMIT 1 ON CONFLICT DO NOTHING
"""
GLOBEX = ("2", "globex", "00000000-0000-4000-8000-000000000002")


@dataclass(frozen=True)
class Past:
    """A tenant with a history."""

    cluster: Cluster
    database: str
    grant: Grant
    state: Callable[[], object]
    schema: str = ""

    def change(self, draw: random.Random) -> None:
        """Some of both, and materialized views as they would be in a restore."""
        lines = CHANGES.strip().splitlines() + (DEFINITIONS.strip().splitlines() if self.schema else [])
        mine = ("true", "true") if self.schema else ("tenant_id = 2", '"TenantId" = 2')
        with psycopg.connect(self.cluster.dsn(database=self.database)) as connection:
            connection.execute(f"SET search_path = {self.schema or 'public'}")
            if self.grant.policy.isolation == "rls":  # whose triggers know no tenant here
                connection.execute("SET session_replication_role = replica")
            elif self.schema:
                connection.execute(f"SET ROLE {self.grant.server.role}")  # whose own all of it is
            for one in draw.sample(lines, draw.randrange(5)):
                text = one.format(n=draw.randrange(1, 50), k=draw.randrange(4), t=mine[0], quoted=mine[1])
                connection.execute(text.encode())
            if self.schema:
                connection.execute("REFRESH MATERIALIZED VIEW mv_order_stats")

    def archive(self, path: Path, before: Chain | None) -> Chain:
        place, program = operators(self.cluster, self.database), str(self.cluster.binaries / "pg_dump")
        with ExitStack() as stack:
            since = None if before is None else stack.enter_context(closing(Since(before)))
            sink = stack.enter_context(writing(str(path)))
            asyncio.run(back_up(place, self.grant, UNDER, sink, 2, piece=2000, pg_dump=program, since=since))
        return chain(path)

    def put_back(self, whole: Chain) -> None:
        place = operators(self.cluster, self.database)
        if self.grant.policy.isolation in ("row", "rls"):
            asyncio.run(restore(place, self.grant, whole.manifest, whole, mode="replace", triggers=False))
        elif self.grant.policy.schema:
            asyncio.run(remake(place, self.grant, whole.manifest, whole, mode="replace"))
        else:
            self.cluster.drop_database(self.database)
            self.cluster.create_database(self.database)
            self.cluster.psql(self.database, GIVEN.format(database=self.database, role=ROLES[1]))
            asyncio.run(remake(place, self.grant, whole.manifest, whole))


@contextmanager
def past(cluster: Cluster, mode: str) -> Iterator[Past]:
    if mode == "schema":
        with beside(cluster) as (name, grants):
            yield Past(cluster, name, grants["globex"], lambda: pictured(cluster, name, "globex"), "globex")
    elif mode == "database":
        with owned(cluster, 1, served=False) as name:
            grant = book_of(own_rules(cluster.port, name, ROLES[1])).grants["acme", "shared", False]
            yield Past(cluster, name, grant, lambda: pictured(cluster, name, "public"), "public")
    else:
        load = {"row": load_sample, "rls": load_walled}[mode]
        with pristine(load(cluster), "shared" if mode == "row" else WALLED) as name:
            grant = sample_grant(cluster, name)
            if mode == "rls":
                grant = next(one for one in rls_grants(cluster.port, name) if one.tenant == "globex")

            def rows() -> object:
                found = checksums(cluster, name)
                return {one: digest for one, digest in found.items() if one.rsplit(" ", 1)[1] in GLOBEX}

            yield Past(cluster, name, grant, rows)


@pytest.mark.parametrize("mode", ["row", "rls", "schema", "database"])
def test_every_point_of_a_history_comes_back(postgres18: Cluster, tmp_path: Path, effort: int, mode: str) -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    with past(postgres18, mode) as one:
        states = [one.state()]
        chains = [one.archive(tmp_path / "0", None)]
        full = chains[0].links[-1].manifest.rows
        for number in range(1, 1 + ROUNDS * effort):
            one.change(draw)
            states.append(one.state())
            chains.append(one.archive(tmp_path / str(number), chains[-1]))
            newest = chains[-1].links[-1].manifest
            assert len(newest.bases) == number
            assert newest.rows < full
        points = [0, *draw.sample(range(1, len(chains)), min(len(chains) - 1, 2 * effort))]
        for point in points:
            one.put_back(chain(tmp_path / str(point)))
            assert one.state() == states[point], point


def test_what_did_not_change_is_not_in_it_and_other_tenants_rows_are_nobodys_business(
    postgres18: Cluster, tmp_path: Path
) -> None:
    with past(postgres18, "row") as one:
        first = one.archive(tmp_path / "0", None)
        postgres18.psql(one.database, "UPDATE orders SET note = 'x' WHERE tenant_id <> 2")
        second = one.archive(tmp_path / "1", first)
        newest = second.links[-1].manifest
        assert (newest.rows, [form.gone for form in newest.relations if form.gone]) == (0, [])
        assert second.manifest.rows == first.manifest.rows
        acme = sample_grant(postgres18, one.database, "acme")
        place = operators(postgres18, one.database)
        with (
            pytest.raises(Refused, match="the archive before is not of acme in "),
            closing(Since(second)) as since,
            writing(str(tmp_path / "2")) as sink,
        ):
            asyncio.run(back_up(place, acme, UNDER, sink, since=since))
        assert not (tmp_path / "2").exists()
