"""The md5 answer that old servers ask for. Towards servers only: no client of the proxy may log in with it.

Source: PostgreSQL documentation, "Password Authentication" and AuthenticationMD5Password. Weak by today's measure; it
is here because the server chooses.
"""

from __future__ import annotations

from hashlib import md5


def md5_response(user: bytes, password: bytes, salt: bytes) -> bytes:
    """What PasswordMessage must hold: `md5` and 32 hexadecimal digits. salt: the four bytes of the request."""
    inner = md5(password + user, usedforsecurity=False).hexdigest().encode()
    return b"md5" + md5(inner + salt, usedforsecurity=False).hexdigest().encode()
