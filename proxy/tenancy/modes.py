"""What each isolation mode asks of a tenant's document, and what it has no place for.

Promises: every mistake as `file:line: text`, and no value of a secret. Looks nothing up.
"""

from __future__ import annotations

from collections.abc import Iterator

from proxy.tenancy.models import Database, Tenant
from proxy.tenancy.policy import Isolation
from proxy.tenancy.read import Source


def mode_problems(source: Source, model: Tenant, rules: Database, mode: Isolation) -> list[str]:
    """Why this tenant cannot be served on this database in this mode; empty where it can."""
    found = {"row": _row, "schema": _schema, "rls": _rls, "database": _database}[mode](source, model, rules)
    return list(found)


def _row(source: Source, model: Tenant, rules: Database) -> Iterator[str]:
    if rules.tenant_column is None:
        yield f"{source.at('isolation')}: isolation: database {rules.database} has no tenant_column"
    elif model.key is None and model.keys is None:
        yield f"{source.at()}: must say exactly one of key and keys: database {rules.database} is shared"
    elif rules.has_policies and model.server_login is None:
        yield f"{source.at()}: must say server_login: the tables of database {rules.database} have policies"
    elif model.server is None and rules.server is None:
        yield f"{source.at('databases')}: neither the tenant nor database {rules.database} has a server"


def _rls(source: Source, model: Tenant, rules: Database) -> Iterator[str]:
    if rules.tenant_column is not None and not rules.has_policies:
        where = source.at("isolation")
        yield f"{where}: isolation: database {rules.database} must say isolation: rls or second_wall: rls"
    else:
        yield from _row(source, model, rules)


def _schema(source: Source, model: Tenant, rules: Database) -> Iterator[str]:
    if model.schema_name is None:
        yield f"{source.at()}: must say schema and server_login: database {rules.database} has a schema for each tenant"
    elif model.schema_name in rules.shared_schemas:
        yield f"{source.at('schema')}: schema: {model.schema_name} is shared on database {rules.database}"
    elif model.server is None and rules.server is None:
        yield f"{source.at('databases')}: neither the tenant nor database {rules.database} has a server"
    yield from _no_canary(source, model, rules)


def _database(source: Source, model: Tenant, rules: Database) -> Iterator[str]:
    if model.server is None and rules.server is None:
        yield f"{source.at('databases')}: neither the tenant nor database {rules.database} has a server"
    else:
        yield from _no_canary(source, model, rules)
    for login, one in model.logins.items():
        if one.read_only:
            where = source.at("logins", login)
            yield f"{where}: read_only is for shared databases; {rules.database} is the tenant's own"


def _no_canary(source: Source, model: Tenant, rules: Database) -> Iterator[str]:
    if model.canary:
        yield f"{source.at('canary')}: canary: on database {rules.database} there is nobody to hide from"
