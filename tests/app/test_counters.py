"""With whom a process shares its limits follows from the settings; their secret is told to nobody."""

from __future__ import annotations

import json
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from proxy.app.counters import SETTLE, rationing_of, terms_of
from proxy.errors import ConfigurationError
from proxy.fleet.stores.local import LocalStore
from proxy.fleet.stores.redis import RedisStore
from proxy.settings import Settings, SettingsRefused, load_settings
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.redisserver import running_redis
from tests.kit.sample import load_sample

SECRET = "redis://partywall:the-secret@127.0.0.1:1/0"


def settings(**given: object) -> Settings:
    return load_settings(None, given)


def test_one_process_alone_shares_with_nobody() -> None:
    assert rationing_of(settings(), None) is None


def test_workers_of_one_host_share_over_its_socket_and_lose_no_time_at_the_start() -> None:
    found = rationing_of(settings(), Path("/nowhere/counters.sock"))
    assert found is not None
    assert isinstance(found._store, LocalStore)
    assert (terms_of(settings()).settle, terms_of(settings()).empty) == (0.0, 0.0)


def test_a_url_goes_before_the_socket_and_its_store_settles_first() -> None:
    given = settings(counter_store=SECRET, permit_ttl=9.0)
    found = rationing_of(given, Path("/nowhere/counters.sock"))
    assert found is not None
    assert isinstance(found._store, RedisStore)
    terms = terms_of(given)
    assert (terms.permit_ttl, terms.settle, terms.empty) == (9.0, SETTLE, 9.0)


def test_two_processes_never_have_the_same_name() -> None:
    names = [rationing_of(settings(counter_store=SECRET), None) for _ in range(2)]
    assert len({one.rationing.member for one in names if one is not None}) == 2


@pytest.mark.parametrize("url", ["http://the-secret@127.0.0.1", "the-secret"])
def test_what_is_no_url_of_such_a_store_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        settings(counter_store=url)
    assert "counter_store must be a redis:// or rediss:// URL" in str(caught.value)
    assert "the-secret" not in str(caught.value)


def test_a_url_that_the_client_cannot_read_is_refused_without_repeating_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        rationing_of(settings(counter_store="redis://user:the-sec/ret@127.0.0.1:x"), None)
    assert "sec" not in str(caught.value.problems)


def test_settings_do_not_print_the_secret() -> None:
    assert "the-secret" not in repr(settings(counter_store=SECRET))


def shared(url: str) -> dict[str, str]:
    """A process that shares its limits there, and is given some of an empty store soon."""
    return {"COUNTER_STORE": url, "PERMIT_TTL": "5"}


def test_a_proxy_is_not_ready_before_its_store_answers_and_is_when_it_does(postgres15: Cluster) -> None:
    with running_redis() as redis, running_proxy(load_sample(postgres15).port, **shared(redis.url)) as proxy:
        assert "partywall_counter_store_up 1.0" in proxy.metrics()
        with proxy.connect("acme_app") as client:
            assert client.simple("SELECT 1").rows == [(b"1",)]
        redis.kill()
        assert eventually(lambda: "partywall_counter_store_up 0.0" in proxy.metrics(), 20)
        assert "partywall_counter_store_fenced 0.0" in proxy.metrics()
        with proxy.connect("acme_app") as client:
            assert client.simple("SELECT 1").rows == [(b"1",)]
        redis.start()
        assert eventually(lambda: "partywall_counter_store_up 1.0" in proxy.metrics(), 20)
        lines = [json.loads(line) for line in proxy.log.splitlines()]
        events = [line["event"] for line in lines if line.get("part") == "counters"]
        assert events == ["counter store away", "counter store back"]


def ready(proxy: Proxy) -> int:
    """What /readyz says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{proxy.admin_port}/readyz", timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_process_whose_store_hangs_gives_up_what_it_holds_and_comes_back(postgres15: Cluster) -> None:
    port = load_sample(postgres15).port
    with running_redis() as redis, running_proxy(port, COUNTER_STORE=redis.url, PERMIT_TTL="3") as proxy:
        assert redis.process is not None
        with proxy.connect("acme_app") as client:
            assert client.simple("SELECT 1").rows == [(b"1",)]
            redis.process.send_signal(signal.SIGSTOP)
            said = client.receive()
            assert said is not None
            assert b"57P01" in said.body
        assert ready(proxy) == 503
        with proxy.connect("acme_app") as client:
            assert [one["C"] for one in client.greeting.errors] == ["53300"]
        redis.process.send_signal(signal.SIGCONT)
        assert eventually(lambda: ready(proxy) == 200, 60)
        with proxy.connect("acme_app") as client:
            assert client.simple("SELECT 1").rows == [(b"1",)]
