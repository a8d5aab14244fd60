"""Process settings: what an operator tunes about one process; read by app and cli only.

Command line beats environment (PARTYWALL_*, nested with __) beats the TOML file beats the defaults. Every mistake is
told at once.
Secrets are never printed. What tenants may do stands in the rule files, not here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

LOOPBACK = re.compile(r"http://(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?(/|$)")


class SettingsRefused(Exception):
    """Settings are wrong; `problems` lists all of them."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Address(BaseModel):
    """HOST:PORT; an IPv6 host stands in brackets; port 0 takes a free one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(ge=0, le=65535)


def _address(value: object) -> object:
    if not isinstance(value, str):
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit():
        raise ValueError("must be HOST:PORT, such as 127.0.0.1:6432")
    return {"host": host.removeprefix("[").removesuffix("]"), "port": int(port)}


ListenAddress = Annotated[Address, NoDecode, BeforeValidator(_address)]


def _networks(value: object) -> object:
    if isinstance(value, str):
        value = value.replace(",", " ").split()
    if not isinstance(value, list | tuple):
        return value
    for one in value:
        if one == "local":
            continue
        try:
            ip_network(one)
        except ValueError:
            raise ValueError(f"{one} is no address, no network such as 10.0.0.0/8, and not local") from None
    return tuple(value)


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_networks)]


class LogSettings(BaseModel):
    """How the log looks."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["json", "console"] = Field(default="json", description="json for machines, console for people")
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least level that is logged"
    )


