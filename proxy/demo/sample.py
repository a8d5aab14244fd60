"""The demo's tenants as a rule file, and what to try with them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from proxy.auth.scram import build_verifier

DATABASE = "shop"
SERVER_ROLE = "partywall_app"
TENANTS = ("acme", "globex", "initech")
CONNECTIONS = 5  # initech's quotas, small enough to be hit by the tour
RATE, BURST = 2, 20  # statements a second, and at once

TRY = (
    (
        "own rows only, whatever the predicate says",
        "SELECT count(*), min(tenant_id), max(tenant_id) FROM orders WHERE tenant_id = 2 OR true",
    ),
    (
        "a join counts as if nobody else were there",
        "SELECT c.city, count(*) FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY 1 ORDER BY 1",
    ),
    ("what no rule names does not exist", "SELECT * FROM payroll_secrets"),
)


@dataclass(frozen=True, slots=True)
class Login:
    """A client of the demo; the password is fresh in every demo."""

    tenant: str
    name: str
    password: str


def make_logins() -> tuple[Login, ...]:
    """One login for each tenant."""
    return tuple(Login(tenant, f"{tenant}_app", secrets.token_urlsafe(9)) for tenant in TENANTS)


def write_rules(directory: Path, server_port: int, server_password: str, logins: tuple[Login, ...]) -> None:
    """Writes the rule set and the file that holds the server's password."""
    secret = directory / "server-password"
    secret.touch(mode=0o600)
    secret.write_text(server_password, encoding="utf-8")
    documents = [
        f"database: {DATABASE}\nserver: postgresql://{SERVER_ROLE}@127.0.0.1:{server_port}/{DATABASE}\n"
        f"password: ${{file:{secret}}}\nisolation: row\ntenant_column: tenant_id\n"
        "relations:\n  products: {shared: read}\n"
    ]
    for number, login in enumerate(logins, 1):
        verifier = build_verifier(login.password, secrets.token_bytes(16), 4096)
        quota = ""
        if login.tenant == "initech":
            quota = f"quotas: {{connections: {CONNECTIONS}, statements_per_second: {RATE}, statement_burst: {BURST}}}\n"
        documents.append(
            f"tenant: {login.tenant}\nkey: {number}\ndatabases: [{DATABASE}]\n"
            f'logins:\n  {login.name}: {{verifier: "{verifier}"}}\n{quota}'
        )
    (directory / "shop.yaml").write_text("---\n".join(documents), encoding="utf-8")


def dsn(login: Login, port: int) -> str:
    """What an application of this tenant would be given."""
    return f"postgresql://{login.name}:{login.password}@127.0.0.1:{port}/{DATABASE}"
