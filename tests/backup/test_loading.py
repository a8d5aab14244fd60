"""What is loaded is what was verified, or nothing is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxy.backup.archive import finish, members, packed, writing
from proxy.backup.manifest import MANIFEST, SEAL
from proxy.backup.refusal import Damaged
from proxy.backup.restoring import restore
from tests.backup.shelf import archived, operators, small
from tests.kit.postgres import Cluster

SQL = "CREATE TABLE t (tenant_id int NOT NULL, id int); INSERT INTO t SELECT 2, g FROM generate_series(1, 9) g"


def test_an_archive_that_changes_after_it_was_verified_is_found(postgres15: Cluster, tmp_path: Path) -> None:
    with small(postgres15, SQL) as grants:
        grant = grants["globex"]
        manifest = archived(postgres15, grant, tmp_path / "a")
        member, stored = packed(manifest.members[0].name, b"2\t66\n")
        for number, given in enumerate(({member.name: stored}, {})):
            path = tmp_path / f"other{number}"
            with writing(str(path)) as sink:
                for name, data in given.items():
                    sink.add(name, data)
                finish(sink, manifest)
            why = "has changed since it was verified" if given else "is gone since it was verified"
            with pytest.raises(Damaged, match=why):
                asyncio.run(restore(operators(postgres15, grant.server.database), grant, manifest, str(path)))
        assert postgres15.psql(grant.server.database, "SELECT count(*) FROM t").strip() == "9"
        assert [name for name, _ in members(str(tmp_path / "a"))][-2:] == [MANIFEST, SEAL]
