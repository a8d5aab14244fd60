"""Which settings (GUCs) a tenant may set, and which it may see: allow-lists, by lower-cased name.

A setting on the list changes speed, formats or limits of the session and never what a statement may see. What the
proxy pins may be set to
what it is pinned to, because drivers do that at connect. A two-part name that belongs to no extension is the
session's own.
Everything else is refused. Source: PostgreSQL documentation, chapter 20 "Server Configuration".
"""

from __future__ import annotations

import re

SETTABLE = frozenset({
    "application_name", "array_nulls", "bytea_output", "check_function_bodies", "client_min_messages",
    "datestyle", "default_statistics_target", "default_text_search_config", "default_transaction_deferrable",
    "default_transaction_isolation", "default_transaction_read_only", "effective_cache_size", "extra_float_digits",
    "from_collapse_limit",
    "geqo", "geqo_threshold", "gin_fuzzy_search_limit", "hash_mem_multiplier", "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "intervalstyle", "jit", "jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost",
    "join_collapse_limit", "lc_monetary",
    "lc_numeric", "lc_time", "lock_timeout", "maintenance_work_mem", "max_parallel_workers_per_gather",
    "parallel_leader_participation", "statement_timeout", "synchronize_seqscans", "synchronous_commit", "temp_buffers",
    "timezone", "timezone_abbreviations", "transaction_deferrable", "transaction_isolation", "transaction_read_only",
    "transaction_timeout",
    "work_mem", "xmlbinary", "xmloption",
    "enable_async_append", "enable_bitmapscan", "enable_gathermerge", "enable_hashagg", "enable_hashjoin",
    "enable_incremental_sort",
    "enable_indexonlyscan", "enable_indexscan", "enable_material", "enable_memoize", "enable_mergejoin",
    "enable_nestloop",
    "enable_parallel_append", "enable_parallel_hash", "enable_partitionwise_aggregate", "enable_partitionwise_join",
    "enable_presorted_aggregate", "enable_seqscan", "enable_sort", "enable_tidscan", "enable_group_by_reordering",
})  # fmt: skip

# Setting it to this value says nothing new; anything else is refused.
PINNED: dict[str, frozenset[str]] = {
    "client_encoding": frozenset({"utf8", "unicode", "auto"}),
    "standard_conforming_strings": frozenset({"on"}),
    "row_security": frozenset({"on"}),
    "search_path": frozenset({"public", "$user,public"}),
    "escape_string_warning": frozenset({"on"}),
    "default_table_access_method": frozenset({"heap"}),
    "plan_cache_mode": frozenset({"auto"}),
    "session_replication_role": frozenset({"origin"}),
    "transform_null_equals": frozenset({"off"}),
}
TRUE = ("true", "yes")
FALSE = ("false", "no")

PINNED_TO = {
    "client_encoding": "UTF8", "standard_conforming_strings": "on", "row_security": "on", "search_path": "public",
    "escape_string_warning": "on", "default_table_access_method": "heap", "plan_cache_mode": "auto",
    "session_replication_role": "origin",
    "transform_null_equals": "off",
}  # fmt: skip

# What a session may read besides what it may set: facts about the server that drivers ask for, none about other
# tenants.
READABLE = frozenset({
    "block_size", "client_encoding", "in_hot_standby", "integer_datetimes", "is_superuser", "lc_collate", "lc_ctype",
    "lc_messages",
    "max_identifier_length", "max_index_keys", "search_path", "server_encoding", "server_version", "server_version_num",
    "session_authorization", "standard_conforming_strings", "transaction_isolation", "row_security",
    "escape_string_warning",
    "backslash_quote", "default_table_access_method", "default_tablespace", "default_toast_compression",
    "plan_cache_mode",
    "session_replication_role", "transform_null_equals", "bytea_output", "role", "max_function_args",
    "wal_block_size", "data_checksums",
})  # fmt: skip

READ_ONLY = "default_transaction_read_only"
QUIET = frozenset({"debug5", "debug4", "debug3", "debug2", "debug1", "debug", "log", "info"})
OWN_NAME = re.compile(r"[a-z_][a-z0-9_$]*\.[a-z_][a-z0-9_$.]*", re.IGNORECASE)
# Prefixes that extensions and the procedural languages give a meaning to.
RESERVED_PREFIXES = frozenset({
    "auto_explain", "pg_stat_statements", "plpgsql", "plperl", "plpython", "pltcl", "pg_trgm", "passwordcheck",
    "sepgsql", "auth_delay",
    "basic_archive", "pg_prewarm", "postgres_fdw", "citus", "timescaledb", "pg_hint_plan", "pgaudit", "anon", "cron",
    "rls", "partywall", "postgis",
})  # fmt: skip
VALUE_BYTES = 1000


def settable(name: str) -> bool:
    """May a tenant set it, to some value at least?"""
    lowered = name.lower()
    return lowered in SETTABLE or lowered in PINNED or own(lowered)


def own(name: str) -> bool:
    """Is it a session's own two-part name?"""
    return OWN_NAME.fullmatch(name) is not None and name.split(".", 1)[0].lower() not in RESERVED_PREFIXES


def allowed_setting(name: str, value: str) -> bool:
    """May a tenant give this setting this value (as text, not quoted)?"""
    lowered = name.lower()
    if "\0" in value or len(value.encode()) > VALUE_BYTES:
        return False
    if lowered in PINNED:
        return _plain(lowered, value) in PINNED[lowered]
    if lowered == "client_min_messages":
        return value.strip().lower() not in QUIET
    return lowered in SETTABLE or own(lowered)


def may_call(name: str, value: str | None) -> bool:
    """May set_config() set it, to this value or (None) to one that Bind will tell?"""
    return name.lower() not in PINNED and settable(name) and (value is None or allowed_setting(name, value))


def pinned_value(name: str) -> str | None:
    """What a setting is pinned to; None where it is not pinned."""
    return PINNED_TO.get(name.lower())


def showable(name: str) -> bool:
    """May a tenant read it by SHOW or current_setting()?"""
    lowered = name.lower()
    return lowered in SETTABLE or lowered in READABLE or own(lowered)


def _plain(name: str, value: str) -> str:
    """A pinned setting's value in the spelling of the table: encodings by their letters and digits, lists without
    quotes and blanks, booleans by any beginning that PostgreSQL takes (utils/adt/bool.c, parse_bool_with_len).
    """
    text = value.strip().lower()
    if name == "client_encoding":
        return re.sub(r"[^a-z0-9]", "", text)
    if name == "search_path":
        return ",".join(part.strip().strip('"') for part in text.split(","))
    if not PINNED[name] & {"on", "off"}:
        return text
    if text in ("on", "1") or (text and any(word.startswith(text) for word in TRUE)):
        return "on"
    if text in ("of", "off", "0") or (text and any(word.startswith(text) for word in FALSE)):
        return "off"
    return text
