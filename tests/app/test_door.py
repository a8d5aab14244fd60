"""The doors of a process: the socket is its owner's alone, and HTTP asks for the token."""

from __future__ import annotations

import json
import socket
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from proxy.fleet.control import MAX_REQUEST, Statistics
from tests.kit.books import eventually
from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.sample import load_sample

TOKEN = "a token of sixteen and more"


@pytest.fixture(scope="module")
def proxy(postgres15: Cluster) -> Iterator[Proxy]:
    with running_proxy(load_sample(postgres15).port, ADMIN_TOKEN=TOKEN) as proxy:
        yield proxy


def post(proxy: Proxy, body: bytes, token: str | None = TOKEN, method: str = "POST") -> tuple[int, str]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(
        f"http://127.0.0.1:{proxy.admin_port}/control", body, headers=headers, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_socket_and_its_folder_are_the_owners_alone(proxy: Proxy) -> None:
    folder = proxy.directory / "state"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "control.sock").stat().st_mode) == 0o600


def test_who_shows_the_token_is_answered(proxy: Proxy) -> None:
    status, body = post(proxy, b'{"request": "statistics"}')
    assert status == 200
    assert json.loads(body)["result"]["processes"][0]["pid"] == proxy.process.pid
    status, body = post(proxy, b'{"request": "resume", "tenant": "acme"}')
    assert (status, json.loads(body)["problems"]) == (409, ["tenant acme is not paused"])


@pytest.mark.parametrize("token", [None, "", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), f"Bearer {TOKEN}"])
def test_who_does_not_is_told_nothing_whatever_it_asks(proxy: Proxy, token: str | None) -> None:
    for body in (b'{"request": "drain"}', b"nonsense", b""):
        assert post(proxy, body, token) == (401, "the admin token is needed\n")
    assert proxy.process.poll() is None


def test_two_tokens_are_none(proxy: Proxy) -> None:
    with socket.create_connection(("127.0.0.1", proxy.admin_port), 20) as raw:
        shown = f"Authorization: Bearer {TOKEN}\r\n".encode()
        raw.sendall(b"POST /control HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + shown + shown + b"\r\n")
        assert raw.recv(4096).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("request_name", ["ping", "metrics", "proofs", "stored", "nonsense"])
def test_what_workers_ask_each_other_is_no_request_over_http(proxy: Proxy, request_name: str) -> None:
    more = ', "weighed": []' if request_name == "proofs" else ""
    status, body = post(proxy, f'{{"request": "{request_name}"{more}}}'.encode())
    assert (status, json.loads(body)["problems"]) == (400, ["there is no such request"])


def test_a_request_that_is_too_long_is_refused_before_it_is_read(proxy: Proxy) -> None:
    status, body = post(proxy, b'{"request": "statistics"' + b" " * MAX_REQUEST + b"}")
    assert (status, json.loads(body)["problems"]) == (400, ["the request is too long"])


def test_it_takes_posts_only(proxy: Proxy) -> None:
    assert post(proxy, b"", method="GET")[0] == 405


def test_a_pause_ends_with_the_connection_that_asked_for_it(proxy: Proxy) -> None:
    with proxy.connect("acme_app") as busy:
        busy.simple("BEGIN")
        busy.simple("SELECT count(*) FROM orders")
        body = b'{"request": "pause", "tenant": "acme", "timeout": 600}'
        with socket.create_connection(("127.0.0.1", proxy.admin_port), 20) as raw:
            head = f"POST /control HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
            raw.sendall(head.encode() + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode() + body)
            assert eventually(lambda: paused(proxy), 20)
        assert eventually(lambda: not paused(proxy), 20)


def paused(proxy: Proxy) -> list[object]:
    found: list[object] = proxy.ask(Statistics()).result["processes"][0]["paused"]
    return found
