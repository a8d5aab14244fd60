"""Tenants with definitions of their own have them in the archive, as of the same moment."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from proxy.backup.archive import members, unpacked, writing
from proxy.backup.definitions import arguments, environment, executable
from proxy.backup.refusal import Refused
from proxy.backup.taking import back_up
from proxy.tenancy.policy import Credentials, Grant
from tests.backup.shelf import UNDER, book_of, checked, operators
from tests.kit.postgres import Cluster, find_binaries
from tests.kit.rules import own_rules
from tests.kit.sample import load_sample
from tests.kit.schemas import load_schemas, schema_rules


def grant_in(cluster: Cluster, mode: str) -> tuple[Grant, str]:
    """A tenant with a schema or a database of its own, and the name of its database at the server."""
    if mode == "schema":
        load_schemas(cluster)
        return book_of(schema_rules(cluster.port, "beside")).grants["globex", "shared", False], "beside"
    load_sample(cluster)
    return book_of(own_rules(cluster.port, "private1")).grants["acme", "shared", False], "private1"


@pytest.mark.parametrize("mode", ["schema", "database"])
def test_definitions_are_in_the_archive_with_all_rows(server: Cluster, mode: str, tmp_path: Path) -> None:
    grant, database = grant_in(server, mode)
    program = str(find_binaries(18) / "pg_dump")
    path = str(tmp_path / "a")
    with writing(path) as sink:
        manifest = asyncio.run(back_up(operators(server, database), grant, UNDER, sink, pg_dump=program))
    assert checked(tmp_path / "a") == manifest
    assert (manifest.isolation, manifest.keys) == (mode, {})
    found = {name: unpacked(name, stored).decode() for name, stored in members(path) if name.startswith("defin")}
    before, after = found["definitions/pre-data.sql.zst"], found["definitions/post-data.sql.zst"]
    assert "CREATE TABLE" in before
    assert "orders_placed_ix" in after
    assert "restrict" not in before.splitlines()[0:10]
    assert not any(line.startswith("\\") for line in (before + after).splitlines())
    counts = {one.name: one.rows for one in manifest.relations}
    assert counts["orders"] == (22 if mode == "schema" else 21)
    assert counts["products"] == 12
    assert counts["metrics"] == 20
    assert {one.own for one in manifest.sequences} == {True}
    if mode == "schema":
        assert {one.schema_name for one in manifest.relations} == {"globex"}
        assert "acme" not in before + after
        assert "OWNER TO" not in before
    else:
        assert "OWNER TO app_owner" in before


def test_a_password_goes_by_the_environment_alone_and_nothing_of_the_operators_is_used(postgres15: Cluster) -> None:
    grant, database = grant_in(postgres15, "schema")
    server, _ = operators(postgres15, database)
    place = (server, Credentials("a secret", "verify-full", root_certificate="system"))
    found = environment(place, {"PGSERVICE": "x", "PATH": "/bin"})
    assert found == {"PATH": "/bin", "PGPASSWORD": "a secret", "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "system"}
    given = arguments(place, grant, "0-1-1", "pre-data")
    assert "a secret" not in " ".join(given)
    assert given[-2:] == ["--schema", '"globex"']


def test_a_program_that_is_missing_or_fails_is_told(postgres15: Cluster, tmp_path: Path) -> None:
    grant, database = grant_in(postgres15, "schema")
    failing = tmp_path / "pg_dump"
    failing.write_text("#!/bin/sh\necho server version mismatch >&2\nexit 1\n", "utf-8")
    failing.chmod(failing.stat().st_mode | stat.S_IXUSR)
    for program, why in (
        (str(tmp_path / "absent"), "absent is missing, which a tenant with definitions"),
        (str(failing), "pg_dump: server version mismatch"),
    ):
        with pytest.raises(Refused, match=why), writing(str(tmp_path / "a")) as sink:
            asyncio.run(back_up(operators(postgres15, database), grant, UNDER, sink, pg_dump=program))
        assert [one.name for one in tmp_path.iterdir()] == ["pg_dump"]


HEAD = "--\n-- PostgreSQL database dump\n--\n\n"
SETTINGS = "SET statement_timeout = 0;\n"
LATER = "SET transaction_timeout = 0;\n"
BODY = (
    "\n--\n-- Name: t; Type: TABLE\n--\n\nCREATE TABLE t (a text DEFAULT 'x\n"
    "SET transaction_timeout = 0;\nSET transaction_timeout y\n\\restrict Ab1\n\\unrestrict Ab1\n\\restrict other\n"
    "\r\\restrict a\x0b\\restrict b\x0c\\restrict c\x85\\restrict d\u2028\\restrict e\n');\n\n"
)


@pytest.mark.parametrize("settings", [SETTINGS, SETTINGS + LATER])
def test_a_line_is_left_out_at_the_head_and_the_end_alone(settings: str) -> None:
    dumped = f"{HEAD}\\restrict Ab1\n\n{settings}{BODY}\\unrestrict Ab1\n\n"
    assert executable(dumped, "pg_dump") == f"{HEAD}\n{SETTINGS}{BODY}\n"


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("", ""),
        ("\\restrict Ab1\n", ""),
        ("", "\\unrestrict Ab1\n"),
        ("\\restrict Ab1\n", "\\unrestrict Ab2\n"),
        ("\\restrict Ab1\n\\restrict Ab1\n", "\\unrestrict Ab1\n"),
        ("\\restrict A b\n", "\\unrestrict A b\n"),
        ("\\restrict Ab1\n", "\\unrestrict Ab1\n-- more\n"),
    ],
)
def test_a_text_without_the_two_lines_of_one_token_is_refused(begin: str, end: str) -> None:
    with pytest.raises(Refused, match="pg_dump is too old or unknown"):
        executable(f"{HEAD}{begin}{SETTINGS}{BODY}{end}", "pg_dump")
    with pytest.raises(Refused, match="pg_dump is too old or unknown"):
        executable("", "pg_dump")
