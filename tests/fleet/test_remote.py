"""Another host's door over HTTP: the token goes nowhere else, and whatever is no answer is told as such."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from proxy.fleet.channel import Unanswered
from proxy.fleet.control import Answer, Ping, encode, encode_answer
from proxy.fleet.remote import post


@contextmanager
def host(status: int, body: bytes, seen: list[tuple[str, str | None, bytes]], location: str = "") -> Iterator[str]:
    """A host that answers this to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            seen.append((self.path, self.headers["Authorization"], self.rfile.read(length)))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_request_is_posted_with_the_token_and_the_answer_read() -> None:
    seen: list[tuple[str, str | None, bytes]] = []
    for status in (200, 409):
        with host(status, encode_answer(Answer(1, ("no",))), seen) as url:
            assert post(url, "secret", Ping()) == Answer(1, ("no",))
    assert seen == [("/control", "Bearer secret", encode(Ping()))] * 2


def test_no_redirection_is_followed_and_no_proxy_of_the_environment_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere: list[tuple[str, str | None, bytes]] = []
    with host(200, encode_answer(Answer()), elsewhere) as other:
        monkeypatch.setenv("http_proxy", other)
        with host(307, b"", [], other + "/control") as url, pytest.raises(Unanswered, match="says 307"):
            post(url, "secret", Ping())
    assert elsewhere == []


@pytest.mark.parametrize(
    ("asks", "why"),
    [
        (lambda: _answered(401, b"the admin token is needed"), "says 401: the admin token is needed"),
        (lambda: _answered(200, b"<html>"), "the answer is not JSON"),
        (lambda: post("ftp://a", "secret", Ping()), "is no http or https address"),
        (lambda: post("a:6433", "secret", Ping()), "is no http or https address"),
        (lambda: post("http://192.0.2.7:6433", "secret", Ping()), "use https"),
        (lambda: post("http://localhost.example.com", "secret", Ping()), "use https"),
    ],
)
def test_whatever_is_no_answer_is_told_as_such(asks: Callable[[], Answer], why: str) -> None:
    with pytest.raises(Unanswered, match=why):
        asks()


def _answered(status: int, body: bytes) -> Answer:
    with host(status, body, []) as url:
        return post(url, "secret", Ping())


def test_a_token_that_is_no_header_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(ValueError, match="Invalid header value"):
        post("http://127.0.0.1:1", "a\r\nb", Ping())
