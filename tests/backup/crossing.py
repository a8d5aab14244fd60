"""Two small databases between which a tenant moves, and doors behind which is no proxy: for tests of the steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from proxy.backup.ends import Ends, both
from proxy.backup.mirroring import Mirror
from proxy.backup.moving import Moved, move
from proxy.backup.refusal import Refused
from tests.backup.shelf import operators, small
from tests.kit.postgres import Cluster

SCHEMA = """
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE parts (tenant_id int NOT NULL, id int NOT NULL, kind int REFERENCES kinds, label text, above int,
  double int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, label),
  FOREIGN KEY (tenant_id, above) REFERENCES parts (tenant_id, id) ON DELETE CASCADE);
CREATE TABLE marks (tenant_id int NOT NULL, at timestamptz NOT NULL DEFAULT now(), said text);
CREATE TABLE bills (id serial PRIMARY KEY, tenant_id int NOT NULL, sum numeric NOT NULL);
CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO public.marks (tenant_id, said) VALUES (NEW.tenant_id, TG_OP); RETURN NULL; END';
CREATE TRIGGER mark AFTER INSERT OR UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION mark();
INSERT INTO kinds VALUES (1), (2);
"""
ROWS = """
INSERT INTO parts (tenant_id, id, kind, label)
  SELECT t, n, 1, 'p' || n FROM generate_series(1, 2) t, generate_series(1, 20) n;
UPDATE parts SET above = id - 1 WHERE id > 10;
INSERT INTO bills (tenant_id, sum) SELECT 1 + n % 2, n FROM generate_series(1, 10) n;
"""
WRITES = """
INSERT INTO parts (tenant_id, id, kind, label) VALUES (2, 100, 2, 'new');
UPDATE parts SET label = NULL WHERE tenant_id = 2 AND id = 1;
UPDATE parts SET label = 'p1' WHERE tenant_id = 2 AND id = 2;
UPDATE parts SET id = 50 WHERE tenant_id = 2 AND id = 3;
DELETE FROM parts WHERE tenant_id = 2 AND id = 12;
DELETE FROM marks WHERE ctid = (SELECT min(ctid) FROM marks WHERE tenant_id = 2);
INSERT INTO bills (tenant_id, sum) VALUES (2, 7), (1, 8);
UPDATE parts SET kind = 2 WHERE tenant_id = 1;
"""
TABLES = ("parts", "marks", "bills")


@dataclass(slots=True)
class NoDoors:
    """What the steps ask of proxies and rules. during: runs while the tenant waits; switching: instead of a switch."""

    told: list[str] = field(default_factory=list)
    during: Callable[[], object] = lambda: None
    switching: Callable[[], None] = lambda: None

    async def ready(self) -> None:
        self.told.append("ready")

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        self.told.append("paused")
        self.during()
        try:
            yield
        finally:
            self.told.append("resumed")

    async def switch(self) -> None:
        self.switching()
        self.told.append("switched")

    async def arrived(self) -> None:
        if "switched" not in self.told:
            raise Refused(["it is not there"])

    async def back(self) -> None:
        self.told.append("back")

    async def go_on(self) -> None:
        self.told.append("went on")


@dataclass(slots=True)
class Crossing:
    cluster: Cluster
    ends: Ends

    @property
    def names(self) -> tuple[str, str]:
        return self.ends.here.server.database, self.ends.there.server.database

    def sql(self, text: str, there: bool = False) -> str:
        return self.cluster.psql(self.names[there], text).strip()

    def rows(self, there: bool, tenant: int = 2) -> list[str]:
        """All rows of a tenant, of every table."""
        found = [f"SELECT '{one}' || t::text FROM {one} t WHERE tenant_id = {tenant}" for one in TABLES]
        return self.sql(f"{' UNION ALL '.join(found)} ORDER BY 1", there).splitlines()

    def moved(self, doors: NoDoors, max_pause: float = 30) -> Moved:
        return asyncio.run(move(self.ends, doors, "00c0ffee", max_pause))


@contextmanager
def crossing(cluster: Cluster, there: str = SCHEMA) -> Iterator[Crossing]:
    """globex has rows at the first, and none at the second."""
    relations = "kinds: {shared: read}"
    with small(cluster, SCHEMA + ROWS, relations) as first, small(cluster, there, relations) as second:
        here, other = first["globex"], second["globex"]
        source, target = (operators(cluster, one.server.database) for one in (here, other))
        yield Crossing(cluster, Ends(source, target, here, other))


@asynccontextmanager
async def mirrored(crossing: Crossing) -> AsyncIterator[Mirror]:
    """A move that is begun and logs, with nothing copied."""
    from proxy.backup import journal
    from proxy.backup.moving import logged
    from proxy.backup.surveying import planned

    ends = crossing.ends
    async with both(ends) as (source, target):
        at = journal.Move("00c0ffee", "globex", ends.here.database, journal.COPYING, "there")
        await journal.made(source)
        await journal.made(target)
        await journal.begun(source, at)
        plan = await planned(source, target, ends.here, ends.there)
        for one in plan.passages:
            await logged(source, at, one, ends.here)
        yield Mirror(at, source, target, ends.here, ends.there, plan.passages, plan.links)
