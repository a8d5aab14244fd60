"""explain: what would be sent, or the refusal with its way out, without running anything."""

from __future__ import annotations

import json

from tests.cli.conftest import Run


def test_the_text_that_would_be_sent_is_shown_with_this_tenants_key(run: Run, sample: str) -> None:
    result = run("explain", "SELECT id FROM orders", "--tenant", "globex", "--database", "shared", "--rules", sample)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "decision:  forward (select)"
    assert "public.orders" in lines[1]
    assert "tenant_id OPERATOR(pg_catalog.=) '2'::int" in lines[1]


def test_a_refusal_is_shown_with_its_sqlstate_and_hint(run: Run, sample: str) -> None:
    sql = "SELECT pg_read_file('x')"
    result = run("explain", sql, "--tenant", "acme", "--database", "shared", "--rules", sample, "--json")
    assert result.exit_code == 0, result.output
    (decision,) = json.loads(result.output)
    assert (decision["verdict"], decision["sqlstate"], decision["text"]) == ("reject", "42501", None)


def test_a_tenant_that_is_not_there_is_a_mistake(run: Run, sample: str) -> None:
    result = run("explain", "SELECT 1", "--tenant", "nobody", "--database", "shared", "--rules", sample)
    assert result.exit_code == 1
    assert "tenant nobody has no login" in result.output
