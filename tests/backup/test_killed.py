"""A process that is killed leaves no archive that passes for one, nothing half restored, and nothing that harms."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pyrage
import pytest

from tests.backup.bench import Bench, benched, drawn, prove_backups, prove_restores, some
from tests.backup.points import BACKUP, COMMIT, DEFINED, EMPTY, FOLDER, SCHEMA, SEALED, SHARED, SILENCED
from tests.backup.shelf import checksums
from tests.backup.test_remaking import CHANGES as REDEFINED
from tests.backup.test_remaking import pictured
from tests.backup.test_restoring import CHANGES
from tests.kit.killing import SEED, Driver
from tests.kit.owned import GIVEN, ROLES
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.proxy import running_proxy
from tests.kit.sample import load_sample, pristine

MOMENTS = 25  # of backups, and as many of restores, in a long run; one in a quick one


def test_a_backup_that_is_killed_is_no_archive_or_a_whole_one(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int
) -> None:
    key = str(pyrage.x25519.Identity.generate().to_public())
    with benched(postgres18, warm, tmp_path, "row") as bench:
        prove_backups(bench, some(BACKUP, effort))
        prove_backups_again(bench, some(FOLDER, effort, 3), "/")
        prove_backups_again(bench, some(SEALED, effort, 1), "", "--recipient", key)


def prove_restores_of(
    bench: Bench, points: Sequence[str], state: Callable[[], object], change: Callable[[], object], *more: str
) -> None:
    """Of an archive of what is there now."""
    path = str(bench.folder / "archive")
    assert bench.backup("", path) == 0, bench.driver.told
    prove_restores(bench, path, points, state, change, *more)


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
        prove_restores_of(bench, some(SHARED, effort), state, change, *replacing)
        (tmp_path / "archive").unlink()
        prove_restores_of(bench, some(SILENCED, effort), state, change, *replacing, "--triggers", "off")


def test_a_schema_whose_restore_is_killed_is_as_it_was_or_as_in_the_archive(
    postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int
) -> None:
    with benched(postgres18, warm, tmp_path, "schema") as bench:

        def state() -> object:
            return [pictured(postgres18, bench.database, one) for one in ("acme", "globex", "initech", "reference")]

        def change() -> object:
            return postgres18.psql(bench.database, REDEFINED.format("globex"), user="globex_rw")

        points = some(SCHEMA, effort, 2)
        prove_restores_of(bench, points, state, change, "--mode", "replace")


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

        prove_restores_of(bench, some(EMPTY, effort, 3), state, change)


def test_it_is_killed_at_any_moment(postgres18: Cluster, warm: Driver, tmp_path: Path, effort: int) -> None:
    draw = random.Random(SEED)
    moments = MOMENTS if effort > 1 else 1
    with benched(postgres18, warm, tmp_path, "row") as bench:

        def state() -> object:
            return checksums(postgres18, bench.database)

        def change() -> object:
            return postgres18.psql(bench.database, CHANGES)

        archive = str(tmp_path / "counted")
        assert bench.backup("calls:0", archive) == 0
        backups = prove_backups(bench, drawn(warm.told, draw, moments))
        assert bench.restore("calls:0", archive, "--mode", "replace") == 0
        restores = prove_restores(bench, archive, drawn(warm.told, draw, moments), state, change, "--mode", "replace")
    print(f"seed {SEED}, {moments} moments of backups: {dict(backups)}; {moments} of restores: {dict(restores)}")


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
