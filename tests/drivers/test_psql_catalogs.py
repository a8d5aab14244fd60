"""psql's backslash commands: through the proxy they print what they print at a private server that has what policy
shows.

psql 15 asks servers of both majors, and psql 18 that of 18. Left out of the comparison, by name: sizes, which nobody is
told; bounds of list partitions and constraints of partitions; lines that point at an error; what the sample rules hide
and a foreign key or a trigger still names; other databases; roles that other tests have made at the server, of which
the proxy must show none.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.kit.postgres import Cluster, find_binaries
from tests.kit.proxy import Proxy
from tests.kit.sample import load_shown

SIZE = re.compile(r"\|(?:\d+ (?:bytes|[kMG]B))?(?=\|)")
BOUNDS = re.compile(r" FOR VALUES IN \(\d\)| (?=,?$)|^(No p|P)artition constraint.*\n|^LINE .*\n.*\n", re.MULTILINE)
MARK = "-- said --"
ROWS = re.compile(r"\(\d+ rows?\)")
LEFT_OUT = re.compile(
    r"^(?:\w+\|)?(?:(?:accounts|audit_log|transfers)_id_seq|log_change)\|.*\n(?:app=.*\n)?", re.MULTILINE
)
ROLES = ("\\du", "\\du+", "\\dg")
STRANGERS = re.compile(r"^(?!Role name\||app\||app_owner\||postgres\|)\w+\|.*\n", re.MULTILINE)
DESCRIBED = (
    "orders", "events", "events_2023", "events_default", "metrics", "metrics_t1", "products", "open_orders", "odd",
    "mv_order_stats", "users", "transfers", "accounts", "vehicles", "assets", '"Order Details"', "invoice_no_seq",
    "orders_pkey", "documents_tsv_ix", "addr", "listed", "bookings", "order_status",
)  # fmt: skip
COMMANDS = (
    *(f"\\d {name}" for name in DESCRIBED), *(f"\\d+ {name}" for name in DESCRIBED),
    "\\d", "\\d+", "\\dt", "\\dt+", "\\di", "\\di+", "\\dv", "\\dv+", "\\dm", "\\dm+", "\\ds", "\\ds+", "\\dE", "\\dS",
    "\\dn", "\\dn+", "\\du", "\\du+", "\\dg", "\\dp", "\\z orders", "\\ddp", "\\dT", "\\dT+", "\\dD", "\\dD+",
    "\\df", "\\df+ slugify", "\\dfS lower", "\\da", "\\dx", "\\db", "\\dA", "\\dAc", "\\dAf", "\\dAo", "\\dAp", "\\dC",
    "\\dc", "\\dO", "\\do @>", "\\dF", "\\dFd", "\\dFp", "\\dFt", "\\dL", "\\dy", "\\des", "\\det", "\\deu", "\\dew",
    "\\dP", "\\dPt", "\\dPi", "\\dX", "\\dRp", "\\dRs", "\\drg", "\\dd", "\\dl", "\\sf slugify", "\\sv open_orders",
    "\\d leaky_stats", "\\sf order_secret", "\\d nothing", "\\encoding",
)  # fmt: skip


def psql(binaries: Path, dsn: str, *commands: str) -> list[str]:
    """What psql says to each command in one session, unaligned, errors included."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    program = binaries / "psql"
    script = "".join(f"{command}\n\\echo {MARK}\n" for command in commands)
    done = subprocess.run(
        [str(program) if program.exists() else "psql", "-XA", dsn],
        input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment,
        timeout=120,
    )  # fmt: skip
    return done.stdout.split(f"{MARK}\n")[: len(commands)]


def compared(text: str) -> str:
    """What both must say."""
    return ROWS.sub("", BOUNDS.sub("", SIZE.sub("|", LEFT_OUT.sub("", text))))


@pytest.fixture(scope="session", params=["own", "15"])
def binaries(request: pytest.FixtureRequest, shared_server: Cluster) -> Path:
    """psql of the server's major, and psql 15 besides."""
    return shared_server.binaries if request.param == "own" else find_binaries(15)


@pytest.fixture(scope="session")
def answers(shared_server: Cluster, proxy: Proxy, binaries: Path) -> dict[str, tuple[str, str]]:
    """What is printed for each command: through the proxy, and at the private server."""
    seen = psql(binaries, proxy.dsn("acme_app"), *COMMANDS)
    expected = psql(binaries, shared_server.dsn("app", load_shown(shared_server)), *COMMANDS)
    assert len(seen) == len(expected) == len(COMMANDS)
    pairs = zip(COMMANDS, seen, expected, strict=True)
    return {name: (compared(one), compared(known(name, other))) for name, one, other in pairs}


def known(command: str, expected: str) -> str:
    """What a private server would answer that has the sample's roles alone."""
    return STRANGERS.sub("", expected) if command in ROLES else expected


@pytest.mark.parametrize("command", COMMANDS)
def test_a_backslash_command_prints_a_private_servers_answer(answers: dict[str, tuple[str, str]], command: str) -> None:
    seen, expected = answers[command]
    assert seen == expected


@pytest.mark.parametrize("command", ["\\d metrics_t1", "\\d+ metrics", "\\d+ listed"])
def test_bounds_of_list_partitions_are_not_told(shared_server: Cluster, proxy: Proxy, command: str) -> None:
    (said,) = psql(shared_server.binaries, proxy.dsn("acme_app"), command)
    assert "metrics_t1" in said or "listed_1" in said
    assert "FOR VALUES" not in said


def test_sizes_are_told_to_nobody(shared_server: Cluster, proxy: Proxy) -> None:
    lists = psql(shared_server.binaries, proxy.dsn("acme_app"), "\\dt+", "\\di+", "\\l+", "\\db+")
    assert len(lists) == 4
    for said in lists:
        assert said.startswith("List of ")
        assert "ERROR" not in said
        assert not re.search(r"\d (bytes|kB|MB)", said)


def test_the_database_is_the_only_one(shared_server: Cluster, proxy: Proxy) -> None:
    (said,) = psql(shared_server.binaries, proxy.dsn("acme_app"), "\\l")
    assert [line.split("|")[0] for line in said.splitlines()[2:]] == [proxy.database, "(1 row)"]


def test_settings_are_those_on_the_list(shared_server: Cluster, proxy: Proxy) -> None:
    every, changed = psql(shared_server.binaries, proxy.dsn("acme_app"), "\\dconfig *", "\\dconfig")
    assert "work_mem|" in every
    assert "shared_buffers" not in every
    assert "application_name|psql" in changed


def test_settings_of_roles_and_databases_are_refused(shared_server: Cluster, proxy: Proxy, binaries: Path) -> None:
    (said,) = psql(binaries, proxy.dsn("acme_app"), "\\drds")
    assert said == "ERROR:  permission denied for table pg_db_role_setting\n"


def test_conninfo_names_the_login(shared_server: Cluster, proxy: Proxy) -> None:
    (said,) = psql(shared_server.binaries, proxy.dsn("acme_app"), "\\conninfo")
    assert "acme_app" in said
