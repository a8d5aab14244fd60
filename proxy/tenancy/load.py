"""rules/ becomes a RuleBook, or every mistake at once with file and line; nothing in between.

read.py has the documents, the models judge shapes, this module names and references. Rows of tables of tenants are
given by whoever can ask a server. A message never holds the value of a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from proxy.errors import ConfigurationError
from proxy.tenancy.backups import backup_rules
from proxy.tenancy.derived import derived_keys
from proxy.tenancy.extensions import rules_of
from proxy.tenancy.logins import IssuerModel
from proxy.tenancy.models import Database, Defaults, DefaultValues, Relation, Tenant, TenantsFrom
from proxy.tenancy.modes import mode_problems
from proxy.tenancy.places import beside_policies, beside_schemas, contested_schemas, shared_keys, shared_places
from proxy.tenancy.policy import (
    Access,
    Address,
    FunctionRule,
    Grant,
    Isolation,
    Limits,
    Login,
    Policy,
    RelationRule,
    TenantTable,
    VerifierSource,
)
from proxy.tenancy.quotas import limits_of
from proxy.tenancy.read import Reader, Source, Spot
from proxy.tenancy.rulebook import RuleBook, classified, usual_iterations
from proxy.tenancy.servers import Place, place_of
from proxy.tenancy.values import Strict, canonical, function_name, qualified_name

NOTHING: Mapping[Spot, str] = MappingProxyType({})
OWN: Isolation = "database"  # the isolation mode of a tenant that has a database of its own
SCHEMA: Isolation = "schema"
TABLES: tuple[Isolation, ...] = ("row", "rls")  # those of tenants that share tables


def load(directory: Path, environ: Mapping[str, str], generation: int) -> RuleBook:
    """Reads a folder of rule files, without the tables that they name. ConfigurationError with all problems, as
    `file:line: text`.
    """
    return Reading(directory, environ).book(generation)


class Reading:
    """A folder that was read, and is waiting for the rows of the tables that it names. instead: texts of files and of
    rows as they shall be; a row that is not there is a mistake.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str], instead: Mapping[Spot, str] = NOTHING) -> None:
        self._reader = Reader(environ)
        self._instead = {spot: text for spot, text in instead.items() if not isinstance(spot, Path)}
        self.problems = self._reader.problems
        self.sources = self._reader.read(directory, instead)
        self.tables = dict(self._tables())  # and where each is named
        self._marks: list[tuple[TenantTable, str]] = []

    def _tables(self) -> Iterator[tuple[TenantTable, str]]:
        for source in self.sources:
            if isinstance(source.model, TenantsFrom):
                where, password = source.at("tenants_from"), source.model.password
                try:
                    place = place_of(
                        source.model.tenants_from, None if password is None else password.get_secret_value()
                    )
                    yield TenantTable(*place), where
                except ValueError as error:
                    self.problems.append(f"{where}: tenants_from: {error}")

    def take(self, table: TenantTable, rows: Iterable[tuple[str, str]], mark: str) -> None:
        """The rows of one of the tables: name and document; mark: what tells this version of them."""
        self.sources += [
            self._reader.row(f"{table.name} {name}", self._instead.pop((table, name), text)) for name, text in rows
        ]
        self._marks.append((table, mark))

    def book(self, generation: int) -> RuleBook:
        """The rule book. ConfigurationError with all problems."""
        self.problems += [f"{table.name} {name}: there is no such row" for table, name in self._instead]
        made = _Assembly(self.sources, self.problems).book(generation)
        if self.problems:
            raise ConfigurationError(self.problems)
        return replace(made, tables=tuple(self._marks))


