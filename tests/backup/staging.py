"""A small company that has a tenant for staging: tables with keys of every kind, a masking file, rules with logins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from proxy.auth.scram import build_verifier
from tests.backup.shelf import book_of
from tests.kit.postgres import Cluster
from tests.kit.rls import provision_walls

TABLES = """
CREATE DOMAIN short AS varchar(10);
CREATE TABLE countries (code text PRIMARY KEY); INSERT INTO countries VALUES ('no'), ('dk');
CREATE TABLE people (
  tenant_id int NOT NULL, id serial PRIMARY KEY, email varchar(60) NOT NULL, name text NOT NULL, phone text, nick short,
  salary numeric(12, 2), born date, seen timestamptz(3), token uuid UNIQUE, prefs jsonb NOT NULL DEFAULT '{}',
  photo bytea, country text REFERENCES countries, boss int REFERENCES people,
  label text GENERATED ALWAYS AS (name || ' ' || email) STORED,
  UNIQUE (tenant_id, email));
CREATE TABLE letters (
  tenant_id int NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, recipient varchar(60) NOT NULL, body text NOT NULL,
  author int REFERENCES people, copy_to text, PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, recipient) REFERENCES people (tenant_id, email));
"""
ROWS = """
INSERT INTO people (tenant_id, email, name, phone, nick, salary, born, seen, token, prefs, photo, country, boss)
SELECT t, 'person' || g || '@tenant' || t || '.example', 'Person ' || g || ' of ' || t, '+47 555 ' || g, 'nick' || g,
       g * 1000.50, date '1980-01-01' + g, timestamptz '2024-01-01 10:00+00' + g * interval '1 hour',
       md5(t || '-' || g)::uuid, '{"secret": "of person"}', '\\xdeadbeef', 'no', NULL
  FROM generate_series(1, 40) g, generate_series(1, 2) t;
UPDATE people p SET boss = (SELECT min(id) FROM people b WHERE b.tenant_id = p.tenant_id) WHERE p.id % 3 = 0;
UPDATE people SET phone = NULL, nick = NULL WHERE id % 5 = 0;
INSERT INTO letters (tenant_id, recipient, body, author, copy_to)
SELECT tenant_id, email, E'Dear ' || name || E',\\n\\tyour \\\\ salary', id, email FROM people;
"""
MASKING = """\
tables:
  people:
    id: keep
    email: {fake: email}            # letters.recipient follows
    name: {fake: name}
    phone: {fake: phone}
    nick: hash
    salary: hash
    born: hash
    seen: hash
    token: hash
    prefs: {set: "{}"}
    photo: null
    country: keep
  letters:
    id: keep
    body: {fake: text}
    copy_to: {fake: email}
"""
SECRETS = ("Person ", "person", "@tenant", "+47 ", "nick", "of person", "deadbeef")
RULES = """\
database: {name}
server: postgresql://staging_app@127.0.0.1:{port}/{name}?sslmode=disable
isolation: {mode}
tenant_column: tenant_id
relations: {{countries: {{shared: read}}}}
accept: [keys.people, fk.people, fk.letters]
"""
TENANT = """\
---
tenant: {tenant}
key: {key}
databases: [{name}]
{login}logins:
  {tenant}_app: {{verifier: "{verifier}"}}
"""
PASSWORDS = {"acme_app": "acme-pass", "globex_app": "globex-pass", "staging_app": "staging-pass"}
TENANTS = {"acme": 1, "globex": 2, "staging": 9}
_numbers = count(1)


def rules_of(port: int, name: str, mode: str) -> str:
    """acme, globex and staging in one database."""
    text = RULES.format(name=name, port=port, mode=mode)
    for tenant, key in TENANTS.items():
        verifier = build_verifier(PASSWORDS[f"{tenant}_app"], b"0123456789abcdef", 4096)
        login = f"server_login: {tenant}_behind\n" if mode == "rls" else ""
        text += TENANT.format(tenant=tenant, key=key, name=name, login=login, verifier=verifier)
    return text


@contextmanager
def company(cluster: Cluster, mode: str = "row") -> Iterator[tuple[str, str]]:
    """The name of a database with the tables, and its rules."""
    name = f"company{next(_numbers)}"
    cluster.create_database(name)
    try:
        made = "DO $$ BEGIN CREATE ROLE staging_app LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;"
        cluster.psql(name, f"{made} {TABLES} {ROWS}")
        rules = rules_of(cluster.port, name, mode)
        if mode == "rls":
            book = book_of(rules)
            provision_walls(cluster, name, [one for _, one in sorted(book.grants.items())])
        else:
            cluster.psql(
                name,
                "GRANT SELECT, INSERT, UPDATE, DELETE ON people, letters TO staging_app; GRANT SELECT ON countries TO"
                " staging_app; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO staging_app",
            )
        yield name, rules
    finally:
        cluster.drop_database(name)
