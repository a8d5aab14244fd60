"""A proxy of several workers, and clients that are spread over them."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from proxy.fleet.control import Statistics
from proxy.server.cancel import place_of
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient
from tests.kit.sample import load_sample

SECONDS = 90.0  # for a worker to start on a busy machine


def ready(proxy: Proxy) -> bool:
    """Do all workers serve?"""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/readyz", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.HTTPError, OSError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        return False


def wait_ready(proxy: Proxy) -> None:
    """Until they do."""
    assert eventually(lambda: ready(proxy), SECONDS), proxy.log


@contextmanager
def running_workers(cluster: Cluster, count: int, rules: str | None = None, **settings: str) -> Iterator[Proxy]:
    """Serves the sample rules, or these, by so many workers."""
    with running_proxy(load_sample(cluster).port, rules=rules, WORKERS=str(count), **settings) as proxy:
        wait_ready(proxy)
        yield proxy


def pid_of(client: RawClient) -> int:
    """What the client knows as its server's process."""
    return int(client.simple("SELECT pg_backend_pid()").rows[0][0] or b"")


def worker_of(client: RawClient) -> int:
    """The worker that serves it."""
    return place_of(pid_of(client))[1]


@contextmanager
def spread(proxy: Proxy, count: int, login: str = "acme_app") -> Iterator[dict[int, RawClient]]:
    """A client at each of so many workers. Connects until every worker has one."""
    with ExitStack() as stack:
        found: dict[int, RawClient] = {}
        for _ in range(400):
            client = stack.enter_context(proxy.connect(login))
            if client.greeting.errors:  # on a machine that is too busy a permit may not come within its second
                client.close()
                continue
            number = worker_of(client)
            if number in found:
                client.close()
            found.setdefault(number, client)
            if len(found) == count:
                break
        assert len(found) == count, f"all clients came to {sorted(found)}"
        yield found


def clients(proxy: Proxy) -> list[int]:
    """How many each worker has."""
    return [one["clients"] for one in proxy.ask(Statistics()).result["processes"]]
