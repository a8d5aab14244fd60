"""`partywall doctor`: an audit of live schemas and grants: what breaks, which attack that is, what mends it.

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

from proxy.cli.report import reported
from proxy.doctor.survey import Surveyed, survey
from proxy.doctor.telling import told
from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules

STATUS = {"critical": 1, "warning": 3}


def doctor(
    database: Annotated[str | None, typer.Option(help="One database, as applications name it; default: all.")] = None,
    tenant: Annotated[str | None, typer.Option(help="One tenant; default: all.")] = None,
    rules: Annotated[Path, typer.Option(help="The folder of rule files.")] = Path("rules"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Examine databases and the roles that serve tenants there: findings, attacks, and the DDL that mends them."""
    with reported():
        found = asyncio.run(_surveyed(rules, database, tenant))
    if as_json:
        typer.echo(json.dumps([_plain(one) for group in found for one in group], indent=2))
    else:
        typer.echo("\n\n".join("\n".join(told(group)) for group in found))
    worst = {one.report.worst for group in found for one in group}
    status = next((STATUS[one] for one in STATUS if one in worst), 0)
    if status:
        raise typer.Exit(status)


def _plain(one: Surveyed) -> dict[str, Any]:
    findings = [asdict(finding) | {"accepted": accepted} for finding, accepted in one.report.findings]
    return {"place": one.place, "tenants": one.tenants, "score": one.report.score, "findings": findings}


async def _surveyed(rules: Path, database: str | None, tenant: str | None) -> list[list[Surveyed]]:
    book = await read_rules(rules, os.environ, 1)
    grants = [
        grant
        for (owner, name, _), grant in sorted(book.grants.items())
        if tenant in (None, owner) and database in (None, name)
    ]
    if not grants:
        whose = "no tenant" if tenant is None else f"no tenant {tenant} that"
        raise ConfigurationError([f"{whose} has a database {database or ''} in these rules".replace("  ", " ")])
    return await survey(grants)
