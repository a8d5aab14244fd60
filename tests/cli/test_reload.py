"""`partywall reload`: the mistakes come back to the one who asked."""

from __future__ import annotations

from tests.kit.proxy import Proxy


def test_it_tells_the_generation_or_every_mistake(proxy: Proxy) -> None:
    done = proxy.command("reload")
    assert done.returncode == 0
    assert done.stdout.startswith("generation ")
    bad = proxy.directory / "rules" / "bad.yaml"
    bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n", encoding="utf-8")
    try:
        refused = proxy.command("reload")
        assert refused.returncode == 1
        assert "bad.yaml:3" in refused.stderr
    finally:
        bad.unlink()
    assert proxy.command("reload").returncode == 0
