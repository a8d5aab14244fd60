"""`make suites`: gets the suites, runs each directly and through the proxy, and records what differs.

Takes about ten minutes. Whatever does not end alike is run again, alone, at both places: what is recorded has differed
each time. With the name of a suite only that one is run and the other's record kept; `--page` only writes
docs/compatibility.md anew from the record.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.drivers.suites import sources
from tests.drivers.suites.play import Outcome, Place, play
from tests.drivers.suites.record import OUTCOMES, PAGE, Record, counted, differences, load, renewed, save
from tests.kit.postgres import Cluster, running
from tests.kit.proxy import running_proxy
from tests.kit.rules import PASSWORDS, own_rules

MAJOR = 18
ROLE, DATABASE = "suites", "postgres"  # asyncpg's tests name that database themselves
SERVER_SETTINGS = {"max_prepared_transactions": "10"}
SUITES: Mapping[str, Callable[[Path], sources.Suite]] = {"asyncpg": sources.asyncpg, "psycopg": sources.psycopg}
AGAIN = 2  # times that a difference must show again
# What asyncpg's tests import.
DISTRO = "distro==1.9.0 --hash=sha256:7bffd925d65168f85027d8da9af6bddab658135b840670a223589bc0c8ef02b2"


def main() -> None:
    """The command."""
    if "--page" not in sys.argv:
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "partywall" / "suites"
        cache.mkdir(parents=True, exist_ok=True)
        kept = {one.suite: one for one in load()} if OUTCOMES.exists() else {}
        wanted = [one for one in sys.argv[1:] if one in SUITES] or list(SUITES)
        with places(needs(cache)) as (server, direct, proxied):
            for name in wanted:
                kept[name] = measured(SUITES[name](cache), server, direct, proxied)
        save([kept[name] for name in SUITES if name in kept])
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{PAGE.name} is up to date")


def needs(cache: Path) -> str:
    """A folder with what the suites import and nobody else does."""
    folder = cache / "modules"
    if not folder.exists():
        wanted = cache / "modules.txt"
        wanted.write_text(DISTRO + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        subprocess.run([*command, "--target", str(folder), "--requirement", str(wanted)], check=True)
    return str(folder)


@contextmanager
def places(modules: str) -> Iterator[tuple[str, Place, Place]]:
    """The server's version, a PostgreSQL, and the proxy in front of another: with the same role, database and owner."""
    PASSWORDS[ROLE] = "suites-pass"
    with running(MAJOR, settings=SERVER_SETTINGS) as plain, running(MAJOR, settings=SERVER_SETTINGS) as behind:
        for cluster in (plain, behind):
            give(cluster)
        rules = own_rules(behind.port, DATABASE, role=ROLE, tenant=ROLE, login=ROLE, name=DATABASE)
        rules += "quotas: {connections: 1000, server_connections: 90}\n"
        with running_proxy(behind.port, database=DATABASE, rules=rules) as proxy:
            shown = plain.psql(sql="SHOW server_version").split()[0]
            yield (
                f"PostgreSQL {shown}",
                Place(plain.port, "any", modules=(modules,)),
                Place(proxy.port, PASSWORDS[ROLE], modules=(modules,)),
            )


def give(cluster: Cluster) -> None:
    """A role, and the database to it."""
    cluster.psql(sql=f"CREATE ROLE {ROLE} LOGIN; ALTER DATABASE {DATABASE} OWNER TO {ROLE}")
    cluster.psql(DATABASE, f"ALTER SCHEMA public OWNER TO {ROLE}")


def measured(suite: sources.Suite, server: str, direct: Place, proxied: Place) -> Record:
    """Both runs, and those tests that differ each time."""
    first, second = both(suite, direct, proxied, ())
    for _ in range(AGAIN):
        doubtful = [one.test for one in differences(first, second) if "absent" not in (one.direct, one.proxied)]
        if doubtful:
            again = both(suite, direct, proxied, doubtful)
            alike = [one for one in doubtful if again[0].get(one) and again[1].get(one)]
            for one in alike:
                if again[0][one].verdict == again[1][one].verdict:
                    first[one], second[one] = again[0][one], again[1][one]
    found = differences(first, second)
    return Record(suite.name, suite.version, version(suite.name), server, counted(first), counted(second), found)


def both(
    suite: sources.Suite, direct: Place, proxied: Place, only: tuple[str, ...] | list[str]
) -> tuple[dict[str, Outcome], dict[str, Outcome]]:
    """The two runs, at once."""
    with ThreadPoolExecutor(2) as executor:
        one, other = (executor.submit(play, suite, place, only) for place in (direct, proxied))
        return one.result(), other.result()


if __name__ == "__main__":
    main()
