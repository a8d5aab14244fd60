"""Whatever the table of silence lists is tried on real servers: no pair of values throws, warns or is taken for another
operator. `make test-long` tries 100,000 pairs an entry.

The values stand in columns, so that nothing is folded before the rows are there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from proxy.sql import nothrow
from proxy.sql.data.generate_silent import (
    COMPARISONS,
    LIKES,
    SCALARS,
    declared,
    entries,
    gathered,
    queries,
)
from tests.conftest import EFFORT
from tests.kit.postgres import Cluster, PostgresError, find_binaries, running
from tests.sql.values import LABELS, arrays, scalars

VALUES = 330 if EFFORT > 1 else 24  # some hundred or 10^5 pairs; the extremes of a type are always among them
COLLATED = {"text", "varchar", "bpchar", "_text", "_varchar", "_bpchar"}


@dataclass(frozen=True)
class Group:
    """Entries of the same types that can be asked at once. admitted: which right values may stand there as literals."""

    left: str
    right: str
    admitted: str = "true"

    @property
    def pairs(self) -> str:
        right = self.right or self.left
        return f"(SELECT v FROM pool_{self.left}) l(v), (SELECT v FROM pool_{right} WHERE {self.admitted}) r(v)"


GROUPS: dict[Group, list[str]] = {}
for _symbol, _left, _right in entries():
    _admitted = "true"
    if _symbol in LIKES:
        _admitted = r"octet_length(v) < 1000 AND length(substring(v FROM '\\*$')) % 2 = 0"
    elif (_symbol, _left) == ("@>", "jsonb"):
        _admitted = r"length(regexp_replace(v::text, '[^\[{]', '', 'g')) <= 100"
    GROUPS.setdefault(Group(_left, _right, _admitted), []).append(_symbol)


class Trial:
    """A database with a pool of values a type; what it is asked must be answered without an error or a notice."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.said: list[str] = []
        connection.add_notice_handler(lambda one: self.said.append(str(one.message_primary)))
        self.collations = {'"C"': True, '"default"': True}  # -> whether it is deterministic
        if connection.execute("SELECT 1 FROM pg_collation WHERE collname = 'de-x-icu'").fetchone():
            connection.execute(
                "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)"
            )
            self.collations |= {'"de-x-icu"': True, '"tr-x-icu"': True, "loose": False}
        labels = ", ".join(f"'{one}'" for one in LABELS)
        connection.execute(f"CREATE TYPE trial_enum AS ENUM ({labels})".encode())
        for name in (*SCALARS, "tsquery"):
            kept = self._pool(name, scalars(name, VALUES, seed=7))
            if name != "tsquery":
                self._pool("_" + name, arrays(kept, VALUES, seed=7))

    def _pool(self, name: str, values: list[str | None]) -> list[str | None]:
        """What the server made of the values. One that is none of the type, such as a range that ends before it begins,
        is left out."""
        kind = declared(name)
        self.connection.execute(f"CREATE TABLE pool_{name} (v {kind})".encode())
        for one in values:
            try:
                self.connection.execute(f"INSERT INTO pool_{name} VALUES (%s::text::{kind})".encode(), (one,))
            except psycopg.DataError:
                continue
        kept = [one for (one,) in self.connection.execute(f"SELECT v::text FROM pool_{name}".encode()).fetchall()]
        assert len(kept) >= min(VALUES, len(values)) / 2, (name, len(kept))
        return kept

    def wrong(self, sql: str) -> str | None:
        """What went wrong, if anything did."""
        self.said.clear()
        try:
            self.connection.execute(sql.encode())
        except psycopg.Error as error:
            return f"{error.sqlstate} {error}"
        return ", ".join(self.said) or None

    def expressions(self, group: Group) -> Iterator[str]:
        """What is asked of a pair of types, in every collation in which it is promised."""
        for symbol in GROUPS[group]:
            for name, deterministic in self.collations.items() if group.left in COLLATED else [("", True)]:
                collate = f" COLLATE {name}" if name else ""
                if not group.right:
                    if deterministic:
                        yield f"{symbol}((l.v || r.v)::{group.left}{collate})"
                elif deterministic or symbol not in LIKES:
                    yield f"l.v{collate} {symbol} r.v"
        if "=" in GROUPS[group]:
            yield "l.v IS DISTINCT FROM r.v"
            yield "l.v IN (r.v, r.v, NULL)"
            yield "l.v BETWEEN r.v AND r.v"
        if "=" in GROUPS[group] and group.left == group.right:
            yield "COALESCE(l.v, r.v) IS NULL"

    def blamed(self, group: Group) -> Iterator[str]:
        """Which expression throws on which values."""
        for expression in self.expressions(group):
            reason = self.wrong(f"SELECT count({expression}) FROM {group.pairs}")
            if reason is not None:
                rows = self.connection.execute(f"SELECT l.v::text, r.v::text FROM {group.pairs}".encode()).fetchall()
                yield f"{expression} of {group.left}, {group.right}: {reason}"
                yield next((f"  on {row}" for row in rows if self._throws(expression, group, row)), "  on all of them")

    def _throws(self, expression: str, group: Group, row: tuple[str | None, ...]) -> bool:
        left, right = declared(group.left), declared(group.right or group.left)
        asked = f"SELECT {expression} FROM (SELECT %s::{left} OFFSET 0) l(v), (SELECT %s::{right} OFFSET 0) r(v)"
        try:
            self.connection.execute(asked.encode(), row)
        except psycopg.Error:
            return True
        return False


