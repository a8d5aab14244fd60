"""The sample set's rule file, for tests that run the whole proxy."""

from __future__ import annotations

from pathlib import Path

from proxy.auth.scram import build_verifier

PASSWORDS = {
    "acme_app": "acme-pass",
    "globex_app": "second-pass",
    "initech_app": "third-pass",
    "acme_ro": "reader-pass",
}
TENANTS = {1: "acme", 2: "globex", 3: "initech"}

DATABASE = """\
database: {database}
server: postgresql://app@127.0.0.1:{port}/{database}?sslmode=disable
isolation: row
tenant_column: tenant_id
relations:
  tenants:         {{tenant_column: id}}
  notes:           {{tenant_column: tenant, key: slug}}
  documents:       {{tenant_column: tenant_uid, key: uid}}
  "Order Details": {{tenant_column: TenantId}}
  categories:      {{shared: read}}
  products:        {{shared: read}}
  open_orders:     {{view: verified}}
  order_totals:    {{view: verified}}
  mv_order_stats:  {{view: verified}}
  odd_loud:        {{view: verified}}
functions: {{allow: [order_total, full_label, slugify, shout]}}
sequences: {{{sequences}}}
accept: [keys.coupons, keys.accounts, keys.bookings, keys.audit_log, fk.transfers, keys.receipts, keys.tenants]
"""


SEQUENCES = "invoice_no_seq: shared"


def sample_rules(port: int, database: str, sequences: str = SEQUENCES) -> str:
    """The rule file's text."""
    documents = [DATABASE.format(database=database, port=port, sequences=sequences)]
    for number, tenant in TENANTS.items():
        logins = [name for name in PASSWORDS if name.startswith(tenant)]
        lines = [f"tenant: {tenant}", f"databases: [{database}]", "keys:", f"  default: {number}", f"  slug: {tenant}"]
        lines += [f"  uid: 00000000-0000-4000-8000-{number:012}", "logins:"]
        for name in logins:
            verifier = build_verifier(PASSWORDS[name], name.encode().ljust(16, b"."), 4096)
            lines.append(f'  {name}: {{verifier: "{verifier}", read_only: {str(name.endswith("_ro")).lower()}}}')
        documents.append("\n".join(lines) + "\n")
    return "---\n".join(documents)


def write_sample_rules(directory: Path, port: int, database: str, sequences: str = SEQUENCES) -> dict[str, str]:
    """Writes sample.yaml for the database on this port; passwords by login."""
    (directory / "sample.yaml").write_text(sample_rules(port, database, sequences), encoding="utf-8")
    return dict(PASSWORDS)


OWN = """\
database: {name}
isolation: database
---
tenant: {tenant}
databases: [{name}]
server: postgresql://{role}@127.0.0.1:{port}/{database}?sslmode=disable
logins:
  {login}: {{verifier: "{verifier}"}}
"""


def own_rules(
    port: int, database: str, role: str = "app", tenant: str = "acme", login: str = "acme_app", name: str = "shared"
) -> str:
    """A tenant that has `database` on this port to itself, served by `role`; `name` is what its DSN calls it."""
    verifier = build_verifier(PASSWORDS[login], login.encode().ljust(16, b"."), 4096)
    return OWN.format(name=name, tenant=tenant, role=role, port=port, database=database, login=login, verifier=verifier)
