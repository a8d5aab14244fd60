"""A tenant whose backups and restores are killed, and what must hold after each death."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from proxy.backup.refusal import Damaged
from tests.backup.points import DONE, WHOLE
from tests.backup.shelf import checked
from tests.kit.books import eventually
from tests.kit.killing import Driver
from tests.kit.owned import ROLES, owned
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rules import own_rules, sample_rules
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import load_schemas, schema_rules

EVERY = 9  # a quick run takes every ninth point
LEFT = """
SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND application_name IN ('partywall backup', 'partywall restore', 'pg_dump'))
     + (SELECT count(*) FROM pg_class WHERE relpersistence = 't')
     + (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^partywall|newco')
     + (SELECT count(*) FROM pg_roles WHERE rolname ~ 'newco')
"""
_numbers = count(1)


@dataclass(frozen=True)
class Bench:
    """A tenant of some mode in a database of the test's own."""

    cluster: Cluster
    database: str
    driver: Driver
    folder: Path
    tenant: str
    own: tuple[str, ...]  # arguments of its mode

    def backup(self, point: str, path: str, *more: str) -> int:
        return self.driver.run(point, "backup", "--tenant", self.tenant, *self.where, "-o", path, *self.own, *more)

    def restore(self, point: str, path: str, *more: str) -> int:
        return self.driver.run(point, "restore", path, "--no-pause", *self.where, *more)

    @property
    def where(self) -> tuple[str, ...]:
        uri = f"postgresql://{SUPERUSER}@127.0.0.1:{self.cluster.port}/{self.database}?sslmode=disable"
        return ("--database", "shared", "--rules", str(self.folder / "rules"), "--server", uri)

    def clean(self) -> bool:
        """Nothing of a command is left at the server, once it has noticed."""
        return bool(eventually(lambda: self.cluster.psql(self.database, LEFT).strip() == "0", 60))


@contextmanager
def benched(cluster: Cluster, warm: Driver, folder: Path, mode: str) -> Iterator[Bench]:
    (folder / "rules").mkdir()
    program = ("--pg-dump", str(cluster.binaries / "pg_dump"))
    if mode == "schema":
        load_schemas(cluster)
        name = f"killed_beside_{next(_numbers)}"
        cluster.create_database(name, "template_beside")
        try:
            (folder / "rules" / "r.yaml").write_text(schema_rules(cluster.port, name), "utf-8")
            yield Bench(cluster, name, warm, folder, "globex", program)
        finally:
            cluster.drop_database(name)
        return
    with owned(cluster, 1, served=False) if mode == "database" else pristine(load_sample(cluster)) as name:
        if mode == "database":
            rules, whose = own_rules(cluster.port, name, ROLES[1]), "acme"
        else:
            text = sample_rules(cluster.port, name).replace(f"[{name}]", "[shared]")
            rules, whose = text.replace(f"database: {name}", "database: shared", 1), "globex"
        (folder / "rules" / "r.yaml").write_text(rules, "utf-8")
        yield Bench(cluster, name, warm, folder, whose, program if mode == "database" else ())


def some(points: Sequence[str], effort: int, first: int = 0) -> Sequence[str]:
    return points if effort > 1 else points[first::EVERY]


def refused_or_whole(path: Path, rows: int) -> bool:
    """Whether verify accepts it, and then rightly."""
    try:
        manifest = checked(path)
    except Damaged:
        return False
    assert manifest.rows == rows
    return True


def partials(bench: Bench) -> list[Path]:
    return list(bench.folder.glob(".*.partial"))


def drawn(told: str, draw: random.Random, moments: int) -> list[str]:
    """Moments of a command, all of whose calls were counted. told: what it wrote."""
    found = re.search(r"calls (\d+)", told)
    assert found
    return [f"calls:{draw.randrange(1, int(found[1]))}" for _ in range(moments)]


def prove_backups(bench: Bench, points: Sequence[str], ending: str = "", *more: str) -> Counter[str]:
    """At each point it dies, and leaves no archive, or a whole one; and it can be made again under the same name. How
    often each came about."""
    tally: Counter[str] = Counter()
    assert bench.backup("", str(bench.folder / "whole")) == 0, bench.driver.told
    rows = checked(bench.folder / "whole").rows
    for point in points:
        path = bench.folder / f"a{next(_numbers)}"
        status = bench.backup(point, f"{path}{ending}", *more)
        assert status == -9 or (point.startswith("calls:") and status == 0), (point, bench.driver.told)
        assert bench.clean(), point
        if path.exists() and not more:
            assert refused_or_whole(path, rows), point
        assert path.exists() <= (point in WHOLE or status == 0 or point.startswith("calls:")), point
        for one in partials(bench) if not more else []:
            refused_or_whole(one, rows)
        there = path.exists()
        tally["it ended before" if status == 0 else "a whole archive" if there else "no archive"] += 1
        assert bench.backup("", f"{path}{ending}", *more) == int(there), (point, bench.driver.told)
        assert not partials(bench), point
        assert more or refused_or_whole(path, rows), point
    return tally


def prove_restores(
    bench: Bench,
    path: str,
    points: Sequence[str],
    state: Callable[[], object],
    change: Callable[[], object],
    *more: str,
) -> Counter[str]:
    """At each point it dies, and everything is as before or as in the archive, which is as it is at the beginning; and
    it can be done again. How often each came about."""
    tally: Counter[str] = Counter()
    before = state()
    for point in points:
        change()
        changed = state()
        assert changed != before
        status = bench.restore(point, path, *more)
        assert status == -9 or (point.startswith("calls:") and status == 0), (point, bench.driver.told)
        assert bench.clean(), point
        left = state()
        if point.startswith("calls:"):
            assert left in (before, changed), point
        else:
            assert left == (before if point in DONE else changed), point
        tally["it ended before" if status == 0 else "all was done" if left == before else "nothing was done"] += 1
        if left == changed:
            assert bench.restore("", path, *more) == 0, (point, bench.driver.told)
        assert state() == before, point
        assert bench.clean(), point
    return tally