def quoted(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def installed() -> list[int]:
    """15 and 18, and what else of 14 to 18 this machine has."""
    return [major for major in range(14, 19) if major in (15, 18) or has(major)]


def has(major: int) -> bool:
    try:
        return bool(find_binaries(major))
    except PostgresError:
        return False


@pytest.fixture(scope="module", params=installed(), ids=lambda major: f"pg{major}")
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Every server in turn."""
    if request.param in (15, 18):
        yield request.getfixturevalue(f"postgres{request.param}")
    else:
        with running(request.param) as cluster:
            yield cluster


@pytest.fixture(scope="module")
def trial(server: Cluster) -> Iterator[Trial]:
    server.create_database("silent_trial")
    with psycopg.connect(server.dsn(database="silent_trial"), autocommit=True) as connection:
        yield Trial(connection)
    server.drop_database("silent_trial")


@pytest.mark.timeout(3600)
def test_no_entry_throws_or_warns_for_any_pair_of_values(trial: Trial) -> None:
    assert "loose" in trial.collations or trial.connection.info.server_version // 10000 != 15  # Debian's 15 has ICU
    for group in GROUPS:
        asked = ", ".join(f"count({one})" for one in trial.expressions(group))
        if trial.wrong(f"SELECT {asked} FROM {group.pairs}"):
            assert list(trial.blamed(group)) == []


@pytest.mark.timeout(3600)
def test_the_planner_throws_nothing_when_it_tries_comparisons_on_statistics(trial: Trial) -> None:
    """What the veil calls calm: most common values and histogram bounds of every type, and joins of two columns."""
    found = []
    for name in SCALARS:
        trial.connection.execute(
            f"INSERT INTO pool_{name} SELECT v FROM pool_{name} WHERE (ctid::text::point)[1]::int % 2 = 0".encode()
        )
        trial.connection.execute(f"ANALYZE pool_{name}".encode())
        rows = trial.connection.execute(f"SELECT DISTINCT v::text FROM pool_{name} LIMIT 40".encode()).fetchall()
        for symbol in COMPARISONS:
            asked = [f"EXPLAIN SELECT FROM pool_{name} l JOIN pool_{name} r ON l.v {symbol} r.v"]
            for (value,) in rows:
                literal = quoted(value)
                asked.append(f"EXPLAIN SELECT FROM pool_{name} WHERE v {symbol} {literal}::{declared(name)}")
            found += [f"{one}: {reason}" for one in asked if (reason := trial.wrong(one))]
    assert found == []


def test_a_clock_stays_in_its_range_whatever_literal_the_rule_admits_moves_it(trial: Trial) -> None:
    units = ["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "year"]
    spans = ", ".join(f"('{one}'), ('{one}s')" for one in units)
    moved = "now() + s, now() - s, CURRENT_TIMESTAMP + s, CURRENT_DATE + s, CURRENT_DATE - s"
    source = (
        f"(SELECT (n || ' ' || u)::interval FROM generate_series(0, 999) n, (VALUES {spans}) AS u(u) OFFSET 0) AS t(s)"
    )
    assert (
        trial.wrong(f"SELECT count(x) FROM {source}, LATERAL (VALUES ({moved.replace(', ', '), (')})) AS x(x)") is None
    )
    assert (
        trial.wrong("SELECT count(CURRENT_DATE + n), count(CURRENT_DATE - n) FROM generate_series(0, 100000) n") is None
    )


def test_the_table_is_what_the_server_resolves_and_runs(server: Cluster) -> None:
    with psycopg.connect(server.dsn()) as connection:
        program = connection.info.server_version // 10000
    said = subprocess.run(
        ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", server.dsn()],
        input="\n".join(queries()),
        capture_output=True,
        check=True,
        encoding="utf-8",
    ).stdout
    assert program in nothrow.majors()
    assert gathered(said.splitlines())["entries"] == nothrow.entries()
    assert set(nothrow.entries()) == {" ".join(one).rstrip() for one in entries()}


def test_two_collations_throw_whatever_the_table_says(trial: Trial) -> None:
    """So silence asks for the collations first (H11); the table speaks of types only."""
    trial.connection.execute('CREATE TABLE IF NOT EXISTS two (a text COLLATE "C", b text COLLATE "POSIX")')
    trial.connection.execute("INSERT INTO two VALUES ('a', 'b')")
    for symbol in ("=", "<", "IS DISTINCT FROM"):
        assert (trial.wrong(f"SELECT count(a {symbol} b) FROM two") or "").startswith("42P22")


def test_a_namesake_outside_pg_catalog_is_taken_before_the_tables_own(trial: Trial) -> None:
    """So silence asks for namesakes first (H17)."""
    trial.connection.execute(
        "CREATE OR REPLACE FUNCTION length(varchar) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 / 0';"
        "CREATE TABLE IF NOT EXISTS named (v varchar);"
        "INSERT INTO named VALUES ('a')"
    )
    reason = trial.wrong("SELECT count(length(v)) FROM named")
    trial.connection.execute("DROP FUNCTION length(varchar)")
    assert (reason or "").startswith("22012")


def test_a_trial_finds_what_throws(trial: Trial) -> None:
    """Two entries that are not in the table, so that the trial itself is tried."""
    asked = Group("text", "text")
    assert (trial.wrong(f"SELECT count(l.v LIKE r.v) FROM {asked.pairs}") or "").startswith("22025")
    mixed = Group("numeric", "float8")
    assert (trial.wrong(f"SELECT count(l.v = r.v) FROM {mixed.pairs}") or "").startswith("22003")
