"""The sample set in database mode: a database and a role for each of the three tenants on one server. Neither is named
after its tenant, as the pages advise, because every role of a server may read their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from proxy.doctor.provision import TAKE_OVER
from tests.kit.postgres import Cluster
from tests.kit.rules import TENANTS, own_rules
from tests.kit.sample import load_sample, pristine

ROLES = {1: "d7f3", 2: "k2m9", 3: "x5q1"}
# What a superuser runs in the database: everything in it becomes the role's.
GIVEN = """
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT ALL ON DATABASE {database} TO {role};
ALTER SCHEMA public OWNER TO {role};
"""


@contextmanager
def owned(cluster: Cluster, number: int, *, served: bool = True) -> Iterator[str]:
    """The name of a fresh database of tenant `number` alone, dropped at the end. Its role owns what is in it and, if it
    is the one that is `served`, the database, of which it may own no other.
    """
    load_sample(cluster)
    role = ROLES[number]
    if cluster.psql(sql=f"SELECT count(*) FROM pg_roles WHERE rolname = '{role}'").strip() == "0":
        cluster.psql(sql=f"CREATE ROLE {role} LOGIN")
    with pristine(cluster, f"private{number}") as database:
        taken = TAKE_OVER.format(role=role, role_text=f"'{role}'", schema_text="'public'")
        cluster.psql(database, GIVEN.format(database=database, role=role) + taken)
        if served:
            cluster.psql(sql=f"ALTER DATABASE {database} OWNER TO {role}")
        yield database


def owned_rules(port: int, databases: dict[int, str], name: str = "shared") -> str:
    """The rule file's text: each tenant's database, which all of their DSNs call `name`."""
    documents: list[str] = []
    for number, database in databases.items():
        tenant = TENANTS[number]
        both = own_rules(port, database, ROLES[number], tenant, f"{tenant}_app", name)
        documents += both.split("---\n") if not documents else both.split("---\n")[1:]
    return "---\n".join(documents)


@contextmanager
def owned_nothing(cluster: Cluster, name: str) -> Iterator[str]:
    """An empty database that is a role's of the same name."""
    cluster.psql(sql=f"CREATE ROLE {name} LOGIN")
    cluster.create_database(name)
    cluster.psql(sql=f"ALTER DATABASE {name} OWNER TO {name}")
    yield name
    cluster.drop_database(name)
    cluster.psql(sql=f"DROP OWNED BY {name}; DROP ROLE {name}")
