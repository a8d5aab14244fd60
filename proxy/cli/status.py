"""`partywall status`: what a running proxy says of itself and of the tenants that use it."""

from __future__ import annotations

from typing import Any

import typer

from proxy.cli.asking import AsJson, At, Config, StateDirectory, Tenant, asked

HEADER = ("tenant", "clients", "waiting", "paused", "server", "idle", "statements")


def status(
    tenant: Tenant = None,
    state_directory: StateDirectory = None,
    at: At = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show the processes, their tenants and what is paused."""
    from proxy.fleet.control import Statistics

    result = asked(Statistics(tenant), state_directory, at, config, as_json)
    if result is not None:
        typer.echo("\n".join(described(result["processes"])))


def described(processes: list[dict[str, Any]]) -> list[str]:
    """As people read it, line by line. Tenants are added up over the processes."""
    lines = []
    paused: dict[str, None] = {}
    servers: dict[str, int] = {}
    tenants: dict[str, list[int]] = {}
    for one in processes:
        lines.append(
            f"worker {one['worker']}: pid {one['pid']}, {one['state']}, generation {one['generation']},"
            f" {one['clients']} clients, {one['server_connections']} of {one['server_connections_limit']}"
            f" server connections{', the last reload was refused' if one['reload_failed'] else ''}"
        )
        for server in one["servers"]:
            servers[server["name"]] = servers.get(server["name"], 0) + server["connections"]
        paused |= dict.fromkeys(_hold(hold) for hold in one["paused"])
        paused |= dict.fromkeys(f"drained: tenant {name}" for name in one["drained"])
        for tenant in one["tenants"]:
            lists = tenant["server_connections"]
            own = sum(lists.values()) - lists["waiting"]
            counts = [tenant["clients"], lists["waiting"], tenant["held"], own, lists["idle"], tenant["statements"]]
            before = tenants.get(tenant["tenant"], [0] * len(counts))
            tenants[tenant["tenant"]] = [a + b for a, b in zip(before, counts, strict=True)]
    lines += [f"server {name}: {count} server connections" for name, count in sorted(servers.items())]
    lines += paused
    rows = [HEADER, *((name, *map(str, row)) for name, row in sorted(tenants.items()))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return lines


def _hold(hold: dict[str, Any]) -> str:
    names = [f"{kind} {hold[kind]}" for kind in ("tenant", "database") if hold[kind] is not None]
    left = "" if hold["for"] is None else f", for {hold['for']:.0f} s"
    return f"paused: {' in '.join(names) or 'everything'}{left}"
