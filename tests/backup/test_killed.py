"""A process that is killed leaves no archive that passes for one, nothing half restored, and nothing that harms."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pyrage
import pytest

from proxy.backup.refusal import Damaged
from tests.backup.points import (
    BACKUP,
    CHANGED,
    COMMIT,
    DEFINED,
    DONE,
    EMPTY,
    FOLDER,
    SCHEMA,
    SEALED,
    SHARED,
    SILENCED,
    WHOLE,
)
from tests.backup.shelf import checked, checksums
from tests.backup.test_remaking import CHANGES as REDEFINED
from tests.backup.test_remaking import pictured
from tests.backup.test_restoring import CHANGES
from tests.kit.books import eventually
from tests.kit.killing import Driver, driver
from tests.kit.owned import GIVEN, ROLES, owned
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.proxy import running_proxy
from tests.kit.rules import own_rules, sample_rules
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import load_schemas, schema_rules

SEED = 20261126
EVERY = 9  # a quick run takes every ninth point
MOMENTS = 25  # of backups, and as many of restores, in a long run; one in a quick one
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


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with driver(tmp_path_factory.mktemp("killing") / "told") as one:
        yield one


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


def prove_backups(bench: Bench, points: Sequence[str], ending: str = "", *more: str) -> None:
    """At each point it dies, and leaves no archive, or a whole one; and it can be made again under the same name."""
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
        assert bench.backup("", f"{path}{ending}", *more) == int(there), (point, bench.driver.told)
        assert not partials(bench), point
        assert more or refused_or_whole(path, rows), point


def prove_restores(
    bench: Bench,
    points: Sequence[str],
    state: Callable[[], object],
    change: Callable[[], object],
    *more: str,
) -> None:
    """At each point it dies, and everything is as before or as in the archive; and it can be done again."""
    path = str(bench.folder / "archive")
    assert bench.backup("", path) == 0, bench.driver.told
    before = state()
    for point in points:
        change()
        changed = state()
        assert changed != before
        status = bench.restore(point, path, *more)
        assert status == -9 or (point.startswith("calls:") and status == 0), (point, bench.driver.told)
        assert bench.clean(), point
        if point.startswith("calls:"):
            assert state() in (before, changed), point
        else:
            assert state() == (before if point in DONE else changed), point
        if state() == changed:
            assert bench.restore("", path, *more) == 0, (point, bench.driver.told)
        assert state() == before, point
        assert bench.clean(), point


def test_a_backup_that_is_killed_is_no_archive_or_a_whole_one(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int
) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    with benched(postgres18, warm, tmp_path, "row") as bench:
        prove_backups(bench, some(BACKUP, effort))
        prove_backups_again(bench, some(FOLDER, effort, 3), "/")
        prove_backups_again(bench, some(SEALED, effort, 1), "", "--recipient", key)
        prove_backups_again(bench, some(CHANGED, effort, 3), "", "--since", str(tmp_path / "whole"))


def prove_backups_again(bench: Bench, points: Sequence[str], ending: str, *more: str) -> None:
    (bench.folder / "whole").unlink()
    prove_backups(bench, points, ending, *more)


@pytest.mark.parametrize("mode", ["schema", "database"])
def test_a_backup_with_definitions_that_is_killed_is_no_archive(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int, mode: str
) -> None:
    with benched(postgres18, warm, tmp_path, mode) as bench:
        prove_backups(bench, some(DEFINED, effort, 1 if mode == "schema" else 2))


def test_a_restore_that_is_killed_has_done_nothing_or_all(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int
) -> None:
    with benched(postgres18, warm, tmp_path, "row") as bench:

        def state() -> object:
            return checksums(postgres18, bench.database)

        def change() -> object:
            return postgres18.psql(bench.database, CHANGES)

        replacing = ("--mode", "replace")
        prove_restores(bench, some(SHARED, effort), state, change, *replacing)
        (tmp_path / "archive").unlink()
        prove_restores(bench, some(SILENCED, effort), state, change, *replacing, "--triggers", "off")


def test_a_schema_whose_restore_is_killed_is_as_it_was_or_as_in_the_archive(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int
) -> None:
    with benched(postgres18, warm, tmp_path, "schema") as bench:

        def state() -> object:
            return [pictured(postgres18, bench.database, one) for one in ("acme", "globex", "initech", "reference")]

        def change() -> object:
            return postgres18.psql(bench.database, REDEFINED.format("globex"), user="globex_rw")

        points = some(SCHEMA, effort, 2)
        prove_restores(bench, points, state, change, "--mode", "replace")


def test_an_empty_database_stays_empty_until_all_is_there(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int
) -> None:
    with benched(postgres18, warm, tmp_path, "database") as bench:

        def state() -> object:
            return pictured(postgres18, bench.database, "public")

        def change() -> object:
            postgres18.drop_database(bench.database)
            postgres18.create_database(bench.database)
            return postgres18.psql(bench.database, GIVEN.format(database=bench.database, role=ROLES[1]))

        prove_restores(bench, some(EMPTY, effort, 3), state, change)


def test_it_is_killed_at_any_moment(postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int) -> None:
    draw = random.Random(SEED)
    print(f"seed {SEED}")
    moments = MOMENTS if effort > 1 else 1

    def drawn(all_of_them: str) -> list[str]:
        found = re.search(r"calls (\d+)", all_of_them)
        assert found
        return [f"calls:{draw.randrange(1, int(found[1]))}" for _ in range(moments)]

    with benched(postgres18, warm, tmp_path, "row") as bench:

        def state() -> object:
            return checksums(postgres18, bench.database)

        def change() -> object:
            return postgres18.psql(bench.database, CHANGES)

        assert bench.backup("calls:0", str(tmp_path / "counted")) == 0
        prove_backups(bench, drawn(warm.told))
        assert bench.restore("calls:0", str(tmp_path / "counted"), "--mode", "replace") == 0
        prove_restores(bench, drawn(warm.told), state, change, "--mode", "replace")


def test_the_tenants_sessions_go_on_by_themselves(postgres18: Cluster, warm: Driver, tmp_path: Path) -> None:
    """Of a restore that was killed while they were held."""
    with pristine(load_sample(postgres18)) as name, running_proxy(postgres18.port, name) as proxy:
        uri = f"postgresql://{SUPERUSER}@127.0.0.1:{postgres18.port}/{name}?sslmode=disable"
        where = ("--database", name, "--rules", str(proxy.directory / "rules"), "--server", uri)
        path = str(tmp_path / "a")
        assert warm.run("", "backup", "--tenant", "globex", *where, "-o", path) == 0, warm.told
        again = ("restore", path, "--mode", "replace", *where)
        door = {"PARTYWALL_STATE_DIRECTORY": str(proxy.directory / "state")}
        with proxy.connect("globex_app") as client, proxy.connect("acme_app") as other:
            for point in ("proxy.backup.writing:Writing.write:after", f"{COMMIT}:after"):
                postgres18.psql(name, CHANGES)
                assert warm.run(point, *again, "--for", "1", **door) == -9
                other.simple("SELECT count(*) FROM notes")
                client.simple("UPDATE customers SET credit = 7 WHERE id = 1")
                assert warm.run("", *again, **door) == 0, warm.told
                client.simple("UPDATE customers SET credit = 8 WHERE id = 1")
