"""The shape of rule files: strict pydantic models, one per kind of document.

Every key of every isolation mode is known here, because a strict model would make a later key a breaking change; what
this version does not build is an error that says so. Nothing here reads a file or looks anything up; load.py does.
Secrets are SecretStr and never printed. logins.py has the logins, quotas.py the quotas, values.py how
durations, sizes and names are written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from proxy.tenancy.backups import Backups, rule_of
from proxy.tenancy.derived import LONGEST
from proxy.tenancy.extensions import reviewed
from proxy.tenancy.logins import AllowFrom, AuthQuery, IssuerModel, LoginModel
from proxy.tenancy.policy import PROXY_SCHEMA
from proxy.tenancy.quotas import Quotas
from proxy.tenancy.values import NOT_YET, KeyName, Name, Strict, Value, function_name, qualified_name

# Keys of a `database:` document that mean nothing where every tenant has a database of its own.
SHARED_ONLY = (
    "tenant_column", "relations", "functions", "sequences", "extensions", "accept", "explain", "second_wall",
    "pool_sharing", "comments", "shared_schemas",
)  # fmt: skip
# Keys of a `database:` document that mean nothing where every tenant has a schema of its own.
COLUMN_ONLY = ("tenant_column", "relations", "sequences", "accept", "second_wall")
SYSTEM = frozenset({"information_schema", PROXY_SCHEMA})
# Settings that may be given to a tenant's server connections: they change speed, formats and limits, never what is
# seen.
TENANT_SETTINGS = frozenset({
    "bytea_output", "datestyle", "default_statistics_target", "default_text_search_config",
    "default_transaction_isolation",
    "effective_cache_size", "extra_float_digits", "geqo", "idle_in_transaction_session_timeout", "intervalstyle", "jit",
    "lc_monetary", "lc_numeric", "lc_time", "lock_timeout", "maintenance_work_mem", "max_parallel_workers_per_gather",
    "statement_timeout", "synchronous_commit", "temp_buffers", "temp_file_limit", "timezone", "transaction_timeout",
    "work_mem",
})  # fmt: skip


class Relation(Strict):
    """An exception by name: exactly one of tenant_column, shared, view, hidden."""

    tenant_column: Name | None = None
    key: KeyName = "default"
    shared: Literal["read"] | None = None
    view: Literal["verified"] | None = None
    hidden: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [
            self.shared is not None,
            self.hidden is not None,
            self.view is not None or self.tenant_column is not None,
        ]
        if sum(kinds) != 1:
            raise ValueError("must say exactly one of tenant_column, shared, view, hidden")
        if self.key != "default" and (self.shared or self.hidden):
            raise ValueError("key belongs to tenant_column or view")
        return self


class Functions(Strict):
    """Functions outside pg_catalog that were reviewed."""

    allow: list[str] = []

    @model_validator(mode="after")
    def _names(self) -> Self:
        for text in self.allow:
            function_name(text)
        return self


def _settings(value: dict[str, Value]) -> dict[str, str]:
    found = {}
    for name, one in value.items():
        if name.lower() not in TENANT_SETTINGS:
            raise ValueError(f"{name} cannot be set for a tenant")
        found[name.lower()] = str(one)
    return found


Settings = Annotated[
    dict[str, Value], BeforeValidator(lambda value: _settings(value) if isinstance(value, dict) else value)
]


PoolMode = Literal["transaction", "session"]


class Database(Strict):
    """A `database:` document. Who is under `isolation: row` on a database of mode rls has the second wall."""

    rules_version: Literal[1] = 1
    database: Name
    server: str | None = None
    password: SecretStr | None = None
    isolation: Literal["row", "schema", "rls", "database"] = "row"
    tenant_column: Name | None = None
    relations: dict[str, Relation] = {}
    functions: Functions = Functions()
    sequences: dict[str, Literal["shared", "per_tenant"]] = {}
    extensions: list[Name] = []
    accept: list[str] = []
    explain: Literal["refused", "costs_off", "allowed"] = "refused"
    shared_schemas: list[Name] = []
    second_wall: Literal["none", "rls"] = "none"
    auth_query: AuthQuery | None = None
    pool_sharing: Literal["reset", "never"] = "reset"
    max_server_connections: Annotated[int, Field(ge=1)] | None = None
    pool_mode: PoolMode = "transaction"
    lazy_begin: bool = False
    comments: Literal["drop", "keep"] = "drop"
    backups: Backups | None = None

    @model_validator(mode="after")
    def _built(self) -> Self:
        try:
            rule_of(self.backups)
        except ValueError as error:
            raise ValueError(f"backups: {error}") from None
        if self.auth_query is not None and self.server is None:
            raise ValueError("auth_query needs a server")
        if self.isolation == "database":
            surplus = [name for name in SHARED_ONLY if name in self.model_fields_set]
            if surplus:
                raise ValueError(f"{surplus[0]} is for shared databases, and isolation is database")
            return self
        if self.isolation == "schema":
            surplus = [name for name in COLUMN_ONLY if name in self.model_fields_set]
            if surplus:
                raise ValueError(f"{surplus[0]} is for tables that tenants share, and isolation is schema")
        if self.isolation == "rls" and "second_wall" in self.model_fields_set:
            raise ValueError("second_wall is for isolation: row; with rls the policies are there for every tenant")
        for name in ("server",) if self.isolation == "schema" else ("server", "tenant_column"):
            if getattr(self, name) is None:
                raise ValueError(f"{name} is required")
        for name in self.shared_schemas:
            if name.startswith("pg_") or name in SYSTEM:
                raise ValueError(f"shared_schemas: {name} is the server's own")
        for name in self.extensions:
            if name not in reviewed():
                raise ValueError(f"extensions: {name} was not reviewed; known are {', '.join(sorted(reviewed()))}")
        for name, kind in self.sequences.items():
            if kind == "per_tenant" and len(qualified_name(name)[1].encode()) > LONGEST:
                raise ValueError(f"sequences: {name} is too long to be per_tenant: at most {LONGEST} bytes")
        named = [qualified_name(name) for name in (*self.relations, *self.sequences)]
        named += [function_name(text)[:2] for text in self.functions.allow]
        for schema, name in named:
            if schema == PROXY_SCHEMA:
                raise ValueError(f"{schema}.{name}: what is in the schema {schema} is the proxy's own")
        return self

    @property
    def has_policies(self) -> bool:
        """Do the tables at the server have policies, which hold for whoever comes there?"""
        return self.isolation == "rls" or self.second_wall == "rls"


class Tenant(Strict):
    """A `tenant:` document."""

    rules_version: Literal[1] = 1
    tenant: Name
    key: Value | None = None
    keys: dict[KeyName, Value] | None = None
    databases: list[Name] = Field(min_length=1)
    isolation: Literal["row", "schema", "rls", "database"] | None = None
    schema_name: Name | None = Field(default=None, alias="schema")
    server_login: Name | None = None
    server: str | None = None
    password: SecretStr | None = None
    logins: dict[Name, LoginModel] = {}
    allow_from: AllowFrom | None = None
    disabled: bool = False
    canary: bool = False
    pool_mode: PoolMode | None = None
    quotas: Quotas = Quotas()
    settings: Settings = {}
    backups: Backups | Literal[False] | None = None

    @model_validator(mode="after")
    def _built(self) -> Self:
        if self.canary and self.logins:
            raise ValueError("a canary has no logins: the proxy makes its own")
        if self.canary and self.backups:
            raise ValueError("a canary has no rows, and no backups")
        if self.key is not None and self.keys is not None:
            raise ValueError("must say exactly one of key and keys")
        if self.keys is not None and "default" not in self.keys:
            raise ValueError("keys must have a default")
        if self.schema_name is not None and self.server_login is None:
            raise ValueError("schema and server_login belong together")
        if self.schema_name is not None and (self.schema_name.startswith("pg_") or self.schema_name in SYSTEM):
            raise ValueError(f"schema: {self.schema_name} is the server's own")
        if self.server is not None and len(self.databases) != 1:
            raise ValueError("server is where one database is: databases must name one")
        if self.password is not None and self.server is None and self.server_login is None:
            raise ValueError("password is the role's at server, which is missing")
        return self


class DefaultValues(Strict):
    """What holds for tenants that say nothing."""

    quotas: Quotas = Quotas()
    settings: Settings = {}


class Defaults(Strict):
    """The `defaults:` document."""

    rules_version: Literal[1] = 1
    defaults: DefaultValues


class TenantsFrom(Strict):
    """A `tenants_from:` document: a server with a table of tenants."""

    rules_version: Literal[1] = 1
    tenants_from: str
    password: SecretStr | None = None


class Admin(Strict):
    """An `admin:` document: the logins of operators."""

    rules_version: Literal[1] = 1
    admin: dict[str, Any]

    @model_validator(mode="after")
    def _built(self) -> Self:
        raise ValueError(f"admin is {NOT_YET}")


Document = Database | Tenant | Defaults | Admin | IssuerModel | TenantsFrom
KINDS: dict[str, type[Strict]] = {
    "database": Database,
    "tenant": Tenant,
    "defaults": Defaults,
    "admin": Admin,
    "issuer": IssuerModel,
    "tenants_from": TenantsFrom,
}


class InvalidDocument(Exception):
    """A document is not of its kind's shape; mistakes: (path of the value, what is wrong), never the value."""

    def __init__(self, mistakes: list[tuple[tuple[int | str, ...], str]]) -> None:
        super().__init__(f"{len(mistakes)} mistakes")
        self.mistakes = mistakes


def document(kind: str, value: dict[str, Any]) -> Strict:
    """The model of a document of this kind (a key of KINDS). InvalidDocument with every mistake."""
    try:
        return KINDS[kind].model_validate(value)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise InvalidDocument([(one["loc"], _sentence(one["type"], one["msg"])) for one in found]) from None


def _sentence(kind: str, text: str) -> str:
    if kind == "extra_forbidden":
        return "unknown key"
    return text.removeprefix("Value error, ").replace("Field required", "is required")


def json_schema() -> dict[str, Any]:
    """The JSON Schema of one document of a rule file."""
    schema: dict[str, Any] = TypeAdapter(Document).json_schema(by_alias=True)
    return schema | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Partywall rule document"}
