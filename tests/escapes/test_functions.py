"""Functions that reach beyond a tenant's rows: a member of every class is refused, or means the tenant's own.

The classes are those of a reading of pg_proc, by what a function can reach.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.postgres import Cluster
from tests.kit.proxy import Proxy, running_proxy
from tests.kit.rawclient import RawClient

# Class -> calls that must not be answered.
REFUSED = {
    "runs SQL text": [
        "query_to_xml('SELECT 1', true, true, '')", "cursor_to_xml('c', 1, true, true, '')",
        "table_to_xml('orders', true, true, '')", "schema_to_xml('public', true, true, '')",
        "database_to_xml(true, true, '')", "query_to_xmlschema('SELECT 1', true, true, '')",
        "ts_stat('SELECT tsv FROM documents')", "ts_rewrite('a'::tsquery, 'SELECT q, s FROM t')",
    ],
    "reaches files": [
        "pg_read_file('PG_VERSION')", "pg_ls_dir('.')", "pg_stat_file('PG_VERSION')", "lo_import('/etc/passwd')",
        "lo_export(1, '/tmp/x')", "pg_relation_filepath('orders'::regclass)", "pg_current_logfile()",
        "pg_tablespace_size('pg_default')", "pg_hba_file_rules()",
    ],
    "large objects": [
        "lo_create(0)", "lo_creat(-1)", "lo_open(1, 131072)", "lo_get(1)", "lo_put(1, 0, 'x')", "lo_unlink(1)",
        "lo_from_bytea(0, 'x')", "loread(0, 10)", "lowrite(0, 'x')", "lo_tell(0)", "lo_truncate(0, 0)", "lo_close(0)",
    ],
    "settings": [
        "set_config('search_path', 'x', false)", "set_config('role', 'postgres', false)", "pg_show_all_settings()",
        "current_setting('data_directory')", "pg_settings_get_flags('work_mem')",
    ],
    "the session at the server": [
        "inet_client_addr()", "inet_client_port()", "inet_server_addr()", "inet_server_port()",
        "pg_my_temp_schema()", "pg_is_other_temp_schema(1)", "pg_trigger_depth()", "pg_prepared_statement()",
        "pg_cursor()", "pg_prepared_xact()",
    ],
    "transactions of everybody": [
        "txid_current()", "txid_current_snapshot()", "txid_status(3)", "pg_current_xact_id()", "pg_current_snapshot()",
        "pg_export_snapshot()", "pg_current_wal_lsn()", "pg_xact_commit_timestamp('3'::xid)", "age('3'::xid)",
        "pg_current_xact_id_if_assigned()", "pg_last_committed_xact()", "mxid_age('3'::xid)",
    ],
    "sequences": [
        "lastval()", "currval('invoice_no_seq')", "setval('invoice_no_seq', 1)", "nextval('accounts_id_seq')",
        "pg_sequence_last_value('invoice_no_seq')", "pg_sequence_parameters(1)", "nextval(16384::regclass)",
    ],
    "locks of everybody": ["pg_lock_status()", "pg_blocking_pids(1)", "pg_safe_snapshot_blocking_pids(1)"],
    "notifications of everybody": ["pg_notification_queue_usage()"],
    "other processes": [
        "pg_cancel_backend(1)", "pg_terminate_backend(1)", "pg_reload_conf()", "pg_rotate_logfile()",
        "pg_postmaster_start_time()", "pg_conf_load_time()", "pg_control_system()", "pg_switch_wal()",
        "pg_stat_clear_snapshot()", "pg_stat_reset()", "pg_log_backend_memory_contexts(1)",
        "pg_jit_available()", "pg_promote()", "pg_config()",
    ],
    "statistics": [
        "pg_relation_size('orders')", "pg_total_relation_size('orders'::regclass)", "pg_table_size('orders')",
        "pg_indexes_size('orders')", "pg_database_size('shared')", "pg_stat_get_tuples_inserted(1)",
        "pg_stat_get_activity(NULL)", "pg_stat_get_live_tuples('orders'::regclass)", "pg_mcv_list_items(NULL)",
    ],
    "relations by name or number": [
        "currtid2('orders', '(0,1)'::tid)", "row_security_active('orders')", "satisfies_hash_partition(1, 1, 0, 1)",
        "pg_get_replica_identity_index('orders'::regclass)", "pg_get_catalog_foreign_keys()",
    ],
    "replication": [
        "pg_create_logical_replication_slot('a', 'b')", "pg_drop_replication_slot('a')", "pg_get_replication_slots()",
        "pg_logical_emit_message(false, 'a', 'b')", "pg_logical_slot_get_changes('a', NULL, NULL)",
        "pg_get_publication_tables('a')", "pg_replication_origin_create('a')", "pg_show_replication_origin_status()",
    ],
    "maintenance": [
        "gin_clean_pending_list('orders_pkey'::regclass)", "brin_summarize_new_values('orders_pkey')",
        "pg_describe_object(1259, 16384, 0)", "pg_identify_object(1259, 16384, 0)", "amvalidate(1)",
        "pg_import_system_collations('public')", "pg_get_object_address('table', '{orders}', '{}')",
    ],
    "upgrades": [
        "binary_upgrade_set_record_init_privs(true)", "pg_nextoid('pg_class', 'oid', 'pg_class_oid_index')",
        "pg_extension_config_dump('orders', '')", "pg_stop_making_pinned_objects()",
    ],
    "names of what is hidden": [
        "to_regclass('leaky_stats')", "has_table_privilege('leaky_stats', 'SELECT')", "to_regrole('app')",
        "pg_get_serial_sequence('leaky_stats', 'id')", "pg_get_viewdef('leaky_stats')", "obj_description(16384, 'x')",
        "has_sequence_privilege('accounts_id_seq', 'USAGE')", "pg_relation_is_updatable('leaky_stats'::regclass, true)",
        "pg_column_is_updatable('leaky_stats'::regclass, 1::smallint, true)",
    ],
    "not callable": [
        "enum_in('a', 16)", "domain_in('1', 23, -1)", "regclassin('orders')", "textout('a')",
        "regclassout('orders'::regclass)", "fmgr_sql_validator(1)",
    ],
    "functions that the rules do not list": ["order_secret(3)", "count_orders()", "cheap_leak('x')"],
}  # fmt: skip
REFUSALS = {"42501", "42883", "0A000", "42P01"}

# What is answered means the tenant's own, and says what a private server says.
OWN = [
    "current_database() IS NOT NULL", "current_user = session_user", "pg_backend_pid() = pg_backend_pid()",
    "(SELECT count(*) FROM pg_listening_channels())", "pg_try_advisory_xact_lock(1)", "pg_try_advisory_xact_lock(1, 2)",
    "pg_notify('a', 'b') IS NULL", "to_regclass('orders') IS NOT NULL", "nextval('invoice_no_seq') > 0",
    "random() < 1", "current_query()", "pg_is_in_recovery()", "length(version()) > 0",
    "set_config('work_mem', '4MB', true)", "current_setting('work_mem')",
    "format_type(23, -1)", "has_table_privilege('orders', 'SELECT')", "age(timestamp '2001-04-10', '1957-06-13')",
]  # fmt: skip


@pytest.fixture(scope="module")
def proxy(shared_server: Cluster) -> Iterator[Proxy]:
    with running_proxy(shared_server.port) as proxy:
        yield proxy


@pytest.mark.parametrize("kind", REFUSED)
def test_no_call_of_a_kind_that_reaches_others_is_answered(proxy: Proxy, kind: str) -> None:
    with proxy.connect("acme_app") as client:
        for call in REFUSED[kind]:
            for text in (
                f"SELECT {call}",
                f"SELECT * FROM {call} AS x",
                f"SELECT id FROM orders WHERE {call} IS NULL",
                f"SELECT (SELECT max(1) FROM products WHERE {call} IS NULL)",
                f"INSERT INTO notes (id, body) VALUES (1, ({call})::text)",
                f"UPDATE orders SET note = ({call})::text",
            ):
                found = client.simple(text)
                assert [one["C"] for one in found.errors] in [[code] for code in REFUSALS], (text, found.errors)
                assert found.rows == []


@pytest.mark.parametrize("call", OWN)
def test_what_is_answered_is_the_tenants_own(shared_server: Cluster, proxy: Proxy, call: str) -> None:
    with (
        proxy.connect("acme_app") as client,
        RawClient("127.0.0.1", shared_server.port, "app", "private1") as private,
    ):
        for one in (client, private):
            one.simple("BEGIN")
        seen, expected = client.simple(f"SELECT {call}"), private.simple(f"SELECT {call}")
        assert (seen.errors, seen.rows) == (expected.errors, expected.rows)


@pytest.mark.parametrize(
    "notation", ["o.{}", "(o).{}", "(SELECT o).{}", "(o.*).{}", "public.{}(o)", "{}(o.*)", "{}(o)"]
)
def test_attribute_notation_is_a_call_like_any_other(proxy: Proxy, notation: str) -> None:
    with proxy.connect("acme_app") as client:
        unlisted = client.simple(f"SELECT {notation.format('order_secret')} FROM orders o LIMIT 1")
        absent = [["42883"], ["0A000"], ["42703"]]  # the last: a function of no row is no attribute of one
        assert [one["C"] for one in unlisted.errors] in absent
        listed = client.simple(f"SELECT {notation.format('order_total')} FROM orders o LIMIT 1")
        assert listed.errors == []
