"""A tenant, globex, that is served by every isolation mode in turn: the same table at each place, and in each row which
place it is. acme has rows beside it wherever tenants share tables.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from proxy.auth.scram import build_verifier
from proxy.doctor.provision import provision
from proxy.tenancy.load import load
from proxy.tenancy.policy import Grant
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rls import provision_walls
from tests.kit.rules import PASSWORDS
from tests.kit.sample import load_sample

NAME = "store"
READER = {"globex_ro": "fifth-pass"}
OWNER = "changing_own"
MODES = ("row", "schema", "database", "rls", "row+rls")
ITEMS = """
CREATE TABLE {schema}.items (tenant_id int NOT NULL, id int NOT NULL, said text, PRIMARY KEY (tenant_id, id));
INSERT INTO {schema}.items SELECT 2, n, '{said}' FROM generate_series(1, 3) n;
"""
OTHERS = "INSERT INTO items SELECT 1, n, 'of acme' FROM generate_series(1, 5) n;"
WIDE = "SELECT tenant_id::text, said FROM items ORDER BY 1, 2"


@dataclass(frozen=True, slots=True)
class Changing:
    """rows: a database with rows of both, and a schema of globex's; walled: with policies; own: globex's alone."""

    cluster: Cluster
    rows: str
    walled: str
    own: str

    def rules(self, mode: str) -> str:
        """The rule file's text with globex in this mode."""
        port = self.cluster.port
        behind = mode in ("rls", "row+rls")
        base = f"postgresql://app@127.0.0.1:{port}/{self.walled if behind else self.rows}?sslmode=disable"
        own = f"postgresql://{OWNER}@127.0.0.1:{port}/{self.own}?sslmode=disable"
        said = {
            "row": "key: 2\n",
            "rls": "key: 2\nserver_login: globex_changing\n",
            "row+rls": "key: 2\nisolation: row\nserver_login: globex_changing\n",
            "schema": "isolation: schema\nschema: globex\nserver_login: globex_schema\n",
            "database": f"isolation: database\nserver: {own}\n",
        }[mode]
        kind = "rls" if behind else "row"
        documents = [f"database: {NAME}\nserver: {base}\nisolation: {kind}\ntenant_column: tenant_id\n"]
        acme = "key: 1\n" + ("server_login: acme_changing\n" if behind else "")
        documents.append(_tenant("acme", acme, ["acme_app"]))
        documents.append(_tenant("globex", said, ["globex_app", *([] if mode == "database" else READER)]))
        return "---\n".join(documents)

    def grants(self, mode: str) -> list[Grant]:
        """What they grant, of every tenant."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "rules.yaml").write_text(self.rules(mode), "utf-8")
            book = load(Path(folder), {}, 1)
        return [grant for (_, _, read_only), grant in sorted(book.grants.items()) if not read_only]

    def grant(self, mode: str) -> Grant:
        """What they grant globex."""
        return next(one for one in self.grants(mode) if one.tenant == "globex")

    def kept(self) -> list[str]:
        """acme's rows, wherever it has some."""
        query = "SELECT tenant_id, id, said FROM items WHERE tenant_id <> 2 OR said LIKE '%acme%' ORDER BY 1, 2"
        return [self.cluster.psql(one, query) for one in (self.rows, self.walled)]


def _tenant(name: str, more: str, logins: list[str]) -> str:
    text = f"tenant: {name}\ndatabases: [{NAME}]\n{more}logins:\n"
    for login in logins:
        verifier = build_verifier((PASSWORDS | READER)[login], login.encode().ljust(16, b"."), 4096)
        text += f'  {login}: {{verifier: "{verifier}", read_only: {str(login in READER).lower()}}}\n'
    return text


@contextmanager
def changing(cluster: Cluster) -> Iterator[Changing]:
    """The three databases, dropped at the end."""
    load_sample(cluster)  # for its role app
    found = Changing(cluster, "changing_rows", "changing_walled", "changing_own")
    names = (found.rows, found.walled, found.own)
    for name in names:
        cluster.create_database(name)
    cluster.psql(sql=f"CREATE ROLE {OWNER} LOGIN; ALTER DATABASE {found.own} OWNER TO {OWNER}")
    for name, said in ((found.rows, "row"), (found.walled, "rls")):
        cluster.psql(name, ITEMS.format(schema="public", said=said) + OTHERS)
    cluster.psql(
        found.rows,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON items TO app; GRANT USAGE ON SCHEMA public TO app;"
        f" GRANT CONNECT, TEMPORARY ON DATABASE {found.rows} TO app",
    )
    provision_walls(cluster, found.walled, found.grants("rls"))
    cluster.psql(found.rows, provision(found.grant("schema"), b"0123456789abcdef"))
    cluster.psql(found.rows, "SET ROLE globex_schema;" + ITEMS.format(schema="globex", said="schema"))
    taken = f"ALTER SCHEMA public OWNER TO {OWNER}; SET ROLE {OWNER};"
    cluster.psql(found.own, taken + ITEMS.format(schema="public", said="database"))
    yield found
    for name in names:
        cluster.drop_database(name)
    cluster.psql(sql=f"DROP ROLE globex_schema, globex_changing, acme_changing, {OWNER}")


@dataclass(frozen=True, slots=True)
class Turning:
    """A proxy whose rules have globex in one mode after another."""

    proxy: Proxy
    places: Changing

    def turn(self, mode: str) -> None:
        """By a reload."""
        self.file.write_text(self.places.rules(mode), "utf-8")
        self.proxy.reload_whole()

    @property
    def file(self) -> Path:
        return self.proxy.directory / "rules" / "sample.yaml"


@contextmanager
def turning(places: Changing, mode: str, **settings: str) -> Iterator[Turning]:
    """Beginning with this mode."""
    with running_proxy(places.cluster.port, rules=places.rules(mode), **settings) as proxy:
        yield Turning(replace(proxy, database=NAME, passwords=PASSWORDS | READER), places)


def said_in(mode: str) -> str:
    """What globex's rows say where it is in this mode."""
    return "rls" if mode == "row+rls" else mode
