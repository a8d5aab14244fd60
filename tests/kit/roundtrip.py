"""A tenant out and back on the TPC-H-like set, while all tenants write: `python -m tests.kit.roundtrip --gigabytes 1`.

Tenant 2 is backed up, its rows are changed and deleted, and it is restored, by the commands and beside a proxy that
serves. Afterwards every table's checksum is as before, of all tenants; what tenants 1 and 3 wrote meanwhile is there;
what tenant 2 wrote is there as far as the archive has it, and from the restore on. No statement fails. Prints what is
not so, and nothing else matters.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks import tpch
from proxy.auth.scram import build_verifier
from proxy.catalog.connect import connect
from proxy.catalog.grants import read_grants
from proxy.catalog.introspect import introspect
from proxy.catalog.walls import GROUP
from proxy.doctor.provision import TAKE_OVER, provision
from proxy.doctor.walls import tenant_behind, tenant_relations, walls
from proxy.tenancy.load import load
from proxy.tenancy.policy import Credentials, Grant, Server
from tests.kit.postgres import SUPERUSER, Cluster, find_binaries, running
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rules import PASSWORDS

MODES = ("row", "rls", "schema", "database")
MIDDLE = 2  # the tenant that goes out and back
NAME = "shop"  # the database, as applications name it
BOUND = 10**12  # keys of orders from here on are what tenants write meanwhile
SALT = b"0123456789abcdef"
WRITE = (
    "INSERT INTO orders (orderkey, custkey, orderstatus, totalprice, orderdate, orderpriority, clerk, shippriority,"
    " comment) VALUES (%s, 1, 'O', 1.00, '1998-08-02', '5-LOW', 'Clerk', 0, 'written meanwhile')"
)
CHANGES = """
UPDATE {0}customer SET acctbal = acctbal + 1.00, comment = 'changed' WHERE {1} AND custkey % 3 = 0;
UPDATE {0}lineitem SET linenumber = linenumber + 100 WHERE {1} AND orderkey % 7 = 0;
DELETE FROM {0}lineitem WHERE {1} AND orderkey % 2 = 0;
DELETE FROM {0}orders WHERE {1} AND orderkey % 14 = 6;
INSERT INTO {0}supplier SELECT {2}900000000 + n, 'new', 'new', 1, 'new', 0, 'new' FROM generate_series(1, 9) n;
"""


Run = Callable[[list[str], Path], tuple[int, str]]  # what the arguments of partywall and a state directory come to


@dataclass
class Scene:
    """Tenants at a server. places: database, schema and condition of each tenant's rows."""

    cluster: Cluster
    mode: str
    rules: str
    places: dict[int, tuple[str, str, str]]

    def checksums(self) -> dict[str, str]:
        """tenant and table -> its rows but those that are written meanwhile, whatever their order."""
        found = {}
        for number, (database, schema, condition) in self.places.items():
            with psycopg.connect(self.cluster.dsn(database=database), autocommit=True) as connection:
                for table in tpch.OWN:
                    more = f" AND orderkey < {BOUND}" if table == "orders" else ""
                    row = connection.execute(
                        "SELECT count(*), sum(hashtextextended(t::text, 0)::numeric)"
                        f" FROM {schema}{table} t WHERE {condition}{more}"
                    ).fetchone()
                    found[f"{number} {table}"] = str(row)
        return found

    def written(self, number: int) -> set[int]:
        """The keys of what the tenant has written and has."""
        database, schema, condition = self.places[number]
        text = f"SELECT orderkey FROM {schema}orders WHERE {condition} AND orderkey >= {BOUND}"
        return {int(one) for one in self.cluster.psql(database, text).split()}

    def execute(self, database: str, text: str) -> None:
        """SQL, however long it takes."""
        with psycopg.connect(self.cluster.dsn(database=database), autocommit=True) as connection:
            connection.execute(text)


