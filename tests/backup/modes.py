"""Places of every isolation mode between which a tenant moves: the same small tables, its own or shared."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from proxy.backup.ends import Ends
from proxy.backup.moving import Moved, move
from proxy.tenancy.policy import Grant
from tests.backup.crossing import NoDoors
from tests.backup.shelf import ROLE, book_of, operators
from tests.kit.postgres import Cluster, PostgresError
from tests.kit.rls import provision_walls

OWN_ROLE = "moved_globex"  # of the tenant at the server
MODES = ("row", "schema", "database", "rls", "wall")
TABLES = ("parts", "marks", "bills")
DEFINED = """
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE parts (tenant_id int NOT NULL DEFAULT 2, id int NOT NULL, label text CHECK (length(label) < 9), above int,
  felt mood, double int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, label),
  FOREIGN KEY (tenant_id, above) REFERENCES parts (tenant_id, id) ON DELETE CASCADE);
CREATE INDEX ON parts (tenant_id, lower(label)) WHERE above IS NULL;
CREATE TABLE marks (tenant_id int NOT NULL DEFAULT 2, at timestamptz NOT NULL DEFAULT now(), said text);
CREATE TABLE bills (id serial PRIMARY KEY, tenant_id int NOT NULL DEFAULT 2, sum numeric NOT NULL);
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN EXECUTE pg_catalog.format(''INSERT INTO %I.marks (tenant_id, said) VALUES ($1, $2)'', TG_TABLE_SCHEMA)
   USING NEW.tenant_id, TG_OP; RETURN NULL; END';
CREATE TRIGGER mark AFTER INSERT OR UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION mark();
"""
ROWS = """
INSERT INTO parts (tenant_id, id, label, felt) SELECT {key}, n, 'p' || n, 'glad' FROM generate_series(1, 20) n;
UPDATE parts SET above = id - 1 WHERE id > 10 AND tenant_id = {key};
INSERT INTO bills (id, tenant_id, sum) SELECT {key} * 100 + n, {key}, n FROM generate_series(1, 5) n;
"""
WRITES = """
INSERT INTO parts (tenant_id, id, label) VALUES (2, {at}, 'new{at}');
UPDATE parts SET label = NULL, felt = 'sad' WHERE tenant_id = 2 AND id = 1;
UPDATE parts SET id = {at} + 1 WHERE tenant_id = 2 AND id = 2;
UPDATE parts SET id = 2 WHERE tenant_id = 2 AND id = {at} + 1;
DELETE FROM parts WHERE tenant_id = 2 AND id = 20;
INSERT INTO parts (tenant_id, id, label, above) VALUES (2, 20, 'again', 10);
DELETE FROM marks WHERE ctid = (SELECT min(ctid) FROM marks WHERE tenant_id = 2);
INSERT INTO bills (tenant_id, sum) VALUES (2, 7), (2, 8);
"""
HEAD = """\
database: store
server: postgresql://{role}@127.0.0.1:{port}/{name}?sslmode=disable
"""
RULES = {
    "row": HEAD + "isolation: row\ntenant_column: tenant_id\n",
    "wall": HEAD + "isolation: row\nsecond_wall: rls\ntenant_column: tenant_id\n",
    "rls": HEAD + "isolation: rls\ntenant_column: tenant_id\n",
    "schema": HEAD + "isolation: schema\n",
    "database": HEAD + "isolation: database\n",
}
TENANT = {
    "row": "key: {key}\n",
    "wall": "key: {key}\nserver_login: {own}\n",
    "rls": "key: {key}\nserver_login: {own}\n",
    "schema": "schema: {tenant}\nserver_login: {own}\n",
    "database": "",
}
_numbers = count(1)


def grant_of(cluster: Cluster, database: str, mode: str, tenant: str = "globex") -> Grant:
    """What rules of this mode say of a tenant."""
    role = OWN_ROLE if mode == "database" else ROLE
    text = RULES[mode].format(role=role, port=cluster.port, name=database)
    for one, key in (("globex", 2), ("acme", 1)) if mode != "database" else (("globex", 2),):
        own = OWN_ROLE if one == "globex" else f"moved_{one}"
        text += f"---\ntenant: {one}\ndatabases: [store]\n" + TENANT[mode].format(key=key, own=own, tenant=one)
    return book_of(text).grants[tenant, "store", False]


@dataclass(slots=True)
class Spot:
    """A place of globex: a database, in which its tables are in some schema."""

    cluster: Cluster
    database: str
    mode: str

    @property
    def grant(self) -> Grant:
        return grant_of(self.cluster, self.database, self.mode)

    @property
    def schema(self) -> str:
        return self.grant.policy.path[0]

    def sql(self, text: str, role: str = "") -> str:
        """role: whose session it is."""
        who = f"SET SESSION AUTHORIZATION {role}; " if role else ""
        return self.cluster.psql(self.database, f"SET search_path = {self.schema}; {who}{text}").strip()

    def rows(self, key: int = 2) -> list[str]:
        """Its rows of every table."""
        found = [f"SELECT '{one}' || t::text FROM {one} t WHERE tenant_id = {key}" for one in TABLES]
        return self.sql(f"{' UNION ALL '.join(found)} ORDER BY 1").splitlines()

    def takes(self) -> bool:
        """May somebody who comes past every proxy write its rows? It is undone."""
        try:
            self.sql("BEGIN; INSERT INTO marks (tenant_id, said) VALUES (2, ''); ROLLBACK")
        except PostgresError as error:
            if "is being moved" in str(error) or "has not arrived" in str(error):
                return False
            raise
        return True

    def traces(self) -> int:
        """Triggers and functions of moves."""
        found = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'partywall_move%') + (SELECT count(*) FROM"
        return int(self.sql(f"{found} pg_proc WHERE proname LIKE 'move\\_%')"))


def furnished(cluster: Cluster, database: str, mode: str) -> Spot:
    """The tables of a place in this mode, in a database that is there."""
    spot = Spot(cluster, database, mode)
    for role in (ROLE, OWN_ROLE, "moved_acme"):
        cluster.psql(
            database, f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
    if mode == "schema":
        cluster.psql(database, f"CREATE SCHEMA globex; GRANT USAGE, CREATE ON SCHEMA globex TO {OWN_ROLE}")
    if mode in ("schema", "database"):
        if mode == "database":
            cluster.psql(database, f"ALTER SCHEMA public OWNER TO {OWN_ROLE}")
        spot.sql(DEFINED, OWN_ROLE)
    else:
        spot.sql(DEFINED)
        if mode != "row":
            provision_walls(cluster, database, [grant_of(cluster, database, mode, one) for one in ("globex", "acme")])
        spot.sql(ROWS.format(key=1))
    return spot


@contextmanager
def spots(cluster: Cluster, *modes: str) -> Iterator[list[Spot]]:
    """A database for each."""
    made: list[Spot] = []
    try:
        for mode in modes:
            name = f"moved{next(_numbers)}"
            cluster.create_database(name)
            made.append(Spot(cluster, name, mode))
            furnished(cluster, name, mode)
        yield made
    finally:
        for one in made:
            cluster.drop_database(one.database)


def between(here: Spot, there: Spot) -> Ends:
    """Both ends, as the superuser."""
    source, target = (operators(one.cluster, one.database) for one in (here, there))
    return Ends(source, target, here.grant, there.grant)


def moved(here: Spot, there: Spot, doors: NoDoors, max_pause: float = 30) -> Moved:
    """The whole move."""
    return asyncio.run(move(between(here, there), doors, "00c0ffee", max_pause))
