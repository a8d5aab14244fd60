"""Runs a suite somewhere, and says what became of each of its tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.drivers.suites.sources import Suite

TIMEOUT = 30  # seconds for one test


@dataclass(frozen=True, slots=True)
class Outcome:
    """passed, failed or skipped; and the first line of what a failure said."""

    verdict: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suite connects. The names are the same directly and through the proxy."""

    port: int
    password: str
    user: str = "suites"
    database: str = "postgres"  # which asyncpg's tests name themselves
    modules: tuple[str, ...] = ()  # folders of modules that a suite needs besides

    @property
    def environment(self) -> dict[str, str]:
        """libpq's variables, which asyncpg reads too; psycopg's suite has its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PARTYWALL_"))}
        dsn = f"host=127.0.0.1 port={self.port} user={self.user} dbname={self.database} password={self.password}"
        return kept | {
            "PYTHONPATH": os.pathsep.join(self.modules),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGPASSWORD": self.password,
            "PSYCOPG_TEST_DSN": dsn,
        }


def play(suite: Suite, place: Place, only: Iterable[str] = ()) -> dict[str, Outcome]:
    """Outcomes by the tests' names (file::Class::test[parameters]); `only`: of these, with whatever parameters."""
    wanted = dict.fromkeys(one.partition("[")[0] for one in only)
    with tempfile.TemporaryDirectory(prefix="partywall-suite-") as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "--tb=native", f"--timeout={TIMEOUT}"]
        command += ["-p", "no:randomly", "-p", "no:xdist"]
        command += ["-o", f"cache_dir={folder}/cache", "-p", "no:unraisableexception", "-p", "no:threadexception"]
        command += [f"--junitxml={report}", "-o", "junit_family=xunit1", *suite.options]
        command += list(wanted) or ["tests"]
        subprocess.run(command, cwd=suite.folder, env=place.environment, check=False, stdout=sys.stderr)
        return outcomes(ET.parse(report))


def outcomes(report: ET.ElementTree[ET.Element[str]]) -> dict[str, Outcome]:
    """What a report in JUnit's form says. A test that failed and then could not be torn down has failed."""
    found: dict[str, Outcome] = {}
    for case in report.iter("testcase"):
        name = name_of(case.attrib)
        seen = Outcome("passed")
        for kind in ("skipped", "error", "failure"):
            element = case.find(kind)
            if element is not None:
                seen = Outcome("skipped" if kind == "skipped" else "failed", first_line(element.get("message", "")))
        if name not in found or found[name].verdict != "failed":
            found[name] = seen
    return found


def name_of(attributes: Mapping[str, str]) -> str:
    """file::Class::test, as pytest takes it."""
    file = attributes.get("file", "")
    module = file.removesuffix(".py").replace("/", ".")
    inner = attributes.get("classname", "").removeprefix(module).strip(".")
    return "::".join(part for part in (file, *inner.split("."), attributes.get("name", "")) if part)


def first_line(text: str) -> str:
    """The first line, at most 200 characters."""
    return text.strip().split("\n", 1)[0][:200]
