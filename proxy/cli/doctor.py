"""`partywall doctor`: an audit of the live schema and grants: what breaks, which attack that is, what mends it.

Exit status: 0: nothing worse than advice; 3: warnings; 1: critical findings, or no answer; 2: wrong usage.
"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.catalog.connect import connect
from proxy.catalog.examination import examine
from proxy.catalog.facts import check_facts
from proxy.catalog.introspect import introspect
from proxy.catalog.watch import FAILURES
from proxy.cli.report import reported
from proxy.doctor.patient import Patient
from proxy.doctor.report import Report, report_of, schema_findings
from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules
from proxy.sql.world import World
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook

STATUS = {"critical": 1, "warning": 3}


def doctor(
    database: Annotated[str, typer.Option(help="The database, as applications name it.")],
    rules: Annotated[Path, typer.Option(help="The folder of rule files.")] = Path("rules"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Examine a database and the role that serves tenants there: findings, attacks, and the DDL that mends them."""
    with reported():
        found = asyncio.run(_examined(rules, database))
    if as_json:
        typer.echo(json.dumps([_plain(place, report) for place, report in found], indent=2))
    else:
        typer.echo("\n".join(line for place, report in found for line in described(place, report)))
    worst = [report.worst for _, report in found]
    status = next((STATUS[one] for one in STATUS if one in worst), 0)
    if status:
        raise typer.Exit(status)


def described(place: str, report: Report) -> list[str]:
    """A report as people read it, line by line."""
    lines = [f"{place}: score {report.score} of 100"]
    for finding, accepted in report.findings:
        lines += ["", f"{finding.severity}: {finding.name}{' (accepted)' if accepted else ''}", f"  {finding.text}"]
        lines += [f"  attack: {finding.attack}"] if finding.attack else []
        lines += [f"  remedy: {finding.remedy}"]
    return lines


def _plain(place: str, report: Report) -> dict[str, Any]:
    findings = [asdict(finding) | {"accepted": accepted} for finding, accepted in report.findings]
    return {"place": place, "score": report.score, "findings": findings}


async def _examined(rules: Path, database: str) -> list[tuple[str, Report]]:
    book = await read_rules(rules, os.environ, 1)
    places = _places(book, database)
    if not places:
        raise ConfigurationError([f"no tenant has a database {database} in these rules"])
    return [(name, await _examine(grant)) for name, grant in places.items()]


def _places(book: RuleBook, database: str) -> dict[str, Grant]:
    """A grant for each place that the name leads to."""
    found: dict[str, Grant] = {}
    for grant in book.grants.values():
        if grant.database == database and not grant.policy.read_only:
            server = grant.server
            found.setdefault(f"{server.role}@{server.host}:{server.port}/{server.database}", grant)
    return found


async def _examine(grant: Grant) -> Report:
    own = grant.policy.isolation == "database"
    try:
        connection = await connect(grant.server, grant.credentials)
        try:
            schemas = grant.policy.path if grant.policy.isolation == "schema" else ()
            facts = await check_facts(connection, grant.server, own, schemas, grant.wall_keys)
            if own or schemas:
                return report_of(facts, (), ())
            world = World(grant.policy, await introspect(connection, 1))
            return report_of(facts, schema_findings(Patient(world, await examine(connection))), grant.accept)
        finally:
            await connection.close()
    except FAILURES as error:
        raise ConfigurationError([f"database {grant.database}: {error}"]) from error
