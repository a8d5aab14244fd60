"""What the tests of this folder share: grants of the sample rules, places at its server, archives made and read."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from proxy.backup.archive import members, writing
from proxy.backup.checking import verified
from proxy.backup.manifest import Manifest, RulesForm
from proxy.backup.pieces import PIECE
from proxy.backup.taking import back_up
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook
from proxy.tenancy.servers import Place, place_of
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.rules import sample_rules

UNDER = RulesForm(generation=1, hash="0" * 64)


def book_of(text: str) -> RuleBook:
    """What these rules say."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(text, "utf-8")
        return load(Path(folder), {}, 1)


def sample_grant(cluster: Cluster, database: str = "shared", tenant: str = "globex") -> Grant:
    """A tenant of the sample set."""
    return book_of(sample_rules(cluster.port, database)).grants[tenant, database, False]


def operators(cluster: Cluster, database: str) -> Place:
    """The database, as the superuser."""
    return place_of(f"postgresql://{SUPERUSER}@127.0.0.1:{cluster.port}/{database}?sslmode=disable", None)


def archived(cluster: Cluster, grant: Grant, path: Path, piece: int = PIECE, jobs: int = 2) -> Manifest:
    """A backup in this file."""
    place = operators(cluster, grant.server.database)
    with writing(str(path)) as sink:
        return asyncio.run(back_up(place, grant, UNDER, sink, jobs, piece=piece))


def checked(path: Path) -> Manifest:
    """What verify makes of a file."""
    return verified(members(str(path)))
