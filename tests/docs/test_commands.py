"""Every command in a shell block of the pages is run here as it stands there, or is on a short list with its reason.

Only addresses are others: a server and ports that are this test's own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import yaml

from proxy.auth.scram import build_verifier
from tests.docs.pages import README, ROOT, blocks, commands
from tests.docs.test_migrations import COMMANDS
from tests.kit import forking
from tests.kit.books import eventually
from tests.kit.postgres import Cluster, free_port, running

ANOTHER = "postgresql://keeper@127.0.0.1:5432/shop"
# Not run here, and who does it instead. `make -n` is asked for all of them whether the Makefile knows them.
ELSEWHERE = {
    "make demo": "waits for Ctrl-C; tests/demo/test_run.py runs the same program with --once",
    "make demo ARGS=--once": "tests/demo/test_run.py runs the program behind it",
    "make test": "it runs this test",
    "make test-long": "as make test, with twenty times as many seeds",
    "make kills": "runs for half an hour; every run of the tests does a little of it",
    "make lint": "the CI script runs it",
    "make fuzz": "as long as one likes; tests/fuzz/ runs its targets over what was kept",
    "make suites": "runs for ten minutes; tests/drivers/test_suites.py looks at what it recorded",
    "make bench": "measures for minutes; benchmarks/ is its own check",
    "python -m benchmarks.idle --clients 10000 --output benchmarks/IDLE.md": "tests/chaos/test_idle.py has fewer",
    "python -m benchmarks.tenants --output benchmarks/TENANTS.md": "tests/fleet/test_reading.py loads fewer",
    "python -m benchmarks.neighbours --output benchmarks/NEIGHBOURS.md": "tests/fleet/test_neighbours.py has three",
    "python -m benchmarks.backup --gigabytes 1 --binaries /usr/lib/postgresql/18/bin": "measures for half an hour",
    "python -m tests.kit.roundtrip --gigabytes 1": "tests/backup/test_tpch.py has less than a megabyte",
    "python -m benchmarks.noisy_neighbour": "tests/chaos/test_noisy_neighbour.py has a few seconds",
    "python -m tests.chaos.tenants --tenants 10000 --active 500 --connections 100": "tests/chaos/test_tenants.py",
    "python -m benchmarks.pools --output benchmarks/POOLS.md": "as the one before",
    "python -m tests.chaos.crowd --seconds 120": "tests/chaos/test_crowd.py has fewer clients and seconds",
    "partywall usage host1/usage.sqlite host2/usage.sqlite": "tests/cli/test_usage.py has two journals",
    "partywall backups list": "tests/cli/test_backups.py has rules with backups",
    "partywall backups prune --dry-run": "the same",
    "partywall provision --tenant hooli --rules rules": "tests/cli/test_provision.py has such rules",
    "partywall provision --rules rules --run postgresql://postgres@127.0.0.1:5432/erp": "the same, as a superuser",
    "partywall provision --rules rules --read postgresql://partywall_check@127.0.0.1:5432/desk": "the same",
    "partywall provision --rules rules --run postgresql://postgres@127.0.0.1:5432/desk": "the same, as a superuser",
    **dict.fromkeys(
        (
            "partywall move --tenant acme --database shop --to"
            " postgresql://partywall_app@db2.example.com:5432/shop --dry-run",
            "partywall move --tenant acme --database shop --to"
            " postgresql://partywall_app@db2.example.com:5432/shop --password '${file:db2.password}'",
            "partywall move --tenant acme --database shop --mode schema --schema acme --login acme_rw"
            " --password '${file:acme.password}'",
            "partywall move --tenant acme --database shop --status",
            "partywall move --tenant acme --database shop --clean",
        ),
        "needs a second server; tests/cli/test_move.py has one",
    ),
    "python -m tests.equivalence.equality": "tests/equivalence/test_equality.py sees the same",
    **dict.fromkeys(COMMANDS, "tests/docs/test_migrations.py runs the section as a whole"),
    f"partywall verify --tenant acme --database shop --against {ANOTHER}": "tests/cli/test_verify.py has two servers",
    "zstd -dc new/removed/0001/0001/*.zst | awk 'NR==FNR {gone[$1]; next} !(FNR in gone)' - rows-of-the-first.copy": (
        "needs an archive in which rows went; tests/backup/test_gone.py does the same"
    ),
    "make venv": "whoever runs this test has done it",
    ". .venv/bin/activate": "Python's own, where make venv ran; the shell of this test has the same PATH",
}
PROGRAMS = {
    "make demo": "-m proxy demo",
    "make demo ARGS=--once": "-m proxy demo --once",
    "make test": "-m pytest",
    "make lint": "mypy --strict proxy tests",
    "make fuzz": "-m tests.fuzz",
    "make suites": "-m tests.drivers.suites",
    "make bench": "-m benchmarks",
}
SERVE = "partywall serve --rules rules"
SERVE_SOMEWHERE = "partywall serve --rules rules --listen 127.0.0.1:6432 --admin-listen 127.0.0.1:6433"
TERMINATE = 'kill -TERM "$PID"'
DRAIN = "partywall drain"
VERIFIER = r"^SCRAM-SHA-256\$4096:[^$]+\$[^:]+:\S+$"
# Run here: what the answer must hold.
ANSWERS = {
    "echo acme-secret | partywall hash-password": VERIFIER,
    'echo acme-next-secret | partywall hash-password --like "$ACME_APP_VERIFIER"': VERIFIER,
    "partywall check rules": r"1 databases, 2 tenants, 2 logins: no mistakes",
    "partywall check --online rules": r"no mistakes",
    'partywall explain --tenant acme --database shop "SELECT * FROM orders"': r" WHERE orders\.tenant_id .*'1'",
    "partywall usage": r"^period +tenant +login +statements",
    "partywall usage --by hour --since 2026-11-01 --until 2026-12-01 --tenant acme --format csv": r"^period,tenant",
    "partywall doctor": r"^partywall_app@127\.0\.0\.1:\d+/shop: score 100 of 100$",
    "partywall doctor --database shop": r"score 100 of 100$",
    "partywall doctor --tenant acme --json": r'"tenants": \[\s*"acme"\s*\]',
    "partywall schema": r'"\$schema": "https://json-schema\.org/',
    'psql "postgresql://acme_app:acme-secret@127.0.0.1:6432/shop" -c "SELECT count(*) FROM orders"': r"^\s*800$",
    "partywall status": r"^worker 0: pid \d+, serving",
    "partywall status --tenant acme --json": r'"tenant": "acme"',
    "partywall reload": r"^generation \d+$",
    "partywall pause --tenant acme --for 60": r"^paused: tenant acme, for 60 s$",
    "partywall resume": r"^resumed: ",
    "partywall kill --login acme_app": r"^killed: \d+ sessions$",
    "partywall drain --tenant acme": r"^drained$",
    "partywall status --at http://127.0.0.1:6433": r"^worker 0: pid \d+, serving",
    "curl -fsS http://127.0.0.1:6433/healthz": "ok",
    "curl -fsS http://127.0.0.1:6433/readyz": "ready",
    "curl -fsS http://127.0.0.1:6433/metrics": "partywall_info",
}
# Run here one after the other, in a folder of their own.
STEPS = {
    "partywall tenant add initech --database shop --key 3": r"^postgresql://initech_app:\S{32}@127\.0\.0\.1:\d+/shop$",
    "partywall tenant list": r"^initech  active  shop       initech_app$",
    "partywall tenant disable initech": "^$",
    "partywall tenant enable initech": "^$",
}
# The same beside a proxy that serves.
BESIDE = {
    "partywall backup --tenant acme --database shop -o acme.partywall": r"^acme in shop: \d+ rows of \d tables, as of ",
    "partywall verify acme.partywall": r"^acme in shop \(row\), as of \S+, PostgreSQL 18: \d+ rows of \d tables$",
    "age-keygen -o operator.key": "^$",
    'partywall backup --tenant acme --database shop -o acme.age --recipient "$(age-keygen -y operator.key)"': "rows",
    "partywall verify acme.age --identity operator.key": r"^acme in shop",
    "age -d -i operator.key acme.age | tar -tf -": r"^manifest\.json$",
    "partywall verify acme.partywall --live": r"^acme: the rows of \d tables are the same, as of ",
    "partywall restore acme.partywall --mode replace --dry-run": r"^nothing differs$",
    "partywall restore acme.partywall --mode replace": r"^nothing differs$",
    "partywall backup --tenant acme --database shop -o acme-monday.partywall": r"^acme in shop: \d+ rows of \d tables",
    "partywall backup --tenant acme --database shop -o acme-tuesday.partywall --since acme-monday.partywall": (
        r"^acme in shop: \d+ rows of \d tables, as of "
    ),
    "partywall backup --tenant acme --database shop -o acme-wednesday.partywall --since acme-tuesday.partywall": (
        r"^acme in shop: \d+ rows of \d tables, as of "
    ),
    "partywall verify acme-wednesday.partywall": (
        r"with acme-monday.partywall, acme-tuesday.partywall; since .* 0 rows came, and 0 went"
    ),
    "partywall restore acme-wednesday.partywall --mode replace": r"^nothing differs$",
    "partywall clone --tenant acme --as acme_staging --database shop --masking masking.yaml --dry-run": "a dry run",
    "partywall clone --tenant acme --as acme_staging --database shop --masking masking.yaml": r"^6 columns masked$",
    "partywall schema masking": '"title": "Partywall masking file"',
    "partywall export --tenant acme --database shop --format csv -o acme-csv/": r"^acme in shop: \d+ rows of \d tables",
    "partywall export --tenant acme --database shop --format parquet -o acme-parquet/": r"^acme in shop: \d+ rows of",
    "cd acme-csv && sha256sum --check SHA256SUMS": r"^customers\.csv: OK$",
    "openssl genpkey -algorithm ed25519 -out receipt.key": "^$",
    "openssl pkey -in receipt.key -pubout -out receipt.pub": "^$",
    "partywall erase --tenant globex --database shop --dry-run": r"^a dry run: nothing was changed$",
    "partywall erase --tenant globex --database shop --receipt globex.json --yes": r"^globex in shop: \d+ rows",
    "partywall receipt globex.json --key receipt.pub": r'"tenant": "globex"',
    "openssl pkeyutl -verify -pubin -inkey receipt.pub -rawin -in globex.json -sigfile globex.json.sig": "Successfully",
    "mkdir out": "^$",
    "tar -xf acme.partywall -C out": "^$",
    "cat out/data/0001/*.copy.zst | zstd -dc": r"^1\t",
}
STAGING = "{tenant: acme_staging, key: 9, databases: [shop]}\n"
STARTING = {SERVE, SERVE_SOMEWHERE}
SIGNALS = {'kill -HUP "$PID"': '"event": "rules loaded"', TERMINATE: '"event": "drained"', DRAIN: '"event": "drained"'}
EXPORTS = {
    "PARTYWALL_ADMIN_TOKEN",
    "PARTYWALL_MASKING_KEY",
    "PARTYWALL_OPERATOR_ROLE",
    "PARTYWALL_OPERATOR_PASSWORD",
    "PARTYWALL_RECEIPT_KEY",
    "SHOP_SERVER",
    "SHOP_PASSWORD",
    "ACME_APP_VERIFIER",
    "GLOBEX_APP_VERIFIER",
}
SECONDS = 30.0
SHELL = frozenset("$`|&;<>*?()~#\\")  # `*` within quotes goes to the shell, too


@dataclass(slots=True)
class Place:
    """A folder with rules/shop.yaml, its secrets in the environment, and a server that it fits."""

    folder: Path
    environment: dict[str, str]
    port: int
    admin_port: int
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.log = self.folder / "log"

    def here(self, command: str) -> str:
        """The command with this place's ports."""
        return command.replace(":6432", f":{self.port}").replace(":6433", f":{self.admin_port}")

    def run(self, command: str, **more: str) -> str:
        """What a shell prints; AssertionError when the command fails. Where a shell would do nothing but take the words
        apart, `partywall` is forked from one that has imported everything; elsewhere it is the installed program.
        """
        here, environment = self.here(command), self.environment | more
        program, *arguments = shlex.split(here)
        if program == "partywall" and SHELL.isdisjoint(here):
            done = forking.run(arguments, environment, 60, self.folder)
        else:
            done = subprocess.run(
                ["sh", "-c", here],
                cwd=self.folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    @contextmanager
    def serving(self, command: str) -> Iterator[subprocess.Popen[bytes]]:
        """The proxy as the page starts it, once it is ready."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {self.here(command)}"],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
            try:
                self.wait_for('"event": "serving"', process)
                yield process
            finally:
                process.kill()
                process.wait()

    def wait_for(self, text: str, process: subprocess.Popen[bytes]) -> None:
        """Until the log holds the text."""

        def told() -> bool:
            return text in self.log.read_text(encoding="utf-8")

        eventually(lambda: told() or process.poll() is not None, SECONDS)
        assert told(), self.log.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def shop() -> Iterator[Cluster]:
    """A server with passwords and the sample shop, and the statements of the README on it."""
    with running(18, auth="scram-sha-256") as cluster:
        cluster.create_database("shop")
        cluster.psql("shop", file=ROOT / "proxy" / "demo" / "shop.sql")
        yield cluster


@pytest.fixture(scope="module")
def place(shop: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """rules/shop.yaml as it is."""
    folder = tmp_path_factory.mktemp("documented")
    (folder / "rules").mkdir()
    rules = (ROOT / "rules" / "shop.yaml").read_text(encoding="utf-8")
    (folder / "rules" / "shop.yaml").write_text(rules, encoding="utf-8")
    shop.psql("shop", "ALTER ROLE partywall_app PASSWORD 'for-the-proxy'")
    port, admin_port = free_port(), free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "SHOP_SERVER": f"127.0.0.1:{shop.port}",
        "SHOP_PASSWORD": "for-the-proxy",
        "ACME_APP_VERIFIER": build_verifier("acme-secret", b"0123456789abcdef", 4096),
        "PARTYWALL_ADMIN_TOKEN": "sixteen characters or more",
        "GLOBEX_APP_VERIFIER": build_verifier("globex-secret", b"0123456789abcdef", 4096),
        # `serve` without addresses takes 6432 and 6433, which may be somebody else's on this machine
        "PARTYWALL_LISTEN": f"127.0.0.1:{port}",
        "PARTYWALL_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
    }
    return Place(folder, environment, port, admin_port)


@pytest.fixture(scope="module")
def served(place: Place) -> Iterator[Place]:
    """The place with the proxy running."""
    with place.serving(SERVE):
        yield place


def exported() -> set[str]:
    """What the pages put into the environment."""
    return {found[1] for one in commands() if (found := re.match(r"export (\w+)=", one))}


def test_every_command_of_the_pages_is_run_or_has_its_reason() -> None:
    written = {one for one in commands() if not one.startswith("export ")}
    assert written == ANSWERS.keys() | STEPS.keys() | BESIDE.keys() | STARTING | SIGNALS.keys() | ELSEWHERE.keys()
    assert exported() == EXPORTS


@pytest.mark.parametrize("command", ANSWERS)
def test_the_command_does_what_the_page_says(command: str, served: Place) -> None:
    if command.startswith("curl "):  # need not be installed: what counts is the address
        with urllib.request.urlopen(served.here(command.rsplit(maxsplit=1)[-1]), timeout=10) as answer:
            said = answer.read().decode()
    else:
        said = served.run(command)
        if command.startswith(("partywall pause", "partywall drain")):
            served.run("partywall resume")
    assert re.search(ANSWERS[command], said, re.MULTILINE), said


def test_the_steps_do_what_the_page_says(place: Place, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    rules = (place.folder / "rules" / "shop.yaml").read_text(encoding="utf-8")
    (tmp_path / "rules" / "shop.yaml").write_text(rules, encoding="utf-8")
    own = Place(tmp_path, place.environment, place.port, place.admin_port)
    for command, wanted in STEPS.items():
        said = own.run(command)
        assert re.search(wanted, said, re.MULTILINE), said
    assert "2 tenants" not in own.run("partywall check rules")


def test_what_the_page_of_backups_says_is_done_beside_a_proxy_that_serves(served: Place, shop: Cluster) -> None:
    (text,) = [one.text for one in blocks() if one.page == "docs/backup.md" and one.language == "sql"]
    shop.psql("shop", text)
    role = {"PARTYWALL_OPERATOR_ROLE": "keeper", "PARTYWALL_OPERATOR_PASSWORD": "for-the-keeper"}
    role["PARTYWALL_RECEIPT_KEY"] = "receipt.key"
    (masking,) = [one.text for one in blocks() if one.page == "docs/backup.md" and one.text.startswith("tables:\n")]
    (served.folder / "masking.yaml").write_text(masking, encoding="utf-8")
    staging = served.folder / "rules" / "staging.yaml"
    staging.write_text(STAGING, encoding="utf-8")
    try:
        for command, wanted in BESIDE.items():
            said = served.run(command, **role)
            assert re.search(wanted, said, re.MULTILINE), f"{command}: {said}"
    finally:
        staging.unlink()


@pytest.mark.parametrize("command", SIGNALS)
def test_the_signal_does_what_the_page_says(command: str, shop: Cluster, place: Place) -> None:
    own = Place(place.folder, dict(place.environment), free_port(), free_port())
    own.log = place.folder / f"log-{command.split()[1]}"
    own.environment["PARTYWALL_STATE_DIRECTORY"] = f"state-{command.split()[1]}"
    with own.serving(SERVE_SOMEWHERE) as process:
        own.run(command, PID=str(process.pid))
        own.wait_for(SIGNALS[command], process)
        if command in {TERMINATE, DRAIN}:
            assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("command", [one for one in ELSEWHERE if one.startswith("make ")])
def test_the_makefile_knows_the_target_and_its_program(command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        [*command.split(), "-n"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert PROGRAMS.get(command, "") in done.stdout


def test_the_statements_of_the_readme_make_a_role_that_may_serve(place: Place, shop: Cluster) -> None:
    (text,) = [one.text for one in blocks() if one.page == README.name and one.language == "sql"]
    text = text.replace("partywall_app", "documented_app")
    shop.psql("shop", text + "\nGRANT CONNECT ON DATABASE shop TO documented_app;")
    rules = place.folder / "rules-of-another-role"
    rules.mkdir()
    shop_rules = (place.folder / "rules" / "shop.yaml").read_text(encoding="utf-8")
    (rules / "shop.yaml").write_text(shop_rules.replace("partywall_app@", "documented_app@"), encoding="utf-8")
    assert "no mistakes" in place.run(f"partywall check --online {rules}")


def test_the_script_of_the_compose_file_makes_a_role_that_can_log_in_and_nothing_else(postgres18: Cluster) -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    script = compose["configs"]["application-role"]["content"].replace("$$", "$").replace('-d "shop"', "-d postgres")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {"PGHOST": "127.0.0.1", "PGPORT": str(postgres18.port), "SHOP_PASSWORD": "it's one"}
    script = script.replace("partywall_app", "composed_app")
    subprocess.run(["sh", "-c", script], env=environment, check=True, timeout=60, capture_output=True)
    powers = "rolcanlogin, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
    try:
        made = postgres18.psql(
            sql=f"SELECT {powers}, rolpassword LIKE 'SCRAM%' FROM pg_authid WHERE rolname ~ '^compo'"
        )
        assert made.strip() == "t|f|t|f|f|f|f|t"
    finally:
        postgres18.psql(sql="DROP ROLE composed_app")


def test_the_command_partywall_is_the_program_that_python_starts(place: Place) -> None:
    (script,) = entry_points(group="console_scripts", name="partywall")
    assert script.load().__module__ == "proxy.cli"
    by_a_shell, forked = (place.run(one) for one in ("true; partywall check rules", "partywall check rules"))
    assert by_a_shell == forked
    for reason in ELSEWHERE.values():
        for file in re.findall(r"tests/[\w/]+\.py", reason):
            assert (ROOT / file).is_file(), file
