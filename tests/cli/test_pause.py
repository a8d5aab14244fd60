"""`partywall pause`: status 0 when nothing runs any more, 1 with those who keep it."""

from __future__ import annotations

from tests.kit.proxy import Proxy


def test_it_says_what_is_paused_and_for_how_long(proxy: Proxy) -> None:
    done = proxy.command("pause", "--tenant", "acme", "--for", "60")
    assert (done.returncode, done.stdout) == (0, "paused: tenant acme, for 60 s\n")
    done = proxy.command("pause", "--tenant", "acme")
    assert (done.returncode, done.stderr) == (1, "tenant acme is paused already\n")


def test_it_names_who_keeps_it_from_being_whole(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as busy:
        busy.simple("BEGIN")
        busy.simple("SELECT count(*) FROM orders")
        done = proxy.command("pause", "--timeout", "0.1")
        assert done.returncode == 1
        assert "everything could not be paused in 0.1 seconds" in done.stderr
        assert "acme/acme_app/shared" in done.stderr
        assert "idle in transaction" in done.stderr


def test_a_time_that_is_none_is_refused(proxy: Proxy) -> None:
    assert proxy.command("pause", "--timeout", "soon").returncode == 2
    assert proxy.command("pause", "--for", "-1").returncode == 1
