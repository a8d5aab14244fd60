"""A process that is killed leaves no archive that passes for one, and nothing half restored."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.backup.refusal import Damaged
from tests.backup.shelf import archived, checked, checksums, sample_grant
from tests.backup.test_restoring import CHANGES
from tests.kit.books import eventually
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.sample import load_sample, pristine

SEED = 20261126
MOMENTS = 5  # of a backup, and of a restore
TELLING = """
import asyncio, sys
from pathlib import Path
from tests.backup.shelf import *
from tests.kit.rules import sample_rules
from proxy.tenancy.servers import place_of

what, port, database, path, role = sys.argv[1:]
grant = book_of(sample_rules(int(port), database)).grants["globex", database, False]
place = place_of(f"postgresql://{role}@127.0.0.1:{port}/{database}?sslmode=disable", None)

def tell(progress):
    print(progress, flush=True)

if what == "backup":
    with writing(path) as sink:
        asyncio.run(back_up(place, grant, UNDER, sink, 2, tell))
else:
    asyncio.run(restore(place, grant, checked(Path(path)), path, mode="replace", told=tell))
print("done", flush=True)
"""
BACKENDS = """SELECT count(*) FROM pg_stat_activity
 WHERE application_name IN ('partywall backup', 'partywall restore', 'pg_dump') AND datname = current_database()"""


def killed(cluster: Cluster, what: str, database: str, path: Path, after: int) -> bool:
    """Runs it until it has told so much; whether it was done by then. At the end nothing of it is at the server."""
    arguments = [sys.executable, "-c", TELLING, what, str(cluster.port), database, str(path), SUPERUSER]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        process.kill()
    assert eventually(lambda: cluster.psql(database, BACKENDS).strip() == "0", 60)
    return "done\n" in lines


@pytest.fixture
def database(postgres15: Cluster) -> Iterator[str]:
    with pristine(load_sample(postgres15)) as name:
        yield name


def test_a_backup_that_is_killed_is_no_archive(postgres15: Cluster, database: str, tmp_path: Path, effort: int) -> None:
    draw = random.Random(SEED)
    for turn, after in enumerate(draw.sample(range(1, 15), MOMENTS) * effort):
        path = tmp_path / f"a{turn}"
        assert not killed(postgres15, "backup", database, path, after)
        assert not path.exists()
        for one in tmp_path.glob(f".a{turn}.*.partial"):
            with pytest.raises(Damaged):
                checked(one)


def test_a_restore_that_is_killed_has_done_nothing_and_can_be_done_again(
    postgres15: Cluster, database: str, tmp_path: Path, effort: int
) -> None:
    before = checksums(postgres15, database)
    archived(postgres15, sample_grant(postgres15, database), tmp_path / "a")
    postgres15.psql(database, CHANGES)
    changed = checksums(postgres15, database)
    draw = random.Random(SEED)
    for after in draw.sample(range(1, 38), MOMENTS) * effort:  # nineteen tables are loaded, and then written
        assert not killed(postgres15, "restore", database, tmp_path / "a", after)
        assert checksums(postgres15, database) == changed, after
    assert killed(postgres15, "restore", database, tmp_path / "a", 400)
    assert checksums(postgres15, database) == before
