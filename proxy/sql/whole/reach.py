"""What a tenant may not do even on a database of its own: what reaches the server, its files, or other databases.

The table is total over the grammar's statements: a node is in REFUSED or in ALLOWED, and what is in neither is refused
as unknown. A statement is looked through to its last node, and so are the names of the functions it calls. That is the
first wall and says the way out; the second is the role at the server, which must be able to do none of this by any
function or block of code (catalog/facts.py). Decision 0051.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from proxy.errors import FeatureNotSupported, InsufficientPrivilege
from proxy.sql.parse import walk

Node = dict[str, Any]

OPERATOR = "The operator of the server does this."
LOGINS = "Logins and their passwords are in the proxy's rule files."
FOREIGN = "A tenant's database does not reach another server; copy the data instead."

REFUSED: Mapping[str, tuple[str, str]] = {
    "AlterDatabaseRefreshCollStmt": ("alter databases", OPERATOR),
    "AlterDatabaseStmt": ("alter databases", OPERATOR),
    "AlterExtensionContentsStmt": ("change the members of an extension", OPERATOR),
    "AlterFdwStmt": ("alter a foreign-data wrapper", FOREIGN),
    "AlterForeignServerStmt": ("alter a foreign server", FOREIGN),
    "AlterRoleSetStmt": ("alter roles", "Use SET in the session, or ALTER DATABASE ... SET."),
    "AlterRoleStmt": ("alter roles", LOGINS),
    "AlterSubscriptionStmt": ("alter subscriptions", FOREIGN),
    "AlterSystemStmt": ("alter the system", "Use SET in the session, or ALTER DATABASE ... SET."),
    "AlterTableMoveAllStmt": ("move tables between tablespaces", OPERATOR),
    "AlterTableSpaceOptionsStmt": ("alter tablespaces", OPERATOR),
    "AlterUserMappingStmt": ("alter user mappings", FOREIGN),
    "CheckPointStmt": ("execute CHECKPOINT", OPERATOR),
    "CreateFdwStmt": ("create a foreign-data wrapper", FOREIGN),
    "CreateForeignServerStmt": ("create a foreign server", FOREIGN),
    "CreateForeignTableStmt": ("create foreign tables", FOREIGN),
    "CreatePLangStmt": ("create languages", "Use CREATE EXTENSION."),
    "CreateRoleStmt": ("create roles", LOGINS),
    "CreateSubscriptionStmt": ("create subscriptions", FOREIGN),
    "CreateTableSpaceStmt": ("create tablespaces", OPERATOR),
    "CreateUserMappingStmt": ("create user mappings", FOREIGN),
    "CreatedbStmt": ("create databases", OPERATOR),
    "DropOwnedStmt": ("drop what a role owns", "Drop the objects themselves, or their schema."),
    "DropRoleStmt": ("drop roles", LOGINS),
    "DropSubscriptionStmt": ("drop subscriptions", FOREIGN),
    "DropTableSpaceStmt": ("drop tablespaces", OPERATOR),
    "DropUserMappingStmt": ("drop user mappings", FOREIGN),
    "DropdbStmt": ("drop databases", OPERATOR),
    "GrantRoleStmt": ("change roles", OPERATOR),
    "ImportForeignSchemaStmt": ("import foreign schemas", FOREIGN),
    "LoadStmt": ("load libraries", OPERATOR),
    "ReassignOwnedStmt": ("reassign what a role owns", OPERATOR),
    "SecLabelStmt": ("set security labels", OPERATOR),
}

ALLOWED = frozenset({
    "AlterCollationStmt", "AlterDatabaseSetStmt", "AlterDefaultPrivilegesStmt", "AlterDomainStmt", "AlterEnumStmt",
    "AlterEventTrigStmt", "AlterExtensionStmt", "AlterFunctionStmt", "AlterObjectDependsStmt", "AlterObjectSchemaStmt",
    "AlterOpFamilyStmt", "AlterOperatorStmt", "AlterOwnerStmt", "AlterPolicyStmt", "AlterPublicationStmt",
    "AlterSeqStmt", "AlterStatsStmt", "AlterTSConfigurationStmt", "AlterTSDictionaryStmt", "AlterTableStmt",
    "AlterTypeStmt", "CallStmt", "ClosePortalStmt", "ClusterStmt", "CommentStmt", "CompositeTypeStmt",
    "ConstraintsSetStmt", "CopyStmt", "CreateAmStmt", "CreateCastStmt", "CreateConversionStmt", "CreateDomainStmt",
    "CreateEnumStmt", "CreateEventTrigStmt", "CreateExtensionStmt", "CreateFunctionStmt", "CreateOpClassStmt",
    "CreateOpFamilyStmt", "CreatePolicyStmt", "CreatePublicationStmt", "CreateRangeStmt", "CreateSchemaStmt",
    "CreateSeqStmt", "CreateStatsStmt", "CreateStmt", "CreateTableAsStmt", "CreateTransformStmt", "CreateTrigStmt",
    "DeallocateStmt", "DeclareCursorStmt", "DefineStmt", "DeleteStmt", "DiscardStmt", "DoStmt", "DropStmt",
    "ExecuteStmt", "ExplainStmt", "FetchStmt", "GrantStmt", "IndexStmt", "InsertStmt", "ListenStmt", "LockStmt",
    "MergeStmt", "NotifyStmt", "PLAssignStmt", "PrepareStmt", "RawStmt", "RefreshMatViewStmt", "ReindexStmt",
    "RenameStmt", "ReplicaIdentityStmt", "ReturnStmt", "RuleStmt", "SelectStmt", "SetOperationStmt", "TransactionStmt",
    "TruncateStmt", "UnlistenStmt", "UpdateStmt", "VacuumStmt", "VariableSetStmt", "VariableShowStmt", "ViewStmt",
})  # fmt: skip

# Objects that all databases of a server share, or that lead out of one.
BEYOND = frozenset({
    "OBJECT_DATABASE", "OBJECT_FDW", "OBJECT_FOREIGN_SERVER", "OBJECT_PARAMETER_ACL", "OBJECT_ROLE",
    "OBJECT_SUBSCRIPTION", "OBJECT_TABLESPACE", "OBJECT_USER_MAPPING",
})  # fmt: skip
OBJECT_FIELDS = ("objectType", "objtype", "renameType", "removeType")

LANGUAGES = frozenset({"sql", "plpgsql", "plperl", "pltcl", "plv8"})  # PostgreSQL trusts them: no files, no network

# Extensions without a way out of the database. PostgreSQL's own list of trusted ones, and those that are reviewed.
EXTENSIONS = frozenset({
    "btree_gin", "btree_gist", "citext", "cube", "dict_int", "dict_xsyn", "earthdistance", "fuzzystrmatch", "hstore",
    "intarray", "isn", "lo", "ltree", "pg_trgm", "pgcrypto", "plpgsql", "postgis", "seg", "tablefunc", "tcn",
    "tsm_system_rows", "tsm_system_time", "unaccent", "uuid-ossp", "vector",
})  # fmt: skip

# Functions that read the server's files, run it, or reach other databases.
FUNCTIONS = frozenset({
    "lo_export", "lo_import", "pg_backup_start", "pg_backup_stop", "pg_create_restore_point", "pg_current_logfile",
    "pg_promote", "pg_reload_conf", "pg_rotate_logfile", "pg_start_backup", "pg_stat_file", "pg_stat_reset_shared",
    "pg_stat_reset_slru", "pg_stop_backup", "pg_switch_wal",
})  # fmt: skip
FUNCTION_PREFIXES = (
    "binary_upgrade_", "dblink", "file_fdw_", "pg_copy_logical_", "pg_copy_physical_", "pg_create_logical_",
    "pg_create_physical_", "pg_drop_replication_", "pg_file_", "pg_logical_", "pg_ls_", "pg_read_", "pg_replication_",
    "pg_wal_replay_", "postgres_fdw_",
)  # fmt: skip


def check_reach(tree: Node, database: str) -> None:
    """InsufficientPrivilege (42501) for a statement that reaches beyond `database`, the server's name of the tenant's
    own; FeatureNotSupported (0A000) for one that nobody has thought about.
    """
    for name, body in walk(tree):
        if name in REFUSED:
            what, hint = REFUSED[name]
            raise _denied(what, hint)
        if name.endswith("Stmt") and name not in ALLOWED:
            raise FeatureNotSupported("this statement is not supported", hint="Ask for a newer version of the proxy.")
        if any(body.get(field) in BEYOND for field in OBJECT_FIELDS):
            raise _denied("change what databases share", OPERATOR)
        check = CHECKS.get(name)
        if check is not None:
            check(body, database)


def _denied(what: str, hint: str) -> InsufficientPrivilege:
    return InsufficientPrivilege(f"permission denied to {what}", hint=hint)


def _copy(body: Node, database: str) -> None:
    if body.get("is_program") or "filename" in body:
        raise _denied("COPY from or to a file of the server", "Use COPY FROM STDIN or TO STDOUT, or psql's \\copy.")


def _own_settings(body: Node, database: str) -> None:
    if body.get("dbname") != database:
        raise _denied("alter databases", OPERATOR)


def _extension(body: Node, database: str) -> None:
    if body.get("extname") not in EXTENSIONS:
        raise _denied(f'create extension "{body.get("extname", "")}"', OPERATOR)


def _language(options: str) -> Callable[[Node, str], None]:
    def check(body: Node, database: str) -> None:
        for one in body.get(options, ()):
            element = one.get("DefElem", {})
            if element.get("defname") != "language":
                continue
            name = element.get("arg", {}).get("String", {}).get("sval", "")
            if name not in LANGUAGES:
                raise InsufficientPrivilege(f"permission denied for language {name}", hint="Use sql or plpgsql.")

    return check


def _call(body: Node, database: str) -> None:
    names = [part.get("String", {}).get("sval", "") for part in body.get("funcname", ())]
    if names and (names[-1] in FUNCTIONS or names[-1].startswith(FUNCTION_PREFIXES)):
        raise InsufficientPrivilege(f"permission denied for function {names[-1]}", hint=OPERATOR)


CHECKS: Mapping[str, Callable[[Node, str], None]] = {
    "CopyStmt": _copy,
    "AlterDatabaseSetStmt": _own_settings,
    "CreateExtensionStmt": _extension,
    "AlterExtensionStmt": _extension,
    "CreateFunctionStmt": _language("options"),
    "DoStmt": _language("args"),
    "FuncCall": _call,
}
