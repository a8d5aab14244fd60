"""The md5 answer, against a value computed by PostgreSQL's own rule."""

from __future__ import annotations

import hashlib

from proxy.auth.md5 import md5_response


def test_the_answer_is_the_md5_of_the_stored_md5_and_the_salt() -> None:
    stored = hashlib.md5(b"secret" + b"app").hexdigest()
    expected = "md5" + hashlib.md5(stored.encode() + b"\1\2\3\4").hexdigest()
    assert md5_response(b"app", b"secret", b"\1\2\3\4") == expected.encode()


def test_another_salt_is_another_answer() -> None:
    assert md5_response(b"app", b"secret", b"aaaa") != md5_response(b"app", b"secret", b"aaab")
