"""`partywall drain`: a tenant's sessions end, or the process does, and the command says whether it was whole."""

from __future__ import annotations

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample


def test_a_tenant_is_drained_and_comes_again_when_it_is_resumed(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as idle:
        done = proxy.command("drain", "--tenant", "acme")
        assert (done.returncode, done.stdout) == (0, "drained\n")
        said = idle.receive()
        assert said is not None
        assert b"57P01" in said.body
    with proxy.connect("acme_app") as refused:
        assert [one["C"] for one in refused.greeting.errors] == ["57P03"]
    assert proxy.command("resume", "--tenant", "acme").returncode == 0
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def test_the_process_ends_and_the_command_tells_that_it_was_whole(postgres15: Cluster) -> None:
    with running_proxy(load_sample(postgres15).port) as proxy:
        done = proxy.command("drain")
        assert (done.returncode, done.stdout) == (0, "drained\n")
        assert proxy.process.wait(20) == 0
