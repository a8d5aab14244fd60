"""`partywall explain`: what would become of a statement, without running it."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.catalog.watch import FAILURES
from proxy.cli.report import reported
from proxy.errors import ConfigurationError
from proxy.fleet.tables import read_rules
from proxy.sql.admission import admitted
from proxy.sql.plan import Answer, Decision, Effects, Forward, Plan, PlanContext, Reject
from proxy.sql.planner import Planner
from proxy.sql.render import fill
from proxy.tenancy.derived import APPLICATION, LISTENING, PROCESS, QUERY
from proxy.tenancy.policy import Grant
from proxy.tenancy.rulebook import RuleBook


def explain(
    sql: Annotated[str, typer.Argument(help="One or several statements.")],
    tenant: Annotated[str, typer.Option(help="The tenant who sends it.")],
    database: Annotated[str, typer.Option(help="The database of its DSN.")],
    login: Annotated[str | None, typer.Option(help="One of its logins; default: the first.")] = None,
    rules: Annotated[Path, typer.Option(help="The folder of rule files.")] = Path("rules"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Print the decision, the text sent, the rules hit and the effects of a statement."""
    with reported():
        book = asyncio.run(read_rules(rules, os.environ, 1))
        grant = _grant(book, tenant, database, login)
        decisions = explained(asyncio.run(_catalog(grant)), grant, book.generation, sql)
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in decisions], indent=2))
        return
    for number, (decision, plan) in enumerate(decisions):
        typer.echo(("\n" if number else "") + "\n".join(described(decision, plan)))


def explained(catalog: Catalog, grant: Grant, generation: int, sql: str) -> list[tuple[Decision, Plan]]:
    """The decisions of a text, with their plans."""
    planner = Planner(catalog, 0)
    context = PlanContext(grant.policy, catalog.version, grant.policy.path, grant.server.role)
    planned = admitted(planner.plan(sql.encode(), context), grant.keys)
    keys = {**grant.keys, APPLICATION: "", PROCESS: "0", LISTENING: "{}", QUERY: sql}  # there is no session
    found = []
    for plan in planned.plans:
        text = fill(plan.template, keys, planned.literals).decode() if isinstance(plan, Forward) else None
        state = plan.sqlstate if isinstance(plan, Reject) else None
        effects = Effects() if isinstance(plan, Reject) else plan.effects
        verdict = type(plan).__name__.lower()
        found.append((Decision(verdict, plan.kind, plan.rules, planned.shape, state, effects, generation, text), plan))
    return found


def described(decision: Decision, plan: Plan) -> list[str]:
    """A decision as people read it, line by line."""
    lines = [f"decision:  {decision.verdict} ({decision.kind.value})"]
    if isinstance(plan, Reject):
        lines.append(f"error:     {plan.sqlstate} {plan.message}")
        for name, value in (("detail", plan.detail), ("hint", plan.hint), ("position", plan.position)):
            if value is not None:
                lines.append(f"{name + ':':<11}{value}")
    if isinstance(plan, Answer):
        lines.append(f"answer:    {plan.answer.value}")
    if decision.text is not None:
        lines.append(f"text sent: {decision.text}")
    if isinstance(plan, Forward) and plan.tag is not None:
        lines.append(f"tag:       {plan.tag}")
    lines.append(f"rules:     {', '.join(decision.rules) or 'none'}")
    lines.append(f"effects:   {', '.join(_effects(decision.effects)) or 'none'}")
    return lines


def _effects(effects: Effects) -> list[str]:
    plain = _named(asdict(effects))
    found = [f"{name} = {value}" for name, value in plain.items() if value and name not in ("transaction", "settings")]
    if effects.transaction is not None:
        found.insert(0, effects.transaction.value)
    return found + [f"{'local ' if one.local else ''}{one.name} = {one.value}" for one in effects.settings]


def _named(effects: dict[str, Any]) -> dict[str, Any]:
    """The same, with what it prepares, executes, declares or creates by its name only."""
    names = ("prepares", "executes", "declares", "creates")
    return effects | {name: effects[name] and effects[name]["name"] for name in names}


def _plain(explained_one: tuple[Decision, Plan]) -> dict[str, Any]:
    decision, plan = explained_one
    plain = asdict(decision)
    plain["kind"] = decision.kind.value
    plain["effects"] = _named(plain["effects"])
    plain["effects"]["transaction"] = decision.effects.transaction.value if decision.effects.transaction else None
    if isinstance(plan, Reject):
        plain |= {"message": plan.message, "detail": plan.detail, "hint": plan.hint, "position": plan.position}
    return plain


def _grant(book: RuleBook, tenant: str, database: str, login: str | None) -> Grant:
    logins = [one for one in book.logins.values() if one.tenant == tenant and login in (None, one.name)]
    if not logins:
        raise ConfigurationError([f"tenant {tenant} has no login{'' if login is None else ' ' + login} in these rules"])
    grant = book.grant(logins[0], database)
    if grant is None:
        raise ConfigurationError([f"tenant {tenant} has no database {database} in these rules"])
    return grant


async def _catalog(grant: Grant) -> Catalog:
    try:
        connection = await connect(grant.server, grant.credentials)
        try:
            schemas = grant.policy.path if grant.policy.schema else ()
            return await introspect(connection, 1, schemas=schemas)
        finally:
            await connection.close()
    except FAILURES as error:
        raise ConfigurationError([f"database {grant.database}: {error}"]) from error
