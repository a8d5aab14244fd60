"""A mixed fleet: tenants of different modes behind one database name, on two servers.

acme: row mode, where the database's own document leads. globex: row mode, on the other server. initech: a database of
its own on the other server. hooli: a schema of its own beside acme's rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.auth.scram import build_verifier
from proxy.doctor.provision import provision
from proxy.tenancy.load import load
from tests.kit.owned import ROLES, owned
from tests.kit.postgres import Cluster
from tests.kit.rules import DATABASE, PASSWORDS, SEQUENCES
from tests.kit.sample import load_sample, pristine

NAME = "shop"
HOOLI = {"hooli_app": "fourth-pass"}
MODES = {"acme": "row", "globex": "row", "initech": "database", "hooli": "schema"}


@dataclass(frozen=True, slots=True)
class Fleet:
    """Two servers. near: the database in which acme and hooli are; far: globex's; own: initech's, beside globex's."""

    first: Cluster
    second: Cluster
    near: str
    far: str
    own: str

    def rules(self, more: str = "", second_port: int | None = None) -> str:
        """The rule file's text. more: keys of the database; second_port: where the second server is said to be."""
        port = second_port or self.second.port
        base = DATABASE.format(database=NAME, port=self.first.port, sequences=SEQUENCES)
        base = base.replace(f":{self.first.port}/{NAME}", f":{self.first.port}/{self.near}")
        documents = [base + more]
        documents.append(_tenant("acme", _keys(1)))
        documents.append(_tenant("globex", _keys(2) + _server("app", port, self.far)))
        documents.append(_tenant("initech", "isolation: database\n" + _server(ROLES[3], port, self.own)))
        documents.append(_tenant("hooli", "isolation: schema\nschema: hooli\nserver_login: hooli_rw\n"))
        return "---\n".join(documents)


def _tenant(name: str, more: str) -> str:
    login = f"{name}_app"
    verifier = build_verifier((PASSWORDS | HOOLI)[login], login.encode().ljust(16, b"."), 4096)
    return f'tenant: {name}\ndatabases: [{NAME}]\n{more}logins:\n  {login}: {{verifier: "{verifier}"}}\n'


def _keys(number: int) -> str:
    slug = {1: "acme", 2: "globex"}[number]
    return f"keys: {{default: {number}, slug: {slug}, uid: 00000000-0000-4000-8000-{number:012}}}\n"


def _server(role: str, port: int, database: str) -> str:
    return f"server: postgresql://{role}@127.0.0.1:{port}/{database}?sslmode=disable\n"


@contextmanager
def mixed_fleet(first: Cluster, second: Cluster) -> Iterator[Fleet]:
    """The databases, with a table for hooli; dropped at the end."""
    load_sample(first)
    load_sample(second)
    with ExitStack() as stack:
        near = stack.enter_context(pristine(first))
        far = stack.enter_context(pristine(second))
        own = stack.enter_context(owned(second, 3))
        found = Fleet(first, second, near, far, own)
        first.psql(near, f"GRANT CONNECT, TEMPORARY ON DATABASE {near} TO app")  # by name, as the page says
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "rules.yaml").write_text(found.rules(), "utf-8")
            book = load(Path(folder), {}, 1)
        first.psql(near, provision(book.grants["hooli", NAME, False], b"0123456789abcdef"))
        first.psql(near, "SET ROLE hooli_rw; CREATE TABLE hooli.mine AS SELECT 'hooli' AS slug")
        # It has acme's key, and by mistake it may be read by the role that serves acme.
        planted = "CREATE TABLE hooli.planted (tenant_id int NOT NULL); INSERT INTO hooli.planted VALUES (1)"
        first.psql(near, f"SET ROLE hooli_rw; {planted}; GRANT SELECT ON hooli.planted TO app")
        first.psql(near, "GRANT USAGE ON SCHEMA hooli TO app")
        yield found
        first.psql(near, "DROP SCHEMA hooli CASCADE; DROP OWNED BY hooli_rw")