class Settings(BaseSettings):
    """One proxy process."""

    model_config = SettingsConfigDict(
        env_prefix="PARTYWALL_", env_nested_delimiter="__", extra="forbid", frozen=True, validate_default=True
    )

    listen: ListenAddress = Field(Address(host="127.0.0.1", port=6432), description="HOST:PORT for clients")
    admin_listen: ListenAddress = Field(
        Address(host="127.0.0.1", port=6433), description="HOST:PORT of /metrics, /healthz and /readyz"
    )
    rules: Path = Field(Path("rules"), description="the folder of rule files")
    state_directory: Path = Field(
        Path("state"), description="where the process keeps what must survive a restart: the secret, unless it is given"
    )
    secret: SecretStr | None = Field(
        None,
        min_length=16,
        description="what unknown logins' salts are made of; the same for all processes of a service",
    )
    admin_token: SecretStr | None = Field(
        None, min_length=16, description="what must be shown to /control; without it there is no such page"
    )
    operator_role: str | None = Field(
        None, description="the role at servers that backs up and restores; without it the one that serves the tenant"
    )
    operator_password: SecretStr | None = Field(None, description="its password")
    masking_key: SecretStr | None = Field(
        None, min_length=16, description="what masked values of clones are made with; without it each clone has its own"
    )
    receipt_key: Path | None = Field(None, description="PEM file of the Ed25519 key that signs receipts of erasures")
    log: LogSettings = LogSettings()
    unix_socket_directory: Path | None = Field(
        None, description="folder of a Unix socket for clients, named after the port as PostgreSQL's"
    )
    tls_certificate: Path | None = Field(default=None, description="PEM file of the certificate chain for clients")
    tls_key: Path | None = Field(default=None, description="PEM file of its private key")
    tls_client_ca: Path | None = Field(default=None, description="PEM file of who signs clients' certificates")
    tls_client_crl: Path | None = Field(default=None, description="PEM file of their revocation list")
    proxy_protocol_from: Networks = Field(
        default=(), description="addresses and networks of balancers that tell the client's by PROXY protocol 2"
    )
    workers: int = Field(1, ge=1, le=32, description="processes that serve clients")
    reuse_port: bool = Field(default=True, description="each worker has a queue of new connections of its own")
    worker_timeout: float = Field(
        30.0, ge=1, description="seconds until a worker that does not answer is killed and replaced"
    )
    host_id: int = Field(0, ge=0, le=63, description="this host's number among those of a service")
    peers: dict[int, str] = Field(default={}, description="admin addresses of the other hosts by their host_id")
    max_client_connections: int = Field(1000, ge=1, description="clients at a time")
    max_server_connections: int = Field(100, ge=1, description="connections to all servers together")
    server_idle_timeout: float = Field(600.0, gt=0, description="seconds until an idle server connection is closed")
    server_lifetime: float = Field(3600.0, gt=0, description="seconds that a server connection is used")
    server_check_delay: float = Field(
        30.0, ge=0, description="seconds idle after which a server connection is checked before it is lent"
    )
    pool_idle_timeout: float = Field(3600.0, gt=0, description="seconds until an unused pool keeps no connection")
    connection_rate: float = Field(1000.0, gt=0, description="new connections per second, of all clients together")
    address_connection_rate: float = Field(500.0, gt=0, description="new connections per second from one address")
    memory_limit: int | None = Field(None, ge=1, description="bytes of this process above which no client is let in")
    login_timeout: float = Field(60.0, gt=0, description="seconds until a client must be logged in")
    write_timeout: float = Field(300.0, gt=0, description="seconds that a client may leave its answers unread")
    peer_timeout: float = Field(
        120.0, ge=8, description="seconds until a client or server that answers nothing on TCP is given up"
    )
    drain_timeout: float = Field(30.0, ge=0, description="seconds that transactions may take to end after SIGTERM")
    plan_inline_bytes: int = Field(1024, ge=0, description="longer statements are planned by a planner process")
    plan_timeout: float = Field(10.0, gt=0, description="seconds until a planner process is killed (54001)")
    planner_processes: int = Field(1, ge=1, description="planner processes at most")
    plan_cache_bytes: int = Field(64 << 20, ge=0, description="bytes of each database's plan cache")
    flush_interval: float = Field(1.0, gt=0, le=3600, description="seconds of usage that a crash may lose")
    usage_retention: int = Field(7_776_000, ge=3600, description="seconds that usage is kept in the journal")
    usage_export: Path | None = Field(None, description="folder of one file of usage for each whole hour")
    usage_export_format: Literal["csv", "json"] = Field("csv", description="of those files")
    counter_store: SecretStr | None = Field(
        None, description="redis:// or rediss:// URL of the store that shares limits with the proxies of other hosts"
    )
    permit_ttl: float = Field(
        60.0, ge=2, description="seconds of silence until what a process held of shared limits is given to others"
    )
    storage_interval: float = Field(300.0, gt=0, description="seconds between counts of what tenants have stored")
    backup_host: int = Field(0, ge=0, le=63, description="the host_id of the host that makes scheduled backups")
    backup_jobs: int = Field(2, ge=1, le=64, description="scheduled backups that are made at a time")
    backup_spread: float = Field(
        600.0, ge=0, description="seconds over which tenants' backups of the same schedule begin"
    )
    backup_timeout: float = Field(21600.0, gt=0, description="seconds until a scheduled backup is given up")
    canary_interval: float = Field(60.0, gt=0, description="seconds between rounds of a canary tenant's attacks")
    catalog_refresh_interval: float = Field(30.0, gt=0, description="seconds between looks at a database's schema")

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca needs tls_certificate and tls_key")
        if self.tls_client_crl is not None and self.tls_client_ca is None:
            raise ValueError("tls_client_crl needs tls_client_ca")
        if self.operator_password is not None and self.operator_role is None:
            raise ValueError("operator_password needs operator_role")
        store = self.counter_store
        for host, url in self.peers.items():
            if not url.startswith("https://") and not LOOPBACK.match(url):
                raise ValueError(
                    f"peers: the admin token is not sent unencrypted to another machine ({host}); use https"
                )
        if store is not None and not store.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("counter_store must be a redis:// or rediss:// URL")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line, environment; load_settings adds the file."""
        return init_settings, env_settings


def load_settings(file: Path | None, given: Mapping[str, Any]) -> Settings:
    """The settings of this process; `given` comes from the command line. SettingsRefused with every mistake."""

    class Filed(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *sources: PydanticBaseSettingsSource,
            **more: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            named = Settings.settings_customise_sources(settings_cls, *sources, **more)
            return named if file is None else (*named, TomlConfigSettingsSource(settings_cls, file))

    if file is not None and not file.is_file():
        raise SettingsRefused([f"{file}: no such file"])
    try:
        return Filed(**given)
    except ValidationError as error:
        raise SettingsRefused([_problem(one) for one in error.errors(include_input=False)]) from None
    except (SettingsError, ValueError) as error:
        raise SettingsRefused([f"settings: {error}"]) from None


def _problem(error: Any) -> str:
    name = "__".join(str(part) for part in error["loc"] if part != "function-before[_address(), Address]")
    return f"settings: {name.upper() and 'PARTYWALL_' + name.upper()}: {error['msg'].removeprefix('Value error, ')}"
