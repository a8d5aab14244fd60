"""Keys that another tenant has are given anew, and whatever references them follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.backup.refusal import Refused
from tests.backup.shelf import archived, put_back, small
from tests.kit.postgres import Cluster

SQL = """
CREATE TABLE roots (id serial PRIMARY KEY, tenant_id int NOT NULL, name text);
CREATE TABLE twins (id int PRIMARY KEY REFERENCES roots, tenant_id int NOT NULL, name text);
CREATE TABLE leaves (tenant_id int NOT NULL, root int REFERENCES roots, twin int REFERENCES twins, uid uuid UNIQUE,
  number int UNIQUE);
INSERT INTO roots SELECT g, 2, 'r' || g FROM generate_series(1, 5) g; SELECT setval('roots_id_seq', 5);
INSERT INTO twins SELECT id, 2, 't' || id FROM roots WHERE id < 4;
INSERT INTO leaves SELECT 2, id, id, gen_random_uuid(), id FROM twins;
"""
SEEN = """
SELECT r.name, t.name, r.id = t.id, l.number FROM leaves l JOIN roots r ON r.id = l.root JOIN twins t ON t.id = l.twin
 WHERE l.tenant_id = {0} AND r.tenant_id = {0} AND t.tenant_id = {0} ORDER BY 1
"""


def test_numbers_and_uuids_are_given_anew_and_references_follow(server: Cluster, tmp_path: Path) -> None:
    with small(server, SQL) as grants:
        database = grants["globex"].server.database
        archived(server, grants["globex"], tmp_path / "a")
        anew = {"roots.id": 5, "leaves.uid": 3, "leaves.number": 3}
        would = put_back(server, grants["acme"], tmp_path / "a", "into-empty", dry_run=True)
        assert would.renumbered == anew
        assert server.psql(database, "SELECT last_value FROM roots_id_seq").strip() == "5"
        done = put_back(server, grants["acme"], tmp_path / "a", "into-empty")
        assert done.renumbered == anew
        assert done.tables == would.tables
        mine, theirs = (server.psql(database, SEEN.format(one)).splitlines() for one in (1, 2))
        assert [one.rsplit("|", 1)[0] for one in mine] == [one.rsplit("|", 1)[0] for one in theirs]
        assert len(mine) == 3
        assert server.psql(database, "SELECT count(DISTINCT uid), min(number), max(number) FROM leaves") == "6|1|6\n"


def test_numbers_that_are_taken_beyond_the_sequence_are_not_given(server: Cluster, tmp_path: Path) -> None:
    with small(server, SQL + "INSERT INTO roots VALUES (7, 3, 'x'), (8, 2, 'y')") as grants:
        archived(server, grants["globex"], tmp_path / "a")
        put_back(server, grants["acme"], tmp_path / "a", "into-empty")
        database = grants["globex"].server.database
        assert server.psql(database, "SELECT count(DISTINCT id), count(*) FROM roots").strip() == "13|13"


def test_keys_that_somebody_chose_are_refused(server: Cluster, tmp_path: Path) -> None:
    sql = (
        "CREATE TABLE names (name text PRIMARY KEY, tenant_id int NOT NULL);"
        " INSERT INTO names VALUES ('a', 2), ('b', 2);"
        " CREATE TABLE pairs (tenant_id int NOT NULL, x int, y int, UNIQUE (x, y)); INSERT INTO pairs VALUES (2, 1, 1)"
    )
    with small(server, sql) as grants:
        archived(server, grants["globex"], tmp_path / "a")
        with pytest.raises(Refused) as refused:
            put_back(server, grants["acme"], tmp_path / "a", "into-empty")
        assert [one.partition(" that another")[0] for one in refused.value.problems] == [
            "2 rows of names have a value of (name)",
            "1 rows of pairs have a value of (x, y)",
        ]


def test_rows_of_shared_tables_are_found_as_the_server_finds_them(server: Cluster, tmp_path: Path) -> None:
    """A citext written otherwise references the same row."""
    sql = """
    CREATE EXTENSION citext; CREATE TABLE codes (code citext PRIMARY KEY); INSERT INTO codes VALUES ('no'), ('dk');
    CREATE TABLE coded (tenant_id int NOT NULL, id int, code citext REFERENCES codes, PRIMARY KEY (tenant_id, id));
    INSERT INTO coded VALUES (2, 1, 'NO'), (2, 2, 'Dk'), (2, 3, NULL);
    """
    with small(server, sql, "codes: {shared: read}") as grants:
        database = grants["globex"].server.database
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(database, "DELETE FROM coded")
        put_back(server, grants["globex"], tmp_path / "a")
        assert server.psql(database, "SELECT id, code FROM coded ORDER BY 1") == "1|NO\n2|Dk\n3|\n"
        server.psql(database, "DELETE FROM coded; DELETE FROM codes WHERE code = 'no'")
        with pytest.raises(Refused, match=r"coded needs rows of codes that are not there: \(code\) = \(NO\)"):
            put_back(server, grants["globex"], tmp_path / "a")
