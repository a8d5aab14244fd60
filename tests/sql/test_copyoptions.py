"""Options of a COPY FROM that goes in as INSERTs: what they say, and that a server's refusal is the proxy's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.sql.copied import CopyIn
from proxy.sql.plan import Forward, Reject
from proxy.sql.planner import Planner
from proxy.wire.copyfields import Shape
from tests.kit.postgres import Cluster
from tests.kit.rls import rls_catalog, rls_context


def planned(server: Cluster, options: str, major: int) -> Forward | Reject:
    context = rls_context(server, "row+rls")
    planner = Planner(replace(rls_catalog(server.port), server_version=major * 10000), 1 << 20)
    (plan,) = planner.plan(f"COPY notes (id, body) FROM STDIN {options}".encode(), context).plans
    assert isinstance(plan, Forward | Reject)
    return plan


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("", Shape(("id", "body"))),
        ("CSV HEADER", Shape(("id", "body"), null=b"", header="skip")),
        ("(NULL 'x', HEADER match)", Shape(("id", "body"), null=b"x", header="match")),
        (
            "(FORMAT csv, FORCE_NULL (body), FORCE_NOT_NULL *)",
            Shape(("id", "body"), null=b"", not_null=frozenset({0, 1}), force_null=frozenset({1})),
        ),
        ("(DEFAULT 'd')", Shape(("id", "body"), default=b"d")),
        ("(ON_ERROR stop, LOG_VERBOSITY verbose)", Shape(("id", "body"))),
    ],
)
def test_options_say_what_fields_are(postgres15: Cluster, options: str, shape: Shape) -> None:
    plan = planned(postgres15, options, 18)
    assert isinstance(plan, Forward), plan
    assert isinstance(plan.copy, CopyIn)
    assert plan.copy.insert is not None
    assert plan.copy.insert.shape == shape


@pytest.mark.parametrize(
    ("options", "sqlstate", "message"),
    [
        ("CSV CSV", "42601", "conflicting or redundant options"),
        ("(DELIMITER 'ab')", "0A000", "COPY delimiter must be a single one-byte character"),
        ("(DELIMITER 'a')", "22023", 'COPY delimiter cannot be "a"'),
        ("(DELIMITER E'\\n')", "22023", "COPY delimiter cannot be newline or carriage return"),
        ("(NULL E'a\\nb')", "22023", "COPY null representation cannot use newline or carriage return"),
        ("BINARY DELIMITER '|'", "42601", "cannot specify DELIMITER in BINARY mode"),
        ("(QUOTE 'x')", "0A000", "COPY QUOTE requires CSV mode"),
        ("CSV QUOTE ','", "22023", "COPY delimiter and quote must be different"),
        ("CSV ESCAPE 'ab'", "0A000", "COPY escape must be a single one-byte character"),
        ("CSV FORCE QUOTE body", "0A000", "COPY FORCE_QUOTE cannot be used with COPY FROM"),
        ("(FORMAT csv, FORCE_NULL (tenant))", "42P10", 'FORCE_NULL column "tenant" not referenced by COPY'),
        ("(DELIMITER 'N')", "22023", "COPY delimiter character must not appear in the NULL specification"),
        ("(DEFAULT '\\N')", "22023", "NULL specification and DEFAULT specification cannot be the same"),
        ("(ON_ERROR ignore)", "0A000", "COPY with ON_ERROR is not supported on this table"),
        ("(REJECT_LIMIT 1)", "22023", "COPY REJECT_LIMIT requires ON_ERROR to be set to IGNORE"),
    ],
)
def test_what_the_server_would_refuse_is_refused(
    postgres15: Cluster, options: str, sqlstate: str, message: str
) -> None:
    plan = planned(postgres15, options, 18)
    assert isinstance(plan, Reject), plan
    assert (plan.sqlstate, plan.message) == (sqlstate, message)


def test_older_servers_have_other_words(postgres15: Cluster) -> None:
    plan = planned(postgres15, "(QUOTE 'x')", 15)
    assert isinstance(plan, Reject)
    assert plan.message == "COPY quote available only in CSV mode"
