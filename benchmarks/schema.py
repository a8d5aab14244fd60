"""pgbench's schema with a tenant column first in every key, rows of all tenants interleaved, and the scripts in both
forms.
"""

from __future__ import annotations

from proxy.auth.scram import build_verifier

# Of each proxy. Not fewer than clients: pgbench waits for the answer to Parse, and while one client waits so for a
# connection, those that have one stand still.
SERVER_CONNECTIONS = 60

SELECT_ONLY = """\\set aid random(1, {accounts})
SELECT abalance FROM pgbench_accounts WHERE {own}aid = :aid;
"""

TPCB_LIKE = """\\set aid random(1, {accounts})
\\set bid random(1, 1)
\\set tid random(1, 10)
\\set delta random(-5000, 5000)
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE {own}aid = :aid;
SELECT abalance FROM pgbench_accounts WHERE {own}aid = :aid;
UPDATE pgbench_tellers SET tbalance = tbalance + :delta WHERE {own}tid = :tid;
UPDATE pgbench_branches SET bbalance = bbalance + :delta WHERE {own}bid = :bid;
INSERT INTO pgbench_history ({column}tid, bid, aid, delta, mtime) VALUES ({value}:tid, :bid, :aid, :delta,
CURRENT_TIMESTAMP);
END;
"""


def script(text: str, accounts: int, tenant: int | None) -> str:
    """A pgbench script: as pgbench has it (tenant None), or with the tenant's predicate written by hand."""
    if tenant is None:
        return text.format(accounts=accounts, own="", column="", value="")
    return text.format(accounts=accounts, own=f"tenant_id = {tenant} AND ", column="tenant_id, ", value=f"{tenant}, ")


def sql(tenants: int, accounts: int) -> str:
    """The DDL and the data: `accounts` rows for each tenant, interleaved in the heap."""
    return f"""
CREATE ROLE bench_owner;
CREATE ROLE bench_app LOGIN;
CREATE TABLE pgbench_branches (tenant_id int NOT NULL, bid int NOT NULL, bbalance int, filler char(88), PRIMARY KEY (tenant_id, bid));
CREATE TABLE pgbench_tellers (tenant_id int NOT NULL, tid int NOT NULL, bid int, tbalance int, filler char(84), PRIMARY KEY (tenant_id, tid));
CREATE TABLE pgbench_accounts (tenant_id int NOT NULL, aid int NOT NULL, bid int, abalance int, filler char(84), PRIMARY KEY (tenant_id, aid))
  WITH (fillfactor = 90);
CREATE TABLE pgbench_history (tenant_id int NOT NULL, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
CREATE INDEX ON pgbench_history (tenant_id);
CREATE UNLOGGED TABLE bulk (tenant_id int NOT NULL, a text, b text, c text, d text, e text, f text, g text, h text, i text, j text);
CREATE TABLE relay (tenant_id int NOT NULL, n int NOT NULL, filler text NOT NULL, PRIMARY KEY (tenant_id, n));
INSERT INTO relay SELECT t, g, repeat('x', 89) FROM generate_series(1, 10000) g, generate_series(1, {tenants}) t;
INSERT INTO pgbench_branches SELECT t, 1, 0 FROM generate_series(1, {tenants}) t;
INSERT INTO pgbench_tellers SELECT t, g, 1, 0 FROM generate_series(1, 10) g, generate_series(1, {tenants}) t;
INSERT INTO pgbench_accounts SELECT t, g, 1, 0, '' FROM generate_series(1, {accounts}) g, generate_series(1, {tenants}) t;
ALTER TABLE pgbench_branches OWNER TO bench_owner;
ALTER TABLE pgbench_tellers OWNER TO bench_owner;
ALTER TABLE pgbench_accounts OWNER TO bench_owner;
ALTER TABLE pgbench_history OWNER TO bench_owner;
ALTER TABLE bulk OWNER TO bench_owner;
ALTER TABLE relay OWNER TO bench_owner;
REVOKE ALL ON DATABASE bench FROM PUBLIC;
GRANT CONNECT ON DATABASE bench TO bench_app;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO bench_app;
"""


def rules(port: int, password: str, tenant: int) -> str:
    """The rule file of the run: one tenant among the rows of many."""
    verifier = build_verifier(password, b"partywall-bench!", 4096)
    return f"""database: bench
server: postgresql://bench_app@127.0.0.1:{port}/bench
isolation: row
tenant_column: tenant_id
---
tenant: t{tenant}
key: {tenant}
databases: [bench]
logins:
  bench_app: {{verifier: "{verifier}"}}
quotas: {{connections: 500, server_connections: {SERVER_CONNECTIONS}}}
---
tenant: t{tenant + 1}
key: {tenant + 1}
databases: [bench]
logins:
  bench_other: {{verifier: "{verifier}"}}
"""
