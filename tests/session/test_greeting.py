"""What a client that was let in is told."""

from __future__ import annotations

from typing import Any

from proxy.session.actions import LearnParameters
from proxy.session.conversation import Phase
from proxy.session.greeting import with_ceilings
from proxy.session.session import ClientSession
from proxy.tenancy.policy import Credentials, Grant, Limits, Policy, Server
from tests.session.conftest import Door, kinds, log_in


def test_a_right_password_is_greeted_with_what_the_server_is_like(fresh: ClientSession, door: Door) -> None:
    log_in(fresh, door)
    greeting = door.take()
    assert kinds(greeting).replace("S", "") == "RRKZ"
    assert b"TimeZone\0UTC\0" in greeting
    assert b"K\0\0\0\x0c\0\0\0\x2akey!" in greeting  # the proxy's own key, never the server's
    assert fresh.phase is Phase.READY
    assert fresh.lease is None


def test_the_first_session_learns_of_a_server_what_later_ones_are_told(fresh: ClientSession, door: Door) -> None:
    door.reported = None
    log_in(fresh, door)
    (learnt,) = door.asked(LearnParameters)
    assert learnt.parameters["TimeZone"] == "UTC"
    assert [(destroyed, cancelled) for _, destroyed, cancelled in door.released] == [(False, False)]


def test_a_tenants_timeout_is_the_default_and_the_ceiling(door: Door) -> None:
    for asked, kept in (({}, "1000"), ({"statement_timeout": "5s"}, "1000"), ({"statement_timeout": "10ms"}, "'10ms'")):
        session = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: 0.0)
        session.limits = Limits(statement_timeout=1.0)
        session.startup = {}
        settings: dict[str, Any] = {name: f"'{value}'" for name, value in asked.items()}
        assert with_ceilings(session, settings)["statement_timeout"] == kept


def test_transactions_of_a_login_that_only_reads_are_read_only_where_there_are_functions(door: Door) -> None:
    for schema, read_only, kept in (("acme", True, "'on'"), ("acme", False, "'off'"), ("", True, "'off'")):
        session = ClientSession(door, process_id=1, secret_key=b"1234", clock=lambda: 0.0)
        policy = Policy("db", "schema", "", {}, read_only=read_only, schema=schema)
        session.grant = Grant(
            "acme", "db", Server("localhost", 1, "db", "role"), Credentials(None, "disable"), policy, {}, Limits()
        )
        asked = {"default_transaction_read_only": "'off'"}
        assert with_ceilings(session, asked)["default_transaction_read_only"] == kept