class Writer(threading.Thread):
    """A tenant's application: one order after the other. done: keys that were confirmed, in their order."""

    def __init__(self, dsn: str) -> None:
        super().__init__()
        self._dsn = dsn
        self._ended = threading.Event()
        self.done: list[int] = []
        self.failure = ""

    def run(self) -> None:
        try:
            with psycopg.connect(self._dsn, autocommit=True) as connection:
                while not self._ended.wait(0.005):
                    key = BOUND + len(self.done)
                    connection.execute(WRITE, [key])
                    self.done.append(key)
        except Exception as error:  # whatever it is, it is told
            self.failure = f"{type(error).__name__}: {error}"

    def end(self) -> None:
        self._ended.set()
        self.join()

    def wait(self) -> None:
        """Until it has written once more, or cannot."""
        deadline, had = time.monotonic() + 120, len(self.done)
        while len(self.done) == had and self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)


@dataclass
class Trip:
    """What became of it. problems: what is not as it should be. seconds: of each command. written: orders by tenant."""

    run: Run
    problems: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    written: dict[int, int] = field(default_factory=dict)


def as_program(arguments: list[str], state: Path) -> tuple[int, str]:
    """`partywall` as a process: its status, and what it says of errors."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
    clean["PARTYWALL_STATE_DIRECTORY"] = str(state)
    command = [sys.executable, "-m", "proxy", *arguments]
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def round_trip(cluster: Cluster, mode: str, scale: float, run: Run = as_program) -> Trip:
    """All of it, in databases of its own, which are gone afterwards."""
    trip = Trip(run)
    with (
        made(cluster, mode, scale) as scene,
        tempfile.TemporaryDirectory(prefix="partywall-trip-") as folder,
        running_proxy(cluster.port, NAME, rules=scene.rules) as proxy,
    ):
        writers = {number: Writer(proxy.dsn(f"{tenant}_app")) for number, tenant in tpch.TENANTS.items()}
        for one in writers.values():
            one.start()
        try:
            _travel(scene, proxy, writers, Path(folder) / "archive", trip)
        finally:
            for one in writers.values():
                one.end()
        for number, one in writers.items():
            trip.written[number] = len(one.done)
            if one.failure:
                trip.problems.append(f"tenant {number} had a failure: {one.failure}")
            if number != MIDDLE and not scene.written(number) >= set(one.done):
                trip.problems.append(f"tenant {number} has lost what it wrote")
    return trip


def _travel(scene: Scene, proxy: Proxy, writers: Mapping[int, Writer], archive: Path, trip: Trip) -> None:
    middle, before = writers[MIDDLE], scene.checksums()
    middle.wait()
    early = len(middle.done)
    _run(scene, proxy, trip, "backup", "--tenant", tpch.TENANTS[MIDDLE], "--database", NAME, "-o", str(archive))
    late = len(middle.done) + 1  # what was on its way may be in it
    middle.wait()
    database, schema, condition = scene.places[MIDDLE]
    scene.execute(database, CHANGES.format(schema, condition, f"{MIDDLE}, " if scene.mode in ("row", "rls") else ""))
    middle.wait()
    if sum(before[one] != text for one, text in scene.checksums().items()) != 4:
        trip.problems.append("the changes have not changed four tables")
    if scene.mode == "database":
        middle.end()  # an empty database takes the place of the old one, so the tenant is away meanwhile
        _replaced(scene, proxy)
    began = len(middle.done)
    mode = "into-empty" if scene.mode == "database" else "replace"
    _run(scene, proxy, trip, "restore", str(archive), "--mode", mode, *_held(scene))
    ended = len(middle.done)
    if scene.mode == "database":
        proxy.reload_whole()
    middle.wait()
    middle.end()
    after = scene.checksums()
    trip.problems += [f"{one}: {text} became {after[one]}" for one, text in before.items() if after[one] != text]
    has = scene.written(MIDDLE)
    if not has >= {*middle.done[:early], *middle.done[ended:]}:
        trip.problems.append("the tenant has lost what it wrote before the backup or after the restore")
    if has & set(middle.done[late:began]):
        trip.problems.append("what the tenant wrote between backup and restore is there")


def _held(scene: Scene) -> list[str]:
    return ["--no-pause"] if scene.mode == "database" else ["--for", "7200", "--timeout", "120"]


def _replaced(scene: Scene, proxy: Proxy) -> None:
    """The tenant's database is a new one, which the rules name from the next reload on."""
    old, schema, condition = scene.places[MIDDLE]
    fresh, role = f"{old}_again", f"tpch_{MIDDLE}d"
    scene.cluster.create_database(fresh)
    scene.execute(fresh, f"ALTER SCHEMA public OWNER TO {role}")
    scene.places[MIDDLE] = (fresh, schema, condition)
    scene.rules = scene.rules.replace(f"/{old}?", f"/{fresh}?")
    (proxy.directory / "rules" / "sample.yaml").write_text(scene.rules, "utf-8")


