"""Whatever a tenant did, a restore undoes it; what it cannot undo rightly it leaves as it is, and says why."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from proxy.backup.refusal import Refused
from tests.backup.shelf import archived, checksums, put_back, small
from tests.kit.postgres import Cluster, PostgresError

SHOP = """
CREATE TABLE people (tenant_id int NOT NULL, id int NOT NULL, email text NOT NULL, boss int,
  PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, email), FOREIGN KEY (tenant_id, boss) REFERENCES people);
CREATE TABLE carts (tenant_id int NOT NULL, id int GENERATED ALWAYS AS IDENTITY, who int NOT NULL, place int NOT NULL,
  twice int GENERATED ALWAYS AS (place * 2) STORED, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, who, place),
  FOREIGN KEY (tenant_id, who) REFERENCES people ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE lines (tenant_id int NOT NULL, cart int NOT NULL, what text,
  FOREIGN KEY (tenant_id, cart) REFERENCES carts ON DELETE CASCADE);
INSERT INTO people SELECT t, g, 'p' || g, nullif(g / 2, 0) FROM generate_series(1, 3) t, generate_series(1, 8) g;
INSERT INTO carts (tenant_id, who, place) SELECT tenant_id, id, p FROM people, generate_series(1, 2) p;
INSERT INTO lines SELECT tenant_id, id, 'w' || n % 2 FROM carts, generate_series(1, 3) n;
"""
DEEDS = (
    "UPDATE people SET email = 'x' || id + {0} WHERE tenant_id = 2 AND id = {1}",
    "WITH a AS (SELECT id, email FROM people WHERE tenant_id = 2 AND id IN ({1}, {2}))"
    " UPDATE people p SET email = p.email || '-' FROM a WHERE p.tenant_id = 2 AND p.id = a.id",
    "UPDATE people SET email = 'p{2}' WHERE tenant_id = 2 AND id = {1}",
    "UPDATE people SET boss = {2} WHERE tenant_id = 2 AND id = {1}",
    "UPDATE people SET id = id + 10 WHERE tenant_id = 2 AND id = {1}",
    "DELETE FROM people WHERE tenant_id = 2 AND id = {1}",
    "INSERT INTO people VALUES (2, {0} + 20, 'p{1}', {2})",
    "UPDATE carts SET place = place + {1} WHERE tenant_id = 2 AND who = {2}",
    "UPDATE carts SET who = {1} WHERE tenant_id = 2 AND who = {2}",
    "DELETE FROM carts WHERE tenant_id = 2 AND who = {1}",
    "INSERT INTO carts (tenant_id, who, place) VALUES (2, {1}, {0} + 9)",
    "DELETE FROM lines WHERE tenant_id = 2 AND what = 'w1' AND cart % 3 = {1} % 3",
    "INSERT INTO lines SELECT 2, id, 'w0' FROM carts WHERE tenant_id = 2 AND who = {1}",
    "UPDATE lines SET what = NULL WHERE tenant_id = 2 AND cart % 4 = {1} % 4",
)


def test_whatever_was_done_is_undone(postgres15: Cluster, tmp_path: Path, effort: int) -> None:
    """Names that were swapped, numbers that moved, rows that lead to others that are gone."""
    with small(postgres15, SHOP) as grants:
        database = grants["globex"].server.database
        before = checksums(postgres15, database)
        archived(postgres15, grants["globex"], tmp_path / "a")
        done = 0
        for seed in range(12 * effort):
            draw = random.Random(seed)
            for _ in range(10):
                try:
                    postgres15.psql(database, draw.choice(DEEDS).format(*(draw.randint(1, 8) for _ in range(3))))
                    done += 1
                except PostgresError:
                    continue  # the schema does not allow that one
            put_back(postgres15, grants["globex"], tmp_path / "a")
            assert checksums(postgres15, database) == before, seed
        assert done > 50 * effort


def test_names_that_were_exchanged_come_back(server: Cluster, tmp_path: Path) -> None:
    with small(server, SHOP) as grants:
        database = grants["globex"].server.database
        before = checksums(server, database)
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(
            database,
            "UPDATE people SET email = 'aside' WHERE tenant_id = 2 AND id = 1;"
            " UPDATE people SET email = 'p1' WHERE tenant_id = 2 AND id = 2;"
            " UPDATE people SET email = 'p2' WHERE tenant_id = 2 AND id = 1",
        )
        put_back(server, grants["globex"], tmp_path / "a")
        assert checksums(server, database) == before


def test_rows_elsewhere_that_lead_to_what_would_go_are_not_taken_along(server: Cluster, tmp_path: Path) -> None:
    sql = SHOP + (
        "CREATE TABLE bills (id int PRIMARY KEY, tenant int, who int,"
        " FOREIGN KEY (tenant, who) REFERENCES people ON DELETE CASCADE);"
    )
    with small(server, sql) as grants:
        database = grants["globex"].server.database
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(database, "INSERT INTO people VALUES (2, 50, 'n'); INSERT INTO bills VALUES (1, 2, 50), (2, 2, 1)")
        before = checksums(server, database)
        with pytest.raises(
            Refused, match=r"rows of public\.bills that are not in the archive reference rows of people"
        ):
            put_back(server, grants["globex"], tmp_path / "a")
        assert checksums(server, database) == before
        server.psql(database, "DELETE FROM bills WHERE id = 1")
        put_back(server, grants["globex"], tmp_path / "a")
        assert server.psql(database, "SELECT id FROM bills").split() == ["2"]


def test_a_foreign_key_without_the_tenant_does_not_reach_another_tenants_row(server: Cluster, tmp_path: Path) -> None:
    sql = (
        "CREATE TABLE parts (id int PRIMARY KEY, tenant_id int NOT NULL);"
        " CREATE TABLE uses (tenant_id int NOT NULL, id int, part int REFERENCES parts ON DELETE CASCADE,"
        " PRIMARY KEY (tenant_id, id)); INSERT INTO parts VALUES (1, 1), (2, 2)"
    )
    with small(server, sql) as grants:
        database = grants["globex"].server.database
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(database, "INSERT INTO parts VALUES (3, 2); INSERT INTO uses VALUES (1, 1, 3)")
        with pytest.raises(Refused, match=r"rows of public\.uses that are not in the archive"):
            put_back(server, grants["globex"], tmp_path / "a")
        assert server.psql(database, "SELECT count(*) FROM uses").strip() == "1"


def test_a_row_that_references_what_would_go_in_other_letters_is_not_taken_along(
    postgres18: Cluster, tmp_path: Path
) -> None:
    sql = (
        "CREATE EXTENSION citext; CREATE TABLE tags (tenant_id int NOT NULL, name citext PRIMARY KEY);"
        " CREATE TABLE uses (tenant_id int NOT NULL, id int PRIMARY KEY, tag citext REFERENCES tags ON DELETE CASCADE);"
    )
    with small(postgres18, sql) as grants:
        database = grants["globex"].server.database
        archived(postgres18, grants["globex"], tmp_path / "a")
        postgres18.psql(database, "INSERT INTO tags VALUES (2, 'ABC'); INSERT INTO uses VALUES (1, 1, 'abc')")
        with pytest.raises(Refused, match=r"rows of public\.uses that are not in the archive reference rows of tags"):
            put_back(postgres18, grants["globex"], tmp_path / "a")
        assert postgres18.psql(database, "SELECT count(*) FROM uses").strip() == "1"


def test_a_trigger_that_changes_what_is_written_is_found_and_can_be_switched_off(
    server: Cluster, tmp_path: Path
) -> None:
    sql = SHOP + (
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.what := 'now'; RETURN NEW; END$$;"
        " CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON lines FOR EACH ROW EXECUTE FUNCTION stamp();"
    )
    with small(server, sql) as grants:
        database = grants["globex"].server.database
        before = checksums(server, database)
        archived(server, grants["globex"], tmp_path / "a")
        server.psql(database, "DELETE FROM lines WHERE tenant_id = 2 AND cart % 2 = 0")
        changed = checksums(server, database)
        with pytest.raises(Refused, match="triggers change what is written to lines; try --triggers off"):
            put_back(server, grants["globex"], tmp_path / "a")
        assert checksums(server, database) == changed
        put_back(server, grants["globex"], tmp_path / "a", triggers=False)
        assert checksums(server, database) == before
        assert server.psql(database, "SELECT tgenabled FROM pg_trigger WHERE tgname = 'stamp'").strip() == "O"
