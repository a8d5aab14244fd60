"""All places of a rule book, examined: tenants that share a database are examined together, over one connection.

Promises: a run costs as many connections as there are databases, and as many questions as there are kinds of them,
however many tenants have a schema or a role of their own there. It logs in as one of them; whether the others can log
in is what `partywall check --online` tells. Changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy.catalog.connect import connect
from proxy.catalog.examination import examine
from proxy.catalog.facts import check_facts, role_facts, unsupported
from proxy.catalog.finding import Finding
from proxy.catalog.introspect import introspect
from proxy.catalog.own_objects import connect_findings, object_findings
from proxy.catalog.watch import FAILURES
from proxy.doctor.patient import Patient
from proxy.doctor.report import Report, report_of, schema_findings
from proxy.errors import ConfigurationError, UnsupportedServer
from proxy.sql.world import World
from proxy.tenancy.policy import Credentials, Grant, Server

if TYPE_CHECKING:
    from proxy.catalog.connect import CatalogConnection

AT_ONCE = 8  # connections
LOGINS = 5  # of a group that are tried before its database is given up
Connect = Callable[[Server, Credentials], Awaitable["CatalogConnection"]]


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What was found for the tenants that a role serves at a place."""

    server: Server
    tenants: tuple[str, ...]
    schema: str  # of the tenant's own, or ""
    report: Report

    @property
    def place(self) -> str:
        """For people and programs."""
        return f"{self.server.role}@{self.database}"

    @property
    def database(self) -> str:
        """The place without its role."""
        return f"{self.server.host}:{self.server.port}/{self.server.database}"


async def survey(grants: Iterable[Grant], open_connection: Connect = connect) -> list[list[Surveyed]]:
    """For each database its roles, in the order of the grants. ConfigurationError, with all that do not answer."""
    allowed = asyncio.Semaphore(AT_ONCE)

    async def one(group: Sequence[Grant]) -> list[Surveyed]:
        async with allowed:
            return await _examined(group, open_connection)

    found = await asyncio.gather(*(one(group) for group in grouped(grants)), return_exceptions=True)
    problems = [line for each in found if isinstance(each, ConfigurationError) for line in each.problems]
    if problems:
        raise ConfigurationError(problems)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]


def grouped(grants: Iterable[Grant]) -> list[list[Grant]]:
    """Those that are examined together: in one database by one policy, or in schemas of their own there."""
    groups: dict[tuple[object, ...], list[Grant]] = {}
    for grant in grants:
        policy = grant.policy
        if policy.read_only:
            continue
        server = replace(grant.server, role="") if policy.own_role else grant.server
        alike = policy.shared_schemas if policy.isolation == "schema" else policy.policy_class
        if policy.isolation == "database":
            server, alike = grant.server, ""
        groups.setdefault((policy.isolation, server, alike), []).append(grant)
    return list(groups.values())


async def _examined(group: Sequence[Grant], open_connection: Connect) -> list[Surveyed]:
    first = group[0]
    try:
        here, connection = await _connected(group, open_connection)
    except UnsupportedServer as error:
        return [_surveyed(group, report_of([unsupported(error.major)], (), ()))]
    except FAILURES as error:
        raise ConfigurationError([f"database {first.database}: {error}"]) from error
    try:
        if first.policy.isolation == "schema":
            return await _of_schemas(connection, group)
        if first.policy.behind_rls:
            return await _behind(connection, here, group)
        return [await _of_place(connection, group)]
    except FAILURES as error:
        raise ConfigurationError([f"database {first.database}: {error}"]) from error
    finally:
        await connection.close()


async def _connected(group: Sequence[Grant], open_connection: Connect) -> tuple[Grant, CatalogConnection]:
    """The first of them that is let in; the failure of the last that was tried."""
    tried = group[:LOGINS]
    for grant in tried[:-1]:
        with suppress(*FAILURES):
            return grant, await open_connection(grant.server, grant.credentials)
    return tried[-1], await open_connection(tried[-1].server, tried[-1].credentials)


async def _of_schemas(connection: CatalogConnection, group: Sequence[Grant]) -> list[Surveyed]:
    """Tenants with schemas of their own in one database."""
    roles = {grant.server.role: grant.policy.schema for grant in group}
    shared = group[0].policy.shared_schemas
    facts = await role_facts(connection, roles, "schema", shared)
    more: dict[str, list[Finding]] = {role: [] for role in roles}
    for role, one in await object_findings(connection, roles, shared):
        more[role].append(one)
    for role, one in await connect_findings(connection, list(roles), "warning"):
        more[role].append(one)
    reports = {role: report_of([*facts[role], *more[role]], (), ()) for role in roles}
    return [_surveyed([grant], reports[grant.server.role]) for grant in group]


async def _behind(connection: CatalogConnection, here: Grant, group: Sequence[Grant]) -> list[Surveyed]:
    """Tenants behind policies: what they have in common, as the one that is logged in meets it, and then each whose
    role has findings of its own.
    """
    common = await _of_place(connection, [here])
    facts = await role_facts(connection, {one.server.role: "" for one in group}, "behind")
    others = [one for one in group if one is not here and facts[one.server.role]]
    return [
        replace(common, tenants=tuple(one.tenant for one in group)),
        *(_surveyed([one], report_of(facts[one.server.role], (), ())) for one in others),
    ]


async def _of_place(connection: CatalogConnection, group: Sequence[Grant]) -> Surveyed:
    """Tenants that share tables, or one with a database of its own."""
    first = group[0]
    own = first.policy.isolation == "database"
    facts = list(await check_facts(connection, first.server, own, (), first.wall_keys))
    facts += [one for _, one in await connect_findings(connection, [first.server.role], "warning" if own else "advice")]
    if own:
        return _surveyed(group, report_of(facts, (), ()))
    world = World(first.policy, await introspect(connection, 1))
    found = schema_findings(Patient(world, await examine(connection)))
    return _surveyed(group, report_of(facts, found, first.accept))


def _surveyed(group: Sequence[Grant], report: Report) -> Surveyed:
    return Surveyed(group[0].server, tuple(one.tenant for one in group), group[0].policy.schema, report)