class _Assembly:
    """From models to what runs."""

    def __init__(self, sources: list[Source], problems: list[str]) -> None:
        self.problems = problems
        self.policies: dict[tuple[object, ...], Policy] = {}  # by all that tenants differ in
        self.databases = dict(self._named(sources, Database, "database"))
        self.tenants = dict(self._named(sources, Tenant, "tenant"))
        self.issuers = dict(self._named(sources, IssuerModel, "issuer"))
        self.defaults = self._defaults(sources)
        self._check_names(sources)

    def _named(self, sources: list[Source], kind: type[Strict], key: str) -> Iterator[tuple[str, tuple[Source, Any]]]:
        for source in sources:
            if isinstance(source.model, kind):
                yield getattr(source.model, key), (source, source.model)

    def _check_names(self, sources: list[Source]) -> None:
        """Names that are given twice and references to nothing, also in documents with other mistakes."""
        seen: dict[tuple[str, object], str] = {}
        for source in sources:
            name = source.value.get(source.kind)
            given = [(source.kind, name, source.at(source.kind))] if isinstance(name, str) else []
            logins = source.value.get("logins")
            if isinstance(logins, dict):
                given += [("login", login, source.at("logins", login)) for login in logins]
            for kind, one, where in given:
                first = seen.setdefault((kind, one), where)
                if first != where:
                    self.problems.append(f"{where}: {kind} {one} is also in {first}")
        for source in sources:
            databases = source.value.get("databases")
            for number, database in enumerate(databases if isinstance(databases, list) else ()):
                if isinstance(database, str) and ("database", database) not in seen:
                    self.problems.append(f"{source.at('databases', number)}: there is no database {database}")

    def _defaults(self, sources: list[Source]) -> DefaultValues:
        found = [source for source in sources if isinstance(source.model, Defaults)]
        for source in found[1:]:
            self.problems.append(f"{source.at('defaults')}: defaults are also in {found[0].at('defaults')}")
        if not found:
            return DefaultValues()
        model = found[0].model
        assert isinstance(model, Defaults)
        return model.defaults

    def book(self, generation: int) -> RuleBook:
        """The rule book, or less of it when there were problems."""
        places = {name: self._place(source, model) for name, (source, model) in self.databases.items()}
        routes = {name: self._place(source, model) for name, (source, model) in self.tenants.items()}
        self.ceilings = self._ceilings(places, routes)
        logins: dict[str, Login] = {}
        grants: dict[tuple[str, str, bool], Grant] = {}
        for name, (source, model) in self.tenants.items():
            asked = self._source(model, places)
            for login, one in model.logins.items():
                logins[login] = one.login(login, name, model.allow_from, asked, model.disabled)
                if one.asked and logins[login].source is None and not self.problems:
                    where = source.at("logins", login)
                    self.problems.append(f"{where}: {login}: none of the tenant's databases has an auth_query")
            own = routes[name]
            kinds = {False, *(one.read_only for one in model.logins.values())}
            for database in model.databases:
                if database not in self.databases:
                    continue
                mode = self._isolation(model, database)
                place = own or places[database]
                if not self._check_mode(source, model, database, mode) or place is None:
                    continue
                if mode == SCHEMA or (mode in TABLES and self.databases[database][1].has_policies):
                    place = _of_login(model, place)
                for read_only in (False,) if mode == OWN else sorted(kinds):
                    grants[name, database, read_only] = self._grant(source, model, database, place, read_only)
        for owner, other, what in shared_places(grants.values()):
            key = "server" if owner.policy.isolation == OWN else "schema" if what == "schema" else "server_login"
            where = self.tenants[owner.tenant][0].at(key)
            self.problems.append(f"{where}: tenant {other.tenant} has the same {what} at {owner.server.host}")
        for owner, other, name in shared_keys(grants.values()):
            source, model = self.tenants[owner.tenant]
            where = source.at("key") if model.keys is None else source.at("keys", name)
            there = f"{owner.server.host}:{owner.server.port}/{owner.server.database}"
            self.problems.append(f"{where}: tenant {other.tenant} has the same key in {there}, by another name of it")
        for database, walled in beside_policies(grants.values()):
            where = self.databases[database][0].at()
            self.problems.append(f"{where}: second_wall must be rls, as the tables of database {walled} are the same")
        for tenant, database in contested_schemas(grants.values()):
            where = self.tenants[tenant][0].at("schema")
            self.problems.append(f"{where}: database {database} has what its tenants share in the same schema")
        self._check_keys()
        issuers = tuple(model.run() for _, model in self.issuers.values())
        self._check_tokens()
        canaries = tuple(sorted(name for name, (_, model) in self.tenants.items() if model.canary))
        return RuleBook(
            generation,
            logins,
            beside_schemas(grants),
            tuple(sorted(self.databases)),
            tuple(sorted(self.tenants)),
            canaries,
            issuers,
            usual_iterations(logins.values()),
            backups=backup_rules(grants.values(), self.databases, self.tenants, self.problems),
        )

    def _ceilings(
        self, places: Mapping[str, Place | None], routes: Mapping[str, Place | None]
    ) -> dict[tuple[Address, ...], int]:
        """How many connections a server may have, by its addresses: those of several documents must agree. One that a
        tenant names has what the tenant's database says.
        """
        found: dict[tuple[Address, ...], tuple[int, str]] = {}
        stated = [(place, name) for name, place in places.items()]
        stated += [(place, name) for tenant, place in routes.items() for name in self.tenants[tenant][1].databases]
        for place, name in stated:
            if name not in self.databases:
                continue
            source, model = self.databases[name]
            if place is not None and model.max_server_connections is not None:
                first = found.setdefault(place[0].addresses, (model.max_server_connections, name))
                if first[0] != model.max_server_connections:
                    where = source.at("max_server_connections")
                    self.problems.append(f"{where}: database {first[1]} is at the same server, and says {first[0]}")
        return {addresses: ceiling for addresses, (ceiling, _) in found.items()}

    def _check_tokens(self) -> None:
        """The end of a name says whether a token is asked for, so it must say so of every login, and one thing only."""
        endings: dict[str, str] = {}
        for name, (source, model) in self.issuers.items():
            for other, issuer in endings.items():
                if other.endswith(model.suffix) or model.suffix.endswith(other):
                    self.problems.append(f"{source.at('suffix')}: issuer {issuer} has the suffix {other}, too like it")
            endings[model.suffix] = name
        for source, model in self.tenants.values():
            for login, one in model.logins.items():
                where = source.at("logins", login)
                ending = next((one for one in endings if login.endswith(one)), None)
                if one.token is not None and ending is None:
                    self.problems.append(f"{where}: {login} has a token, and its name ends with no issuer's suffix")
                elif one.token is None and ending is not None:
                    self.problems.append(f"{where}: {login} must have a token: its name ends with {ending}")

    def _check_keys(self) -> None:
        """Two tenants with one key on one database would be one tenant."""
        owners: dict[tuple[str, str, str], str] = {}
        for name, (source, model) in self.tenants.items():
            keys = _keys(model)
            for database in dict.fromkeys(model.databases):
                if database in self.databases and self._isolation(model, database) not in TABLES:
                    continue
                for key, value in keys.items():
                    owner = owners.setdefault((database, key, canonical(value)), name)
                    if owner != name:
                        where = source.at("key") if model.keys is None else source.at("keys", key)
                        self.problems.append(f"{where}: tenant {owner} has the same key on database {database}")

    def _place(self, source: Source, model: Database | Tenant) -> Place | None:
        """Where the `server` of a document leads; None where it has none, or a wrong one."""
        if model.server is None:
            return None
        try:
            return place_of(model.server, None if model.password is None else model.password.get_secret_value())
        except ValueError as error:
            self.problems.append(f"{source.at('server')}: server: {error}")
            return None

    def _source(self, model: Tenant, places: Mapping[str, Place | None]) -> VerifierSource | None:
        """Who is asked for a tenant's verifiers: the first of its databases that has a query."""
        for database in model.databases:
            asked = self.databases[database][1].auth_query if database in self.databases else None
            place = places.get(database)
            if asked is not None and place is not None:
                server, credentials = place
                if asked.role is not None:
                    password = None if asked.password is None else asked.password.get_secret_value()
                    server, credentials = replace(server, role=asked.role), replace(credentials, password=password)
                return VerifierSource(server, credentials, asked.query)
        return None

    def _isolation(self, model: Tenant, database: str) -> Isolation:
        rules: Database = self.databases[database][1]
        return model.isolation or rules.isolation

    def _check_mode(self, source: Source, model: Tenant, database: str, mode: Isolation) -> bool:
        """Does the tenant say what the mode needs, and nothing that the mode has not?"""
        before = len(self.problems)
        self.problems += mode_problems(source, model, self.databases[database][1], mode)
        return len(self.problems) == before

    def _policy(self, rules: Database, model: Tenant, limits: Limits, mode: Isolation, read_only: bool) -> Policy:
        own = model.schema_name if mode == SCHEMA else None
        key = (rules.database, mode, own, read_only, limits.statement_size, limits.statement_nesting)
        if key not in self.policies:
            self.policies[key] = (
                _own_policy(rules, limits) if mode == OWN else _policy(rules, limits, mode, own or "", read_only)
            )
        return self.policies[key]

    def _grant(self, source: Source, model: Tenant, database: str, place: Place, read_only: bool) -> Grant:
        rules: Database = self.databases[database][1]
        mode = self._isolation(model, database)
        tables = mode in TABLES
        keys = _keys(model) if tables else {}
        for name, relation in rules.relations.items():
            if relation.key not in keys and not read_only and tables:
                self.problems.append(
                    f"{source.at('keys')}: database {database} asks for the key {relation.key} of relation {name}"
                )
        defaults = self.defaults.quotas
        limits = limits_of(model.quotas, defaults.uncounted() if model.canary else defaults)
        return Grant(
            tenant=model.tenant,
            database=database,
            server=place[0],
            credentials=place[1],
            policy=self._policy(rules, model, limits, mode, read_only),
            keys={name: str(value) for name, value in keys.items()}
            | derived_keys(model.tenant, place[0].database, _own_sequences(rules) if tables else []),
            limits=limits,
            settings={name: str(value) for name, value in {**self.defaults.settings, **model.settings}.items()},
            pool_sharing=rules.pool_sharing,
            max_server_connections=self.ceilings.get(place[0].addresses),
            pool_mode=model.pool_mode or rules.pool_mode,
            lazy_begin=rules.lazy_begin,
            comments="drop" if mode == OWN else rules.comments,
            accept=tuple(rules.accept) if tables else (),
            routed=model.server is not None,
        )


