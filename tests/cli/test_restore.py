"""`partywall restore` beside a proxy that serves: the tenant waits while its rows are written, and nobody else does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backup.shelf import checksums
from tests.backup.test_restoring import CHANGES
from tests.cli.conftest import Run
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import load_schemas, schema_rules

SETTING = "PARTYWALL_STATE_DIRECTORY"


@pytest.fixture
def serving(postgres15: Cluster) -> Iterator[Proxy]:
    """A proxy of this test's alone, on a copy of the sample set."""
    with pristine(load_sample(postgres15)) as database, running_proxy(postgres15.port, database) as proxy:
        yield proxy


def of(proxy: Proxy) -> tuple[str, ...]:
    return ("--rules", str(proxy.directory / "rules"))


def operators_uri(cluster: Cluster, proxy: Proxy) -> tuple[str, str]:
    return ("--server", f"postgresql://postgres@127.0.0.1:{cluster.port}/{proxy.database}?sslmode=disable")


def test_a_tenant_is_restored_in_place_while_all_of_them_work(
    run: Run, serving: Proxy, postgres15: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own sessions wait and are not dropped; the others' statements go on. No statement fails."""
    monkeypatch.setenv(SETTING, str(serving.directory / "state"))
    path = str(tmp_path / "globex.partywall")
    stop, failures, done = threading.Event(), [], {"globex_app": 0, "acme_app": 0}

    def work(login: str) -> None:
        try:
            with serving.connect(login) as client:
                while not stop.is_set():
                    client.simple("UPDATE customers SET credit = credit + 1 WHERE id = 1")
                    done[login] += 1
        except Exception as error:  # whatever it is, the test fails of it
            failures.append(error)

    before = checksums(postgres15, serving.database)
    made = run("backup", "--tenant", "globex", "--database", serving.database, "-o", path, *of(serving))
    assert made.exit_code == 0, made.output
    postgres15.psql(serving.database, CHANGES)
    threads = [threading.Thread(target=work, args=[login]) for login in done]
    for one in threads:
        one.start()
    try:
        whole = (path, "--mode", "replace", *of(serving), *operators_uri(postgres15, serving))
        restored = run("restore", *whole)
        at_the_end = dict(done)
        eventually(lambda: failures or all(done[login] > count for login, count in at_the_end.items()), 30)
    finally:
        stop.set()
        for one in threads:
            one.join()
    assert (failures, restored.exit_code) == ([], 0), restored.output
    assert "metrics: 20 inserted, 0 updated, 0 deleted" in restored.stdout
    after = checksums(postgres15, serving.database)
    busy = {"customers 1", "customers 2"}
    assert {name for name in before if before[name] != after[name]} <= busy
    assert before.keys() == after.keys()


def test_a_dry_run_prints_the_difference_and_changes_nothing(
    run: Run, serving: Proxy, postgres15: Cluster, tmp_path: Path
) -> None:
    path = str(tmp_path / "a")
    run("backup", "--tenant", "globex", "--database", serving.database, "-o", path, *of(serving))
    arguments = ("restore", path, "--mode", "replace", "--dry-run", *of(serving), *operators_uri(postgres15, serving))
    assert run(*arguments).stdout == "nothing differs\na dry run: nothing was changed\n"
    postgres15.psql(serving.database, "DELETE FROM notes WHERE tenant = 'globex' AND id = 1")
    before = checksums(postgres15, serving.database)
    told = run(*arguments)
    assert told.stdout == "notes: 1 inserted, 0 updated, 0 deleted\na dry run: nothing was changed\n"
    found = json.loads(run(*arguments, "--json").stdout)
    assert found["tables"]["notes"] == {"insert": 1, "update": 0, "delete": 0}
    assert checksums(postgres15, serving.database) == before


def test_what_is_in_the_way_is_told_and_nothing_is_changed(
    run: Run, serving: Proxy, postgres15: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    run("backup", "--tenant", "globex", "--database", serving.database, "-o", str(path), *of(serving))
    postgres15.psql(serving.database, "DELETE FROM notes")
    before = checksums(postgres15, serving.database)
    where = (*of(serving), *operators_uri(postgres15, serving))
    monkeypatch.setenv(SETTING, str(tmp_path))
    for arguments, why in (
        ((str(path), *where), "globex has rows already in "),
        ((str(path), "--mode", "replace", *where), "the tenant cannot be paused there"),
        ((str(path), "--mode", "replace", "--no-pause", *of(serving)), "nothing was changed: permission denied"),
        ((str(path), "--as", "nobody", *where), "no tenant nobody has a database"),
        (("-", *where), "an archive is read twice"),
    ):
        refused = run("restore", *arguments)
        assert (refused.exit_code, why in refused.stderr) == (1, True), refused.stderr
    assert run("restore", str(path), "--mode", "any", *where).exit_code == 2
    whole = path.read_bytes()
    path.write_bytes(whole[:-700] + b"x" + whole[-699:])
    refused = run("restore", str(path), "--mode", "replace", "--no-pause", *where)
    assert (refused.exit_code, "the archive is damaged" in refused.stderr) == (1, True)
    assert checksums(postgres15, serving.database) == before
    path.write_bytes(whole)
    assert run("restore", str(path), "--mode", "replace", "--no-pause", *where).exit_code == 0
    assert server_notes(postgres15, serving) == "5"


def server_notes(cluster: Cluster, proxy: Proxy) -> str:
    return cluster.psql(proxy.database, "SELECT count(*) FROM notes").strip()


LEFT = """
CREATE DOMAIN acme.land AS text; ALTER DOMAIN acme.land OWNER TO acme_rw;
CREATE TABLE acme.lands (c text CONSTRAINT f1 REFERENCES reference.countries,
  d acme.land CONSTRAINT f2 REFERENCES reference.countries);
ALTER TABLE acme.lands OWNER TO acme_rw; GRANT SELECT ON acme.lands TO globex_rw;
"""
KEY = (
    'ALTER TABLE ONLY "acme"."lands" ADD CONSTRAINT "f1" FOREIGN KEY ("c") REFERENCES "reference"."countries" ("code")'
    " NOT VALID;"
)
GRANT = "GRANT SELECT ON TABLE acme.lands TO globex_rw;"
TOLD = f"""
not made: foreign keys to shared tables, which are the operator's to decide on
{KEY}
not made, and not to be: a table or a column's type of the tenant's own would run its code
foreign key f2 of acme.lands (d)
other roles had these, and a replace takes them: give again what they are to have"""


def test_a_schema_of_ones_own_comes_back_and_is_its_roles(run: Run, postgres15: Cluster, tmp_path: Path) -> None:
    load_schemas(postgres15)
    postgres15.create_database("beside_restored", "template_beside")
    try:
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "r.yaml").write_text(schema_rules(postgres15.port, "beside_restored"), "utf-8")
        uri = f"postgresql://postgres@127.0.0.1:{postgres15.port}/beside_restored?sslmode=disable"
        where = ("--rules", str(tmp_path / "rules"), "--server", uri)
        path = str(tmp_path / "a")
        postgres15.psql("beside_restored", LEFT)
        program = str(postgres15.binaries / "pg_dump")
        made = run("backup", "--tenant", "acme", "--database", "shared", "-o", path, "--pg-dump", program, *where)
        assert made.exit_code == 0, made.output
        redefined = "DROP TABLE acme.orders CASCADE; CREATE TABLE acme.other (id int)"
        postgres15.psql("beside_restored", redefined, user="acme_rw")
        arguments = ("restore", path, "--mode", "replace", "--no-pause", *where)
        would = run(*arguments, "--dry-run").stdout
        assert "acme.orders: 21 inserted, 0 updated, 0 deleted" in would
        assert GRANT in would
        found = json.loads(run(*arguments, "--json").stdout)
        assert (found["foreign_keys"], found["foreign_keys_refused"]) == ([KEY], ["f2 of acme.lands (d)"])
        assert GRANT in found["grants"]
        for one in found["grants"]:
            postgres15.psql("beside_restored", one)
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        assert done.stdout.endswith("\n".join([TOLD, *found["grants"], ""]))  # for they were given again
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'acme'"
        assert postgres15.psql("beside_restored", owners).split() == ["acme_rw"]
        assert postgres15.psql("beside_restored", "SELECT count(*) FROM acme.orders").strip() == "21"
        refused = run("restore", path, "--mode", "merge", "--no-pause", *where)
        assert (refused.exit_code, "is not merged" in refused.stderr) == (1, True)
    finally:
        postgres15.drop_database("beside_restored")
