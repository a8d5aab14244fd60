"""`partywall kill`: the sessions that fit end with 57P01."""

from __future__ import annotations

from tests.kit.proxy import Proxy


def test_it_ends_the_session_of_a_process_id_and_says_whose_it_was(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client, proxy.connect("acme_app") as other:
        pid = (client.simple("SELECT pg_backend_pid()").rows[0][0] or b"").decode()
        done = proxy.command("kill", "--process-id", pid)
        assert done.returncode == 0
        first, second = done.stdout.splitlines()
        assert first == "killed: 1 sessions"
        assert second.split()[:2] == [pid, "acme/acme_app/shared"]
        said = client.receive()
        assert said is not None
        assert b"57P01" in said.body
        assert other.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def test_without_a_name_nobody_is_killed_and_it_is_wrong_usage(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as client:
        assert proxy.command("kill").returncode == 2
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
