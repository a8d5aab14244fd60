"""The control door of another host: the same requests, posted to /control of its admin address with the admin token.

No proxy of the environment is asked and no redirection followed: the token goes where it was told to, and nowhere
else. Over plain http, where it can be read on the way, it goes to this machine only; https needs a certificate that the
system believes, or what SSL_CERT_FILE names.
"""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from ipaddress import ip_address
from urllib.parse import urlsplit

from proxy.fleet.channel import MAX_ANSWER, Unanswered
from proxy.fleet.control import Answer, BadRequest, Request, decode_answer, encode, patience

PATH = "/control"


def is_here(host: str) -> bool:
    """Is it certainly this machine's own?"""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def post(url: str, token: str, request: Request, timeout: float | None = None) -> Answer:
    """Asks the process whose admin address is `url`; blocks. Unanswered when it cannot be reached, or says no."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        raise Unanswered(f"{url} is no http or https address")
    if parts.scheme == "http" and not is_here(parts.hostname):
        raise Unanswered(f"{url}: the admin token is not sent unencrypted to another machine; use https")
    limit = patience(request) if timeout is None else timeout
    if parts.scheme == "https":
        connection: HTTPConnection = HTTPSConnection(parts.hostname, parts.port, timeout=limit)
    else:
        connection = HTTPConnection(parts.hostname, parts.port, timeout=limit)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", parts.path.rstrip("/") + PATH, encode(request), headers)
        response = connection.getresponse()
        body = response.read(MAX_ANSWER)
        if response.status not in {200, 400, 409}:
            raise Unanswered(f"{url} says {response.status}: {body[:200].decode(errors='replace').strip()}")
        return decode_answer(body)
    except BadRequest as problem:
        raise Unanswered(f"{url}: {problem}") from None
    except HTTPException as problem:
        raise Unanswered(f"{url}: {problem!r}") from None
    finally:
        connection.close()
