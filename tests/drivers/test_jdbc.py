"""The JDBC driver: the same program tells the same story through the proxy and on a private database."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy
from tests.kit.sample import load_shown

SOURCE = Path(__file__).parent / "java" / "Story.java"
DRIVER = Path("/usr/share/java/postgresql.jar")


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path of the compiled program. RuntimeError where Java or the driver is missing."""
    if shutil.which("javac") is None or not DRIVER.exists():
        raise RuntimeError(
            "javac or the driver is missing. On Debian and Ubuntu: "
            "apt-get install default-jdk-headless libpostgresql-jdbc-java"
        )
    home = tmp_path_factory.mktemp("java")
    subprocess.run(["javac", "-cp", DRIVER, "-d", home, SOURCE], check=True, timeout=120)
    return f"{home}:{DRIVER}"


def story(compiled: str, port: int, database: str, user: str, password: str, part: str) -> list[list[str]]:
    """[step, answer] of each line."""
    command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", compiled, "Story"]
    command += [f"jdbc:postgresql://127.0.0.1:{port}/{database}", user, password, part]
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "done"
    return [line.split("\t") for line in lines[:-1]]


# What the sample rules do not show, or no rule can: toast tables, hidden sequences, the function of a trigger.
HIDDEN = (",pg_toast,", ",accounts_id_seq,", ",audit_log_id_seq,", ",transfers_id_seq,", ",log_change,")


def rows(answer: str, database: str) -> list[str]:
    """The rows of a catalog's answer, without what differs on purpose: the database's name, OIDs in specific names, the
    sizes of indexes (statistics are shown as never taken), the order of rows that nothing orders, what is HIDDEN.
    """
    plain = re.sub(r"_\d{5}\b", "_OID", answer.replace(f"({database},", "(DATABASE,"))
    plain = re.sub(r"(,[AD]?),[\d.-]+,\d+,null,\)", r"\1,TUPLES,PAGES,null,)", plain)
    return sorted(row for row in re.split(r"(?=\()", plain) if not any(name in row for name in HIDDEN))


def test_a_program_tells_the_same_story_as_on_a_private_database(
    compiled: str, shared_server: Cluster, proxy: Proxy
) -> None:
    expected = story(compiled, shared_server.port, "private1", "app", "x", "statements")
    told = story(compiled, proxy.port, proxy.database, "acme_app", proxy.passwords["acme_app"], "statements")
    assert [step for step, _ in told] == [step for step, _ in expected]
    for seen, there in zip(told, expected, strict=True):
        assert seen == there


def test_every_method_of_its_database_metadata_answers_as_on_a_private_database(
    compiled: str, shared_server: Cluster, proxy: Proxy
) -> None:
    private = load_shown(shared_server)
    expected = story(compiled, shared_server.port, private, "app", "x", "metadata")
    told = story(compiled, proxy.port, proxy.database, "acme_app", proxy.passwords["acme_app"], "metadata")
    assert [step for step, _ in told] == [step for step, _ in expected]
    for (step, seen), (_, there) in zip(told, expected, strict=True):
        assert (step, rows(seen, proxy.database)) == (step, rows(there, private))
