"""An audit line says who, what and why, and never a literal."""

from __future__ import annotations

import hashlib
import io
import json

from proxy.observe.audit import AuditLog, audit_fields
from proxy.observe.log import configure, get_logger
from proxy.sql.plan import Decision, Effects, StatementKind

WHO = {"tenant": "acme", "login": "acme_app", "database": "shop", "peer": "127.0.0.1", "application_name": "x"}


def decided(shape: str) -> Decision:
    return Decision("reject", StatementKind.SELECT, ("permit",), shape, "42501", Effects(), 3)


def test_a_statement_stands_there_as_its_shape() -> None:
    fields = audit_fields(decided("SELECT * FROM t WHERE a = ?"), b"SELECT * FROM t WHERE a = 4711", WHO)
    assert fields["shape"] == "SELECT * FROM t WHERE a = ?"
    assert "4711" not in repr(fields)
    assert (fields["tenant"], fields["sqlstate"], fields["rules"], fields["generation"]) == (
        "acme",
        "42501",
        ["permit"],
        3,
    )


def test_what_has_no_shape_stands_there_as_length_and_hash() -> None:
    text = b"SELEC 'secret'"
    fields = audit_fields(decided(""), text, WHO)
    assert (fields["length"], fields["sha256"]) == (len(text), hashlib.sha256(text).hexdigest())
    assert "shape" not in fields
    assert "secret" not in repr(fields)


def test_a_log_in_that_is_refused_is_a_line_of_the_trail() -> None:
    out = io.StringIO()
    configure("json", "info", out)
    AuditLog(get_logger("audit")).write_login(outcome="failed", login="mallory")
    line = json.loads(out.getvalue())
    assert (line["event"], line["part"], line["login"]) == ("log-in refused", "audit", "mallory")


def test_a_refusal_is_one_line_whatever_the_client_calls_itself() -> None:
    out = io.StringIO()
    configure("json", "info", out)
    AuditLog(get_logger("audit")).write(
        decided("SELECT ?"), b"SELECT 1", **WHO | {"application_name": 'a\n{"tenant": "globex"}'}
    )
    (line,) = out.getvalue().splitlines()
    assert json.loads(line)["tenant"] == "acme"
