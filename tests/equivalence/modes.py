"""The isolation modes as stages: the same corpus at a private database and, as a tenant of each mode, at the proxy.

A mode is one line in MODES: its name, how many blocks of legit.sql may at most not be equal there, and what sets it up.
Each has copies of its own on both sides, so that what is drawn from sequences is the same at both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.equivalence.corpus import Block, read_blocks
from tests.equivalence.run import Outcome, run
from tests.kit.checksums import foreign_checksums
from tests.kit.owned import ROLES, owned, owned_rules
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.rls import WALLED, load_walled, rls_rules
from tests.kit.rules import TENANTS
from tests.kit.sample import load_sample, pristine
from tests.kit.schemas import load_schemas, schema_rules

DATA = Path(__file__).resolve().parents[1] / "data"
CORPORA = {name: read_blocks(DATA / f"{name}.sql") for name in ("legit", "physical")}
PROTOCOLS = ("simple", "extended")


@dataclass(frozen=True, slots=True)
class Stage:
    """A proxy in front of a server, and for each tenant a database that holds its rows alone."""

    proxy: Proxy
    private: dict[int, Callable[[], RawClient]]
    adapted: Callable[[Block, int], Block] = lambda block, tenant: block
    others: Callable[[int], object] = lambda tenant: None  # checksums of what is not this tenant's

    def play(self, corpus: str, tenant: int, protocol: str) -> list[Outcome]:
        """Every block of a corpus at both."""
        blocks = [self.adapted(one, tenant) for one in CORPORA[corpus]]
        proxied = partial(self.proxy.connect, f"{TENANTS[tenant]}_app")
        return run(blocks, self.private[tenant], proxied, protocol)


@dataclass(frozen=True, slots=True)
class Mode:
    """bound: blocks of legit.sql that may not be equal."""

    name: str
    bound: int
    stage: Callable[[Cluster], AbstractContextManager[Stage]]


@contextmanager
def row(cluster: Cluster) -> Iterator[Stage]:
    """A table for all tenants."""
    load_sample(cluster)
    with ExitStack() as stack:
        alone = {one: stack.enter_context(pristine(cluster, f"private{one}")) for one in TENANTS}
        shared = stack.enter_context(pristine(cluster))
        proxy = stack.enter_context(running_proxy(cluster.port, shared))
        yield Stage(proxy, _direct(cluster, alone), others=partial(foreign_checksums, cluster, shared))


@contextmanager
def behind_policies(mode: str, cluster: Cluster) -> Iterator[Stage]:
    """A table for all tenants, with policies at the server, which alone or besides keep rows apart."""
    load_walled(cluster)
    with ExitStack() as stack:
        alone = {one: stack.enter_context(pristine(cluster, f"private{one}")) for one in TENANTS}
        walled = stack.enter_context(pristine(cluster, WALLED))
        rules = rls_rules(cluster.port, walled, mode)
        proxy = stack.enter_context(running_proxy(cluster.port, walled, rules=rules))
        yield Stage(proxy, _direct(cluster, alone), others=partial(foreign_checksums, cluster, walled))


@contextmanager
def schema(cluster: Cluster) -> Iterator[Stage]:
    """A schema for each."""
    load_schemas(cluster)
    roles = {one: f"{tenant}_rw" for one, tenant in TENANTS.items()}
    paths = {one: f"-c search_path={tenant},reference" for one, tenant in TENANTS.items()}
    with ExitStack() as stack:
        copies = {}
        for name in ("beside", *(f"apart{one}" for one in TENANTS)):
            copies[name] = f"{name}_played"
            cluster.create_database(copies[name], f"template_{name}")
            stack.callback(cluster.drop_database, copies[name])
        rules = schema_rules(cluster.port, copies["beside"])
        alone = {one: copies[f"apart{one}"] for one in TENANTS}
        proxy = stack.enter_context(running_proxy(cluster.port, rules=rules))
        yield Stage(proxy, _direct(cluster, alone, roles, paths), in_schema)


@contextmanager
def database(cluster: Cluster) -> Iterator[Stage]:
    """A database for each."""
    with ExitStack() as stack:
        alone = {one: stack.enter_context(owned(cluster, one, served=False)) for one in TENANTS}
        served = {one: stack.enter_context(owned(cluster, one)) for one in TENANTS}
        proxy = stack.enter_context(running_proxy(cluster.port, rules=owned_rules(cluster.port, served)))
        yield Stage(proxy, _direct(cluster, alone, ROLES))


def in_schema(block: Block, tenant: int) -> Block:
    """The block as an application has it whose tables are in its schema."""
    return replace(block, statements=tuple(one.replace("public", TENANTS[tenant]) for one in block.statements))


def _direct(
    cluster: Cluster, alone: dict[int, str], roles: dict[int, str] | None = None, options: dict[int, str] | None = None
) -> dict[int, Callable[[], RawClient]]:
    found: dict[int, Callable[[], RawClient]] = {}
    for one, name in alone.items():
        role = "app" if roles is None else roles[one]
        more = {} if options is None else {"options": options[one]}
        found[one] = partial(RawClient, "127.0.0.1", cluster.port, role, name, **more)
    return found


MODES = (
    Mode("row", 4, row),
    Mode("rls", 16, partial(behind_policies, "rls")),
    Mode("row+rls", 16, partial(behind_policies, "row+rls")),
    Mode("schema", 0, schema),
    Mode("database", 0, database),
)
