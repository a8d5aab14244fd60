"""The sample set as real databases: `shared` with all three tenants, `private1` to `private3` with one each.

Loaded once per cluster into templates that nobody connects to; what tests get are copies, so that a test which
commits takes a pristine one of its own and gives it back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from itertools import count
from pathlib import Path
from typing import TypeVar

from tests.kit.postgres import Cluster

DATA = Path(__file__).resolve().parent.parent / "data"
TENANTS = {1: "acme", 2: "globex", 3: "initech"}
DATABASES = {"shared": "", **{f"private{key}": f"-c seed.only={key}" for key in TENANTS}}

T = TypeVar("T")
_numbers = count(1)

# What the sample rules hide, and the defaults of the tenant column, which the proxy fills itself.
HIDDEN = """
DROP VIEW leaky_stats, odd_nullable;
DROP FUNCTION order_secret, count_orders, cheap_leak;
DROP PROCEDURE purge_cancelled;
DO $$ DECLARE r record; BEGIN
  FOR r IN SELECT a.attrelid::regclass AS rel, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
              AND a.attname IN ('tenant_id', 'tenant', 'tenant_uid', 'TenantId')
  LOOP EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', r.rel, r.attname); END LOOP;
END $$;
"""


def once(load: Callable[[Cluster], T]) -> Callable[[Cluster], T]:
    """Of what makes databases: a cluster that has them is not asked a second time."""
    made: dict[Path, T] = {}

    @wraps(load)
    def loaded(cluster: Cluster) -> T:
        if cluster.directory not in made:
            made[cluster.directory] = load(cluster)
        return made[cluster.directory]

    return loaded


@once
def load_sample(cluster: Cluster) -> Cluster:
    """Make the four databases unless they are there; afterwards `shared` and `private1` to `private3` stand ready."""
    present = cluster.databases()
    for name, options in DATABASES.items():
        template = f"template_{name}"
        if template not in present:
            cluster.create_database(template)
            for file in ("schema.sql", "odd-types.sql"):
                cluster.psql(template, file=DATA / file, options=options)
        if name not in present:
            cluster.create_database(name, template)
    return cluster


@once
def load_shown(cluster: Cluster) -> str:
    """The name of a private database of tenant 1 that has only what the sample rules show, for its catalogs."""
    if "shown1" not in load_sample(cluster).databases():
        cluster.create_database("shown1", "template_private1")
        cluster.psql("shown1", sql=HIDDEN)
    return "shown1"


@contextmanager
def pristine(cluster: Cluster, of: str = "shared") -> Iterator[str]:
    """The name of a fresh copy of one of the four, dropped at the end whoever is still connected."""
    name = f"{of}_copy_{next(_numbers)}"
    cluster.create_database(name, f"template_{of}")
    try:
        yield name
    finally:
        cluster.drop_database(name)
