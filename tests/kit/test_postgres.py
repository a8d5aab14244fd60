"""What a test is answered to a statement is what psql itself prints, and an error is told in its words."""

from __future__ import annotations

import re

import pytest

from proxy.demo import cluster as demo
from tests.kit.books import eventually
from tests.kit.postgres import SUPERUSER, Cluster, PostgresError, lasting

TEXTS = [
    "SELECT 1, NULL, true, 'a|b', E'two\\nlines', ''",
    "SELECT 1; SELECT 'x' WHERE false; SELECT 2, 3",
    "CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2) RETURNING a; TABLE t; DROP TABLE t",
    "COPY (SELECT 1, NULL, E'a\\tb' UNION ALL SELECT 2, 'x', 'y') TO STDOUT; SELECT 'after'",
    "DO $$ BEGIN RAISE WARNING 'not printed'; END $$; SELECT 'ü'",
    "SHOW client_encoding; SELECT current_user, current_database()",
    "",
]


def both(cluster: Cluster, sql: str, user: str = SUPERUSER, options: str = "") -> tuple[str, str]:
    here = cluster.psql("postgres", sql, user=user, options=options)
    return here, demo.Cluster.psql(cluster, "postgres", sql, user=user, options=options)


@pytest.mark.parametrize("sql", TEXTS)
def test_it_prints_what_psql_prints(postgres15: Cluster, sql: str) -> None:
    here, there = both(postgres15, sql)
    assert here == there


def test_it_is_of_the_user_and_with_the_settings_that_are_named(postgres15: Cluster) -> None:
    postgres15.psql(sql="DROP ROLE IF EXISTS odd_one; CREATE ROLE odd_one LOGIN")
    here, there = both(postgres15, "SELECT current_user; SHOW work_mem", user="odd_one", options="-c work_mem=77kB")
    assert here == there == "odd_one\n77kB\n"
    postgres15.psql(sql="DROP ROLE odd_one")


def test_it_is_one_transaction_and_the_first_error_ends_it_in_the_servers_words(postgres15: Cluster) -> None:
    for one in (postgres15.psql, lambda *more: demo.Cluster.psql(postgres15, *more)):
        with pytest.raises(PostgresError, match=re.compile("ERROR: +division by zero")):
            one("postgres", "CREATE TABLE half (a int); SELECT 1/0; CREATE TABLE other (a int)")
        with pytest.raises(PostgresError, match="LINE 1: SELEC 1"):
            one("postgres", "SELEC 1")
        with pytest.raises(PostgresError, match=r'FATAL: +database "nowhere" does not exist'):
            one("nowhere", "SELECT 1")
        with pytest.raises(PostgresError, match="terminating connection"):
            one("postgres", "SELECT pg_terminate_backend(pg_backend_pid())")
    assert postgres15.psql(sql="SELECT count(*) FROM pg_class WHERE relname IN ('half', 'other')") == "0\n"


def test_a_cluster_that_lasted_is_gone_soon_after_with_its_files() -> None:
    with lasting(15) as cluster:
        directory, process = cluster.directory, cluster.process
        assert cluster.psql(sql="SELECT 1") == "1\n"
    assert process is not None
    assert process.returncode is not None
    assert eventually(lambda: not directory.exists(), 60.0)
    cluster.remove()  # there is nothing left to do