def _run(scene: Scene, proxy: Proxy, trip: Trip, *arguments: str) -> None:
    uri = f"postgresql://{SUPERUSER}@127.0.0.1:{scene.cluster.port}/{scene.places[MIDDLE][0]}?sslmode=disable"
    more = ["--rules", str(proxy.directory / "rules"), "--server", uri]
    if arguments[0] == "backup":
        more += ["--pg-dump", str(find_binaries(18) / "pg_dump")]
    begun = time.monotonic()
    status, said = trip.run([*arguments, *more], proxy.directory / "state")
    trip.seconds[arguments[0]] = time.monotonic() - begun
    if status != 0:
        raise RuntimeError(f"{arguments[0]}: {said[-2000:]}")


@contextmanager
def made(cluster: Cluster, mode: str, scale: float) -> Iterator[Scene]:
    """The tenants of the set in one of MODES; 1 and 3 have a quarter of what 2 has."""
    scales = dict.fromkeys(tpch.TENANTS, scale / 4) | {MIDDLE: scale}
    name = f"tpch_{mode}"
    names = [f"{name}_{tenant}" for tenant in tpch.TENANTS.values()] if mode == "database" else [name]
    for one in names:
        cluster.create_database(one)
    try:
        yield {"row": _row, "rls": _rls, "schema": _schema, "database": _database}[mode](cluster, name, scales)
    finally:
        for one in (*names, f"{name}_{tpch.TENANTS[MIDDLE]}_again"):
            cluster.drop_database(one)


