"""A reload takes the rules whole or not at all."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from proxy.fleet.control import Answer, Pause, Prepare, Reload, Resume, Statistics
from proxy.tenancy.documents import edited
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample, pristine


@pytest.fixture
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port) as proxy:
        yield proxy


def metric(proxy: Proxy, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", proxy.metrics(), re.MULTILINE)
    assert found is not None
    return float(found.group(1))


def test_bad_rules_are_refused_whole_and_the_old_ones_stay(proxy: Proxy) -> None:
    generation = metric(proxy, "partywall_rules_generation")
    bad = proxy.directory / "rules" / "bad.yaml"
    bad.write_text("tenant: mallory\nkey: 1\ncolour: red\n")
    proxy.reload()
    assert eventually(lambda: "rules refused" in proxy.log, 20)
    assert metric(proxy, "partywall_rules_generation") == generation
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    bad.unlink()
    proxy.reload()
    assert eventually(lambda: metric(proxy, "partywall_rules_generation") == generation + 1, 20)


def test_an_open_session_keeps_nothing_that_new_rules_took_away(proxy: Proxy) -> None:
    sample = proxy.directory / "rules" / "sample.yaml"
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM products").errors == []
        sample.write_text(
            sample.read_text().replace("products:        {shared: read}", "products:        {hidden: true}")
        )
        generation = metric(proxy, "partywall_rules_generation")
        proxy.reload()
        assert eventually(lambda: metric(proxy, "partywall_rules_generation") > generation, 20)
        (error,) = client.simple("SELECT count(*) FROM products").errors
        assert error["C"] == "42P01"
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]


def test_of_a_tenant_that_the_rules_name_no_more_no_figure_is_left(proxy: Proxy) -> None:
    sample = proxy.directory / "rules" / "sample.yaml"
    with proxy.connect("globex_app") as client:
        assert client.simple("SELECT count(*) FROM orders").errors == []
        assert 'partywall_client_connections{tenant="globex"} 1.0' in proxy.metrics()
        documents = sample.read_text().split("\n---\n")
        sample.write_text("\n---\n".join(one for one in documents if "tenant: globex" not in one))
        proxy.reload_whole()
        assert eventually(lambda: 'tenant="globex"' not in proxy.metrics(), 20)
    with proxy.connect("acme_app") as client:
        assert client.simple("SELECT count(*) FROM orders").rows == [(b"21",)]
    sample.write_text("\n---\n".join(documents))
    proxy.reload_whole()
    with proxy.connect("globex_app") as client:
        assert client.simple("SELECT count(*) FROM orders").errors == []
    assert 'partywall_sessions_total{tenant="globex"} 1.0' in proxy.metrics()


def test_who_is_held_while_its_tenant_moves_goes_where_the_new_rules_say(proxy: Proxy, postgres15: Cluster) -> None:
    """By every way in which a statement comes: none is sent to the old place, and none fails."""
    with pristine(postgres15) as there:
        postgres15.psql(there, "UPDATE customers SET name = 'moved' WHERE tenant_id = 2")
        sample = proxy.directory / "rules" / "sample.yaml"
        uri = f"postgresql://app@127.0.0.1:{postgres15.port}/{there}?sslmode=disable"
        draft = sample.with_name(".sample.yaml.draft")
        draft.write_text(edited(sample.read_text("utf-8"), "globex", {"server": uri}), "utf-8")
        assert proxy.ask(Prepare("sample.yaml", ".nothing")).problems != ()
        assert "reads other rule files" in proxy.ask(Prepare("sample.yaml", ".no\0thing")).problems[0]
        assert "reads other rule files" in proxy.ask(Prepare("sam\0ple.yaml", draft.name)).problems[0]
        assert proxy.ask(Prepare("sample.yaml", "../proxy.log")).problems != ()
        assert proxy.ask(Prepare("sample.yaml", draft.name)).problems == ()
        before = proxy.ask(Statistics("globex")).result["processes"][0]["homes"]
        assert before == {"shared": {"at": f"127.0.0.1:{postgres15.port}/shared", "open": True}}
        text = "SELECT name FROM customers WHERE id = 1"
        parsed = ("SELECT name FROM customers WHERE id = %s", (1,))
        found: dict[str, object] = {}
        with ExitStack() as stack:
            clients = [stack.enter_context(psycopg.connect(proxy.dsn("globex_app"), autocommit=True)) for _ in range(4)]
            plain = stack.enter_context(proxy.connect("globex_app"))
            clients[1].execute(*parsed, prepare=True)
            assert proxy.ask(Pause("globex", "shared")).problems == ()

            def greeted() -> None:
                with proxy.connect("globex_app", options="-c work_mem=5MB") as fresh:  # asks the server what it is like
                    found["greeted"] = fresh.simple(text).rows

            works = {
                "plain": lambda: found.update(plain=plain.simple(text).rows),
                "extended": lambda: found.update(extended=clients[0].execute(*parsed, prepare=False).fetchall()),
                "prepared": lambda: found.update(prepared=clients[1].execute(*parsed, prepare=True).fetchall()),
                "several": lambda: found.update(several=clients[2].execute(f"SELECT 1; {text}").nextset()),
                "new": lambda: found.update(new=clients[3].execute(f"{text} AND true").fetchall()),
                "greeted": greeted,
            }
            threads = [threading.Thread(target=one) for one in works.values()]
            for one in threads:
                one.start()

            def held() -> int:
                count: int = proxy.ask(Statistics("globex")).result["processes"][0]["tenants"][0]["held"]
                return count

            assert eventually(lambda: held() == len(works), 20)
            draft.replace(sample)
            assert proxy.ask(Reload(draft.name)) == Answer({"generation": 2})
            assert proxy.ask(Resume("globex", "shared")).problems == ()
            for one in threads:
                one.join(20)
            rows = {name: found.pop(name, None) for name in ("plain", "greeted")}
            assert rows == {"plain": [(b"moved",)], "greeted": [(b"moved",)]}
            assert found == {"extended": [("moved",)], "prepared": [("moved",)], "several": True, "new": [("moved",)]}
            assert clients[2].execute(text).fetchall() == [("moved",)]
        home = proxy.ask(Statistics("globex")).result["processes"][0]["homes"]
        assert home == {"shared": {"at": f"127.0.0.1:{postgres15.port}/{there}", "open": True}}
        assert proxy.ask(Reload(draft.name)) == Answer({"generation": 3})  # there is no such draft any more: as usual
        draft.write_text(sample.read_text("utf-8"), "utf-8")
        assert proxy.ask(Prepare("sample.yaml", draft.name)).problems == ()
        sample.write_bytes(b"\xff")
        assert "cannot be read" in proxy.ask(Reload(draft.name)).problems[0]  # what is there now is judged as usual
