"""The sample set as a tenant's world: its policy, the keys of the three tenants, and what becomes of a statement."""

from __future__ import annotations

import asyncio
import functools

from proxy.catalog.connect import connect
from proxy.catalog.introspect import introspect
from proxy.catalog.model import Catalog
from proxy.sql.parse import Statement, parse
from proxy.sql.render import fill, render
from proxy.sql.resolve import Analysis, resolve
from proxy.sql.rewrite import Rewritten, rewrite
from proxy.sql.world import World
from proxy.tenancy.derived import APPLICATION, LISTENING, PROCESS, derived_keys
from proxy.tenancy.policy import Access, Credentials, Policy, RelationRule, Server

RULES: tuple[tuple[str, Access, str | None, str], ...] = (
    ("products", "shared", None, "default"),
    ("categories", "shared", None, "default"),
    ("notes", "tenant", "tenant", "slug"),
    ("documents", "tenant", "tenant_uid", "uid"),
    ("tenants", "tenant", "id", "default"),
    ("Order Details", "tenant", "TenantId", "default"),
    ("open_orders", "view", None, "default"),
    ("order_totals", "view", None, "default"),
    ("mv_order_stats", "view", None, "default"),
    ("odd_loud", "view", None, "default"),
)
SLUGS = {1: "acme", 2: "globex", 3: "initech"}


def sample_policy(*more: RelationRule) -> Policy:
    """The rules of the sample set; `more` come on top."""
    rules = [RelationRule("public", *one) for one in RULES] + list(more)
    return Policy("shared", "row", "tenant_id", {(one.schema, one.name): one for one in rules})


@functools.cache
def sample_catalog(port: int) -> Catalog:
    """The catalog of the database `shared` on this server."""

    async def read() -> Catalog:
        connection = await connect(Server("127.0.0.1", port, "shared", "app"), Credentials(None, "disable"))
        try:
            return await introspect(connection, 1)
        finally:
            await connection.close()

    return asyncio.run(read())


def keys_of(tenant: int) -> dict[str, str]:
    """The key values of one tenant."""
    own = {"default": str(tenant), "slug": SLUGS[tenant], "uid": f"00000000-0000-4000-8000-00000000000{tenant}"}
    return {
        **own,
        **derived_keys(SLUGS[tenant], "shared", ()),
        PROCESS: f"10{tenant}",
        LISTENING: "{}",
        APPLICATION: "a/b/",
    }


def one_statement(world: World, sql: str) -> Statement:
    """The only statement of a text."""
    (statement,) = parse(sql.encode(), size_limit=1 << 20, server_major=world.catalog.major)
    return statement


def analysed(world: World, sql: str, parameter_types: tuple[int, ...] = ()) -> Analysis:
    """A statement with its names resolved."""
    return resolve(one_statement(world, sql).tree, world, parameter_types)


def confined(world: World, sql: str, parameter_types: tuple[int, ...] = ()) -> tuple[Rewritten, str]:
    """What becomes of a statement, and its text for tenant 1."""
    done = rewrite(one_statement(world, sql).tree, world, parameter_types)
    return done, fill(render(done.tree).template, keys_of(1), ()).decode()


def text_of(world: World, sql: str, parameter_types: tuple[int, ...] = ()) -> str:
    """The text for tenant 1, with `a.c = KEY` for its predicates."""
    return confined(world, sql, parameter_types)[1].replace(" OPERATOR(pg_catalog.=) '1'::int", " = KEY")