def _keys(model: Tenant) -> Mapping[str, str | int]:
    if model.keys is not None:
        return model.keys
    return {} if model.key is None else {"default": model.key}


def _own_policy(rules: Database, limits: Limits) -> Policy:
    """A database of the tenant's own: no rule of row mode says anything there."""
    return classified(
        Policy(
            database=rules.database,
            isolation=OWN,
            tenant_column="",
            relations={},
            explain="allowed",
            statement_size=limits.statement_size,
            statement_nesting=limits.statement_nesting,
        )
    )


def _own_sequences(rules: Database) -> list[tuple[str, str]]:
    return [qualified_name(name) for name, kind in rules.sequences.items() if kind == "per_tenant"]


def _of_login(model: Tenant, place: Place) -> Place:
    """The same server and database, as the tenant's own role."""
    server, credentials = place
    password = None if model.password is None else model.password.get_secret_value()
    return replace(server, role=model.server_login or ""), replace(credentials, password=password)


def _policy(rules: Database, limits: Limits, mode: Isolation, own: str, read_only: bool) -> Policy:
    extensions = sorted(set(rules.extensions))
    tables = mode in TABLES
    relations = {qualified_name(name): _relation(qualified_name(name), one) for name, one in rules.relations.items()}
    return classified(
        Policy(
            database=rules.database,
            isolation=mode,
            tenant_column=(rules.tenant_column or "") if tables else "",
            relations=relations if tables else {},
            functions=(
                *(FunctionRule(*function_name(text)) for text in sorted(rules.functions.allow)),
                *(rule for name in extensions for rule in rules_of(name)),
            ),
            sequences={qualified_name(name): kind for name, kind in sorted(rules.sequences.items())} if tables else {},
            extensions=tuple(extensions),
            explain=rules.explain if tables or "explain" in rules.model_fields_set else "allowed",
            read_only=read_only,
            statement_size=limits.statement_size,
            statement_nesting=limits.statement_nesting,
            schema=own,
            shared_schemas=() if tables else tuple(dict.fromkeys(rules.shared_schemas)),
            second_wall=mode == "row" and rules.has_policies,
        )
    )


def _relation(name: tuple[str, str], model: Relation) -> RelationRule:
    access: Access = "tenant"
    if model.shared is not None:
        access = "shared"
    elif model.hidden is not None:
        access = "hidden"
    elif model.view is not None:
        access = "view"
    return RelationRule(*name, access, model.tenant_column, model.key)
