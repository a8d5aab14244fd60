"""`partywall move`: a tenant goes to another server under its own load, and nothing is lost, doubled or refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
import pytest

from tests.backup.shelf import checksums
from tests.cli.conftest import Run
from tests.kit.books import eventually
from tests.kit.postgres import SUPERUSER, Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample, pristine
from tests.kit.tables import sample_of_rows

SETTING = "PARTYWALL_STATE_DIRECTORY"
GLOBEX = {
    "tenant_id": "2",
    "TenantId": "2",
    "tenant": "'globex'",
    "tenant_uid": "'00000000-0000-4000-8000-000000000002'",
}


@dataclass(slots=True)
class Scene:
    """A proxy before the first of two servers; globex has no rows at the second."""

    proxy: Proxy
    first: Cluster
    here: str  # the database at the first
    second: Cluster
    there: str  # and at the second
    table: tuple[Cluster, str] | None = None  # where globex has its document; else it is in the file

    @property
    def to(self) -> str:
        return f"postgresql://app@127.0.0.1:{self.second.port}/{self.there}?sslmode=disable"

    @property
    def asked(self) -> tuple[str, ...]:
        """What a move is begun with, besides."""
        if self.table is None:
            return "--to", self.to
        cluster, control = self.table
        return (
            "--to",
            self.to,
            "--table",
            f"postgresql://{SUPERUSER}@127.0.0.1:{cluster.port}/{control}?sslmode=disable",
        )

    @property
    def common(self) -> tuple[str, ...]:
        """What every command is given."""
        return (
            *("--tenant", "globex", "--database", self.proxy.database, "--rules", str(self.proxy.directory / "rules")),
            *(
                "--server",
                f"postgresql://{SUPERUSER}@127.0.0.1:{self.first.port}/{self.here}?sslmode=disable",
            ),
            *("--to-server", f"postgresql://{SUPERUSER}@127.0.0.1:{self.second.port}/{self.there}?sslmode=disable"),
        )

    def home(self, at_first: bool) -> str:
        """As the command names it."""
        cluster, database = (self.first, self.here) if at_first else (self.second, self.there)
        return f"127.0.0.1:{cluster.port}/{database}"

    def rows(self, at_second: bool) -> dict[str, str]:
        """Checksums of globex's rows."""
        cluster, database = (self.second, self.there) if at_second else (self.first, self.here)
        found = checksums(cluster, database)
        keys = {one.strip("'") for one in GLOBEX.values()}
        return {name: digest for name, digest in found.items() if name.split()[-1] in keys}

    def others(self, at_second: bool) -> dict[str, str]:
        cluster, database = (self.second, self.there) if at_second else (self.first, self.here)
        own = self.rows(at_second)
        return {name: digest for name, digest in checksums(cluster, database).items() if name not in own}

    def takes(self, at_second: bool) -> bool:
        """May somebody who comes past the proxy write globex's rows there? It is undone."""
        cluster, database = (self.second, self.there) if at_second else (self.first, self.here)
        with psycopg.connect(cluster.dsn(database=database)) as connection:
            try:
                connection.execute("INSERT INTO events (tenant_id, id, kind, at) VALUES (2, 1, 'probe', now())")
            except psycopg.errors.ReadOnlySqlTransaction:
                return False
            finally:
                connection.rollback()
        return True

    def traces(self, at_second: bool) -> int:
        """Triggers and functions of moves."""
        cluster, database = (self.second, self.there) if at_second else (self.first, self.here)
        found = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'partywall_move%') + (SELECT count(*) FROM"
        return int(cluster.psql(database, f"{found} pg_proc WHERE proname LIKE 'move\\_%')"))


def emptied(cluster: Cluster, database: str) -> None:
    """globex has no row there."""
    with psycopg.connect(cluster.dsn(database=database), autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        tables = connection.execute(
            "SELECT c.oid::regclass::text, CASE WHEN c.relname = 'tenants' THEN 'id' ELSE (SELECT a.attname FROM"
            " pg_attribute a WHERE a.attrelid = c.oid AND a.attname = ANY (%s)) END FROM pg_class c"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')",
            [list(GLOBEX)],
        ).fetchall()
        for table, column in tables:
            if column is not None:
                value = "2" if column == "id" else GLOBEX[column]
                connection.execute(f'DELETE FROM {table} WHERE "{column}" = {value}')


@contextmanager
def scened(first: Cluster, second: Cluster, control: str | None = None, **settings: str) -> Iterator[Scene]:
    """control: the database at the first with a table of tenants, for globex. settings: of the proxy."""
    with pristine(load_sample(first)) as here, pristine(load_sample(second)) as there:
        emptied(second, there)
        for cluster, database in ((first, here), (second, there)):
            cluster.psql(database, "DROP INDEX odd_nr, odd_loc")  # where the server itself fails at such values
        rules = None if control is None else sample_of_rows(first, control, here, "globex")[0]
        with running_proxy(first.port, here, rules=rules, **settings) as proxy:
            yield Scene(proxy, first, here, second, there, None if control is None else (first, control))


@pytest.fixture
def scene(postgres15: Cluster, postgres18: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with scened(postgres15, postgres18) as made:
        monkeypatch.setenv(SETTING, str(made.proxy.directory / "state"))
        yield made


@dataclass(slots=True)
class Load:
    """Clients that write, and count what they were told is committed."""

    scene: Scene
    stop: threading.Event = field(default_factory=threading.Event)
    failures: list[Exception] = field(default_factory=list)
    added: list[int] = field(default_factory=list)  # numbers of notes
    raised: list[int] = field(default_factory=list)  # customers, once for each time
    deleted: list[int] = field(default_factory=list)

    def work(self, number: int) -> None:
        """Adds notes, changes one customer, and moves a row without a key."""
        try:
            with psycopg.connect(self.scene.proxy.dsn("globex_app"), autocommit=True, prepare_threshold=2) as client:
                turn = 0
                while not self.stop.wait(0.02):  # as busy as leaves this process time for the move
                    turn += 1
                    note = number * 100_000 + turn
                    client.execute("INSERT INTO notes (id, body) VALUES (%s, %s)", [note, "written meanwhile"])
                    self.added.append(note)
                    with client.transaction():
                        client.execute("UPDATE customers SET credit = credit + 1 WHERE id = %s", [number])
                        client.execute("INSERT INTO events (id, kind, at) VALUES (%s, 'load', now())", [note])
                    self.raised.append(number)
                    if turn % 3 == 0:
                        client.execute("DELETE FROM events WHERE id = %s", [note])
                        self.deleted.append(note)
        except Exception as error:  # whatever it is, the test fails of it
            self.failures.append(error)

    @contextmanager
    def running(self, clients: int = 3) -> Iterator[Callable[[], int]]:
        """Yields how much was done so far."""
        threads = [threading.Thread(target=self.work, args=[number]) for number in range(1, clients + 1)]
        for one in threads:
            one.start()
        try:
            assert eventually(lambda: self.failures or len(self.raised) > 10, 30)
            yield lambda: len(self.raised)
        finally:
            self.stop.set()
            for one in threads:
                one.join()

    def check(self, at_second: bool, credit: dict[int, int]) -> None:
        """What they were told is what is there, at this place."""
        assert self.failures == []
        cluster, database = (self.scene.second, self.scene.there) if at_second else (self.scene.first, self.scene.here)
        with psycopg.connect(cluster.dsn(database=database)) as connection:
            notes = connection.execute("SELECT id FROM notes WHERE tenant = 'globex' AND body = 'written meanwhile'")
            assert sorted(row[0] for row in notes) == sorted(self.added)
            events = connection.execute("SELECT id FROM events WHERE tenant_id = 2 AND kind = 'load'").fetchall()
            assert sorted(row[0] for row in events) == sorted(
                set(self.added[:0]) | (set(self.added) - set(self.deleted))
            )
            for number, before in credit.items():
                now = connection.execute("SELECT credit FROM customers WHERE tenant_id = 2 AND id = %s", [number])
                assert now.fetchone() == (before + self.raised.count(number),)


def credits_of(scene: Scene) -> dict[int, int]:
    with psycopg.connect(scene.first.dsn(database=scene.here)) as connection:
        found = connection.execute("SELECT id, credit FROM customers WHERE tenant_id = 2 AND id <= 3").fetchall()
    return dict(found)


def test_a_tenant_moves_under_its_own_load_and_loses_nothing(run: Run, scene: Scene) -> None:
    credit, others = credits_of(scene), scene.others(True)
    load = Load(scene)
    dry = run("move", *scene.common, "--to", scene.to, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "tables would move; nothing was changed" in dry.stdout
    assert scene.traces(False) == scene.traces(True) == 0
    same = run("move", *scene.common, "--to-server", scene.common[scene.common.index("--server") + 1], "--to", scene.to)
    assert (same.exit_code, "one and the same database" in same.stderr) == (1, True), same.output
    with load.running() as done:
        moved = run("move", *scene.common, "--to", scene.to, "--max-pause", "20")
        at_the_end = done()
        assert eventually(lambda: load.failures or done() > at_the_end + 10, 30)
    assert moved.exit_code == 0, moved.output
    load.check(True, credit)
    assert scene.others(True) == others
    assert "globex is at 127.0.0.1" in moved.stdout
    elsewhere = f"postgresql://{SUPERUSER}@127.0.0.1:{scene.first.port}/postgres?sslmode=disable"
    wrong = run("move", *scene.common, "--server", elsewhere, "--resume")  # and what was asked for is not forgotten
    assert (wrong.exit_code, "--server leads to another database" in wrong.stderr) == (1, True), wrong.output
    assert run("move", *scene.common, "--status").stdout.startswith("globex: moved, ")
    with psycopg.connect(scene.first.dsn(database=scene.here), autocommit=True) as beside:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction, match="is being moved"):
            beside.execute("DELETE FROM notes WHERE tenant = 'globex'")
        beside.execute("UPDATE notes SET body = body WHERE tenant = 'acme'")
    cleaned = run("move", *scene.common, "--clean", "--json")
    assert (cleaned.exit_code, json.loads(cleaned.stdout)["rows"] > 100) == (0, True), cleaned.output
    assert (scene.rows(False), scene.traces(False), scene.traces(True)) == ({}, 0, 0)
    assert list((scene.proxy.directory / "state" / "moves").iterdir()) == []
    assert [one for one in (scene.proxy.directory / "rules").iterdir() if one.name.startswith(".")] == []