def _shared(cluster: Cluster, name: str, mode: str, scales: Mapping[int, float]) -> Scene:
    text = (
        f"database: {NAME}\nserver: postgresql://tpch_app@127.0.0.1:{cluster.port}/{name}?sslmode=disable\n"
        f"isolation: {mode}\ntenant_column: tenant_id\n"
        "relations: {region: {shared: read}, nation: {shared: read}}\n"
    )
    for number, tenant in tpch.TENANTS.items():
        role = f"server_login: tpch_{tenant}\n" if mode == "rls" else ""
        text += f"---\ntenant: {tenant}\ndatabases: [{NAME}]\nkey: {number}\n{role}{_logins(tenant)}"
    places = {number: (name, "public.", f"tenant_id = {number}") for number in tpch.TENANTS}
    scene = Scene(cluster, mode, text, places)
    scene.execute(name, tpch.row_mode(scales))
    scene.execute(name, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    return scene


def _row(cluster: Cluster, name: str, scales: Mapping[int, float]) -> Scene:
    scene = _shared(cluster, name, "row", scales)
    scene.execute(name, _role("tpch_app"))
    scene.execute(name, "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO tpch_app")
    scene.execute(name, "ANALYZE")
    return scene


def _rls(cluster: Cluster, name: str, scales: Mapping[int, float]) -> Scene:
    scene = _shared(cluster, name, "rls", scales)
    scene.execute(name, _role("tpch_app"))
    grants = _grants(scene.rules)

    async def texts() -> list[str]:
        place = Server(cluster.host, cluster.port, name, SUPERUSER)
        connection = await connect(place, Credentials(tls="disable"))
        try:
            policy, catalog = grants[0].policy, await introspect(connection, 1)
            relations = [seen.relation.oid for seen in tenant_relations(policy, catalog)]
            first = walls(policy, catalog, await read_grants(connection, GROUP, relations))
            return [first, *(tenant_behind(one, SALT) for one in grants)]
        finally:
            await connection.close()

    for text in [*asyncio.run(texts()), "ANALYZE"]:
        scene.execute(name, text)
    return scene


def _schema(cluster: Cluster, name: str, scales: Mapping[int, float]) -> Scene:
    text = (
        f"database: {NAME}\nserver: postgresql://nobody@127.0.0.1:{cluster.port}/{name}?sslmode=disable\n"
        f"isolation: schema\nshared_schemas: [{tpch.REFERENCE}]\n"
    )
    for tenant in tpch.TENANTS.values():
        text += f"---\ntenant: {tenant}\ndatabases: [{NAME}]\nschema: {tenant}\nserver_login: tpch_{tenant}_rw\n"
        text += _logins(tenant)
    places = {number: (name, f"{tenant}.", "true") for number, tenant in tpch.TENANTS.items()}
    scene = Scene(cluster, "schema", text, places)
    scene.execute(name, tpch.schema_mode(scales))
    for one in _grants(text):
        scene.execute(name, provision(one, SALT))
    scene.execute(name, "ANALYZE")
    return scene


def _database(cluster: Cluster, name: str, scales: Mapping[int, float]) -> Scene:
    text = f"database: {NAME}\nisolation: database\n"
    places = {}
    for number, tenant in tpch.TENANTS.items():
        database, role = f"{name}_{tenant}", f"tpch_{number}d"
        text += f"---\ntenant: {tenant}\ndatabases: [{NAME}]\n{_logins(tenant)}"
        text += f"server: postgresql://{role}@127.0.0.1:{cluster.port}/{database}?sslmode=disable\n"
        places[number] = (database, "public.", "true")
    scene = Scene(cluster, "database", text, places)
    for number, (database, _, _) in places.items():
        role = f"tpch_{number}d"
        scene.execute(database, tpch.database_mode(number, scales[number]))
        scene.execute(database, _role(role))
        scene.execute(database, TAKE_OVER.format(role=role, role_text=f"'{role}'", schema_text="'public'"))
        scene.execute(database, f"ALTER SCHEMA public OWNER TO {role}; ANALYZE")
    return scene


def _grants(text: str) -> list[Grant]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rules.yaml").write_text(text, "utf-8")
        return [grant for _, grant in sorted(load(Path(folder), {}, 1).grants.items())]


def _role(name: str) -> str:
    return f"DO $$ BEGIN CREATE ROLE {name} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"


def _logins(tenant: str) -> str:
    login = f"{tenant}_app"
    verifier = build_verifier(PASSWORDS[login], login.encode().ljust(16, b"."), 4096)
    return f'logins:\n  {login}: {{verifier: "{verifier}"}}\n'


def main() -> None:
    """Tells of each mode; the exit status is 1 when anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.roundtrip", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1, help="of tenant 2 as text, about")
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    given = parser.parse_args()
    wrong = 0
    with running(18, settings={"shared_buffers": "512MB", "max_wal_size": "8GB"}) as cluster:
        for mode in given.modes:
            trip = round_trip(cluster, mode, given.gigabytes)
            wrong += len(trip.problems)
            times = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in trip.seconds.items())
            written = "; ".join(f"tenant {number} wrote {count}" for number, count in trip.written.items())
            print(f"{mode}: {times}; {written}: {'; '.join(trip.problems) or 'all is as before'}", flush=True)
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    main()
