"""What a session has set is asked for anew in another mode, and is not believed."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from proxy.server.carrying import MOST, carry
from proxy.server.services import Planning
from proxy.session.parameters import Settings
from proxy.session.ports import Port
from proxy.session.session import ClientSession
from proxy.sql.plan import PlanContext
from proxy.sql.planner import Planner
from proxy.tenancy.policy import Policy
from proxy.tenancy.rulebook import classified
from tests.kit.builders import CATALOG, POLICY
from tests.session.conftest import Door

ROW = classified(POLICY)
OWN = classified(replace(POLICY, isolation="database", tenant_column=""))
SCHEMA = classified(replace(POLICY, isolation="schema", tenant_column="", schema="acme"))
PLANNING = cast(Planning, Planner(CATALOG, 1 << 20))
READER = classified(replace(SCHEMA, read_only=True))


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def session(door: Door) -> ClientSession:
    return ClientSession(cast(Port, door), process_id=1, secret_key=b"1234", clock=lambda: 0.0)


def carried(session: ClientSession, policy: Policy, own: dict[str, str], label: str = "acme/alice/") -> object:
    """What becomes of these settings of a session in a database of its own."""
    session.settings = Settings({})
    session.settings.current = own
    context = PlanContext(policy, CATALOG.version, policy.path)
    return session.settings.current if carry(session, PLANNING, context, label) else None


def test_what_every_mode_allows_goes_along(session: ClientSession) -> None:
    own = {
        "work_mem": "'5MB'",
        "jit": "'off'",
        "statement_timeout": "3000",
        "app.mine": "'x''y'",
        "datestyle": "'iso', 'dmy'",
    }
    for policy in (ROW, OWN, SCHEMA):
        assert carried(session, policy, own) == own


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("search_path", "'globex', 'public'"), ("search_path", "public; SELECT 1"), ("role", "'postgres'"),
        ("session_authorization", "'postgres'"), ("row_security", "'off'"), ("seed", "0.5"), ("work_mem", "'5MB' 'x'"),
        ("client_encoding", "'LATIN1'"), ("work_mem", "DEFAULT; DROP TABLE orders"), ("partywall.tenant", "'2'"),
        ("no\"such", "'1'"),
    ],
)  # fmt: skip
def test_what_a_shared_database_does_not_allow_ends_the_session(session: ClientSession, name: str, value: str) -> None:
    assert carried(session, ROW, {"work_mem": "'5MB'", name: value}) is None


def test_a_path_means_what_the_new_mode_reads_in_it(session: ClientSession) -> None:
    assert carried(session, ROW, {"search_path": "''"}) == {"search_path": "''"}
    assert carried(session, ROW, {"search_path": "'public'"}) == {}
    assert carried(session, SCHEMA, {"search_path": "'acme', 'public'"}) == {"search_path": "'acme', 'public'"}
    assert carried(session, SCHEMA, {"search_path": "'public', 'pg_catalog'"}) is None
    assert carried(session, OWN, {"search_path": "'public', 'pg_catalog'"}) == {"search_path": "'public', 'pg_catalog'"}


def test_a_login_that_only_reads_keeps_to_that_where_functions_are_its_own(session: ClientSession) -> None:
    name = "default_transaction_read_only"
    assert carried(session, ROW, {name: "'off'"}) == {name: "'off'"}
    assert carried(session, READER, {name: "'off'"}) is None
    assert carried(session, READER, {name: "'on'"}) == {name: "'on'"}


def test_the_name_of_an_application_gets_the_label_of_the_mode(session: ClientSession) -> None:
    name = "application_name"
    assert carried(session, ROW, {name: "'till'"}) == {name: "'acme/alice/till'"}
    assert carried(session, ROW, {name: "'bob/bob/till'"}) == {name: "'acme/alice/bob/bob/till'"}
    session.settings = Settings({}, label="acme/alice/")
    session.settings.current = {name: "'acme/alice/o''clock'"}
    context = PlanContext(OWN, CATALOG.version)
    assert carry(session, PLANNING, context, "")
    assert session.settings.current == {name: "'o''clock'"}


def test_more_than_anybody_sets_does_not_go_along(session: ClientSession) -> None:
    many = {f"app.n{number}": "'x'" for number in range(MOST)}
    assert carried(session, ROW, many) == many
    assert carried(session, ROW, {**many, "app.more": "'x'"}) is None


def test_what_the_startup_packet_asked_for_is_judged_by_the_new_mode(session: ClientSession) -> None:
    session.requested = {"work_mem": "5MB"}
    assert carried(session, ROW, {}) == {}
    assert session.startup == {"work_mem": "'5MB'"}
    session.requested = {"role": "somebody"}  # which the port does not allow
    assert carried(session, ROW, {}) is None
