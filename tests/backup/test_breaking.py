"""Rings of foreign keys: deferred, emptied for a while, or refused with the DDL; each tried on a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.backup.refusal import Refused
from tests.backup.shelf import archived, checksums, put_back, small
from tests.kit.postgres import Cluster

RING = """
CREATE TABLE heads (tenant_id int NOT NULL, id int NOT NULL, body int {null}, PRIMARY KEY (tenant_id, id));
CREATE TABLE bodies (tenant_id int NOT NULL, id int NOT NULL, head int NOT NULL, note text, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, head) REFERENCES heads);
CREATE TABLE tails (tenant_id int NOT NULL, id int NOT NULL, body int NOT NULL, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, body) REFERENCES bodies);
ALTER TABLE heads ADD CONSTRAINT heads_body FOREIGN KEY (tenant_id, body) REFERENCES bodies {deferrable};
BEGIN; {defer}
INSERT INTO heads SELECT t, g, NULL FROM generate_series(1, 3) t, generate_series(1, 4) g;
INSERT INTO bodies SELECT t, g, 5 - g, 'n' FROM generate_series(1, 3) t, generate_series(1, 4) g;
UPDATE heads SET body = id; INSERT INTO tails SELECT tenant_id, id, id FROM bodies; COMMIT;
"""
CHANGES = """
UPDATE heads SET body = NULL WHERE tenant_id = 2; DELETE FROM tails WHERE tenant_id = 2;
DELETE FROM bodies WHERE tenant_id = 2; DELETE FROM heads WHERE tenant_id = 2 AND id < 3;
INSERT INTO heads VALUES (2, 70, NULL); INSERT INTO bodies VALUES (2, 71, 70, 'x');
UPDATE heads SET body = 71 WHERE tenant_id = 2; INSERT INTO tails VALUES (2, 72, 71);
"""


@pytest.mark.parametrize("deferrable", ["DEFERRABLE", ""])
def test_a_ring_comes_back(server: Cluster, tmp_path: Path, deferrable: str) -> None:
    defer = "SET CONSTRAINTS ALL DEFERRED;" * bool(deferrable)
    with small(server, RING.format(null="", deferrable=deferrable, defer=defer)) as grants:
        database = grants["globex"].server.database
        before = checksums(server, database)
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(database, CHANGES)
        assert checksums(server, database) != before
        put_back(server, grants["globex"], tmp_path / "a")
        assert checksums(server, database) == before
        server.psql(
            database,
            "UPDATE heads SET body = NULL WHERE tenant_id = 2; DELETE FROM tails WHERE tenant_id = 2;"
            "DELETE FROM bodies WHERE tenant_id = 2; DELETE FROM heads WHERE tenant_id = 2",
        )
        put_back(server, grants["globex"], tmp_path / "a", "into-empty")
        assert checksums(server, database) == before


def test_a_ring_that_cannot_be_broken_is_refused_with_what_would_break_it(postgres15: Cluster, tmp_path: Path) -> None:
    sql = (
        "CREATE TABLE a (tenant_id int NOT NULL, id int NOT NULL, b int NOT NULL, PRIMARY KEY (tenant_id, id));"
        " CREATE TABLE b (tenant_id int NOT NULL, id int NOT NULL, a int NOT NULL, PRIMARY KEY (tenant_id, id),"
        " FOREIGN KEY (tenant_id, a) REFERENCES a);"
        " WITH x AS (INSERT INTO a VALUES (2, 1, 1)) INSERT INTO b VALUES (2, 1, 1);"
        " ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (tenant_id, b) REFERENCES b"
    )
    with small(postgres15, sql) as grants:
        archived(postgres15, grants["globex"], tmp_path / "a")
        with pytest.raises(Refused) as refused:
            put_back(postgres15, grants["globex"], tmp_path / "a")
        remedy = next(one for one in refused.value.problems if "a_b" in one)
        assert remedy.startswith("a and b reference each other, and neither can come first: ALTER TABLE ")
        postgres15.psql(grants["globex"].server.database, remedy.partition("first: ")[2])
        put_back(postgres15, grants["globex"], tmp_path / "a")


def test_a_table_that_references_itself_needs_nothing(server: Cluster, tmp_path: Path) -> None:
    sql = (
        "CREATE TABLE staff (tenant_id int NOT NULL, id int NOT NULL, boss int NOT NULL, PRIMARY KEY (tenant_id, id),"
        " FOREIGN KEY (tenant_id, boss) REFERENCES staff ON DELETE RESTRICT);"
        " INSERT INTO staff SELECT t, g, CASE g WHEN 9 THEN 1 ELSE g + 1 END"
        " FROM generate_series(1, 3) t, generate_series(1, 9) g"
    )
    with small(server, sql) as grants:
        database = grants["globex"].server.database
        before = checksums(server, database)
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(
            database,
            "INSERT INTO staff VALUES (2, 20, 20); UPDATE staff SET boss = 20 WHERE tenant_id = 2;"
            " DELETE FROM staff WHERE tenant_id = 2 AND id < 9",
        )
        put_back(server, grants["globex"], tmp_path / "a")
        assert checksums(server, database) == before
