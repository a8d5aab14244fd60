"""A table of tenants as docs/rules.md makes it, in a database of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from proxy.tenancy.policy import Credentials, Server, TenantTable
from tests.kit.builders import VERIFIER
from tests.kit.postgres import Cluster
from tests.kit.rules import sample_rules

RULES = Path(__file__).resolve().parent.parent.parent / "docs" / "rules.md"
ROLE = "partywall_rules"
_numbers = count(1)


def statements(beginning: str) -> str:
    """The one SQL block of the rules page that begins so."""
    (found,) = re.findall(
        rf"^```sql\n({beginning}.*?)^```$", RULES.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    text: str = found
    return text


@contextmanager
def tenant_table(cluster: Cluster, *, second: bool = False) -> Iterator[str]:
    """The name of a database with the page's table; it and the role are dropped at the end. second: beside another,
    whose the role is.
    """
    name = f"control{next(_numbers)}"
    made = statements("CREATE ROLE partywall_rules")
    cluster.create_database(name)
    try:
        cluster.psql(name, made.partition("\n")[2] if second else made)
        yield name
    finally:
        cluster.drop_database(name)
        if not second:
            cluster.psql(sql=f"DROP ROLE IF EXISTS {ROLE}")


def table_at(cluster: Cluster, database: str) -> TenantTable:
    """Where it is."""
    return TenantTable(Server("127.0.0.1", cluster.port, database, ROLE), Credentials("for-the-rules", tls="disable"))


def table_rules(cluster: Cluster, database: str) -> str:
    """The document that names it."""
    return (
        f"tenants_from: postgresql://{ROLE}@127.0.0.1:{cluster.port}/{database}?sslmode=disable\n"
        "password: for-the-rules\n"
    )


def document(tenant: str, key: object, database: str = "shared", **more: Any) -> dict[str, Any]:
    """A tenant with one login."""
    logins = {f"{tenant}_app": {"verifier": VERIFIER}}
    return {"tenant": tenant, "key": key, "databases": [database], "logins": logins, **more}


def sample_of_rows(cluster: Cluster, control: str, database: str, *tenants: str) -> tuple[str, Any]:
    """The sample rules of which these tenants stand in the table: the text of the file, and the last one's document."""
    kept, moved = [], {}
    for text in sample_rules(cluster.port, database).split("---\n"):
        found = yaml.safe_load(text)
        if found.get("tenant") in tenants:
            moved[found["tenant"]] = found
        else:
            kept.append(text)
    write(cluster, control, *moved.values())
    return "---\n".join([*kept, table_rules(cluster, control)]), moved[tenants[-1]]


def write(cluster: Cluster, database: str, *documents: object) -> None:
    """Rows, in one transaction."""
    quoted = [json.dumps(one).replace("'", "''") for one in documents]
    statements = [
        f"INSERT INTO partywall.tenants (document) VALUES ('{one}') ON CONFLICT (name)"
        " DO UPDATE SET document = excluded.document"
        for one in quoted
    ]
    cluster.psql(database, "; ".join(statements))
