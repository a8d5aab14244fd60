"""`partywall status`: processes, tenants added up, and what is paused."""

from __future__ import annotations

import json
import re
from typing import Any

from proxy.cli.status import described
from tests.kit.proxy import Proxy


def test_it_shows_the_process_its_tenants_and_what_is_paused(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        client.simple("SELECT count(*) FROM orders")
        proxy.command("pause", "--database", "shared", "--for", "600")
        done = proxy.command("status")
    assert done.returncode == 0, done.stderr
    first, server, second, header, *rows = done.stdout.splitlines()
    assert re.fullmatch(r"server 127\.0\.0\.1:\d+: \d+ server connections", server)
    assert first.startswith(f"worker 0: pid {proxy.process.pid}, serving, generation ")
    assert second.startswith("paused: database shared, for ")
    assert header.split() == ["tenant", "clients", "waiting", "paused", "server", "idle", "statements"]
    acme = next(row.split() for row in rows if row.startswith("acme "))
    assert acme[1] == "1"
    assert int(acme[6]) >= 1


def test_for_programs_it_is_json_and_of_one_tenant_where_asked(proxy: Proxy) -> None:
    with proxy.connect("globex_app"), proxy.connect("acme_app"):
        done = proxy.command("status", "--tenant", "globex", "--json")
    (process,) = json.loads(done.stdout)["result"]["processes"]
    assert [one["tenant"] for one in process["tenants"]] == ["globex"]
    assert process["pid"] == proxy.process.pid


def test_an_unknown_tenant_is_status_one_with_the_reason(proxy: Proxy) -> None:
    done = proxy.command("status", "--tenant", "nobody")
    assert (done.returncode, done.stderr.strip()) == (1, "there is no tenant nobody")


def process(worker: int, clients: int) -> dict[str, Any]:
    lists = dict.fromkeys(("idle", "leased", "opening", "cleaning", "cancelling", "closing", "waiting"), 1)
    acme = {
        "tenant": "acme",
        "clients": clients,
        "sessions": 9,
        "statements": 5,
        "held": 2,
        "server_connections": lists,
    }
    return {
        "worker": worker, "pid": 7 + worker, "version": "1", "state": "serving", "generation": 3,
        "reload_failed": worker == 1, "clients": clients, "server_connections": 6, "server_connections_limit": 10,
        "paused": [{"tenant": "acme", "database": None, "for": None}], "drained": ["globex"], "tenants": [acme],
        "servers": [{"name": "db:5432", "connections": 3, "ceiling": None}],
    }  # fmt: skip


def test_tenants_are_added_up_over_the_workers_and_a_pause_is_told_once() -> None:
    lines = described([process(0, 1), process(1, 4)])
    assert lines[1] == (
        "worker 1: pid 8, serving, generation 3, 4 clients, 6 of 10 server connections, the last reload was refused"
    )
    assert lines[2:5] == ["server db:5432: 6 server connections", "paused: tenant acme", "drained: tenant globex"]
    assert lines[6].split() == ["acme", "5", "2", "4", "12", "2", "10"]
