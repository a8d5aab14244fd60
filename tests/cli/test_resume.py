"""`partywall resume`: what was paused goes on."""

from __future__ import annotations

from tests.kit.proxy import Proxy


def test_it_ends_one_pause_or_all_of_them(proxy: Proxy) -> None:
    for one in ("--tenant", "acme"), ("--tenant", "globex"), ("--database", "shared"):
        assert proxy.command("pause", *one).returncode == 0
    done = proxy.command("resume", "--tenant", "acme")
    assert (done.returncode, done.stdout) == (0, "resumed: tenant acme\n")
    done = proxy.command("resume", "--tenant", "acme")
    assert (done.returncode, done.stderr) == (1, "tenant acme is not paused\n")
    assert proxy.command("resume").stdout == "resumed: tenant globex, database shared\n"
    assert proxy.command("resume").stdout == "resumed: nothing was paused\n"
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
