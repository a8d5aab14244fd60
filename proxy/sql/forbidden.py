"""The statements that a tenant may never send in row mode: each of the grammar's nodes by name, with the way out.

Together with the handlers of classify.py the table is total over the grammar's statements: a node of a newer grammar
is in neither, and is refused as unknown until somebody has thought about it. Source: isolation.md 1.3 to 1.5.
"""

from __future__ import annotations

from collections.abc import Mapping

MIGRATE = "Run it directly at the server as the owner of the tables; tenants share the schema."
OPERATOR = "The operator of the database does this."
SESSION = "Use SET in the session."
_ALTER, _CREATE, _DROP = "alter objects", "create objects", "drop objects"

# Nodes that stand within others and are no statements of a client.
_WITHIN = ("PLAssignStmt", "RawStmt", "ReturnStmt", "SetOperationStmt")

# What PostgreSQL's message would be about -> the nodes.
_MIGRATIONS: Mapping[str, tuple[str, ...]] = {
    _ALTER: (
        "AlterCollationStmt", "AlterDomainStmt", "AlterEnumStmt", "AlterEventTrigStmt", "AlterExtensionContentsStmt",
        "AlterExtensionStmt", "AlterFdwStmt", "AlterForeignServerStmt", "AlterFunctionStmt", "AlterObjectDependsStmt",
        "AlterObjectSchemaStmt", "AlterOpFamilyStmt", "AlterOperatorStmt", "AlterOwnerStmt", "AlterPolicyStmt",
        "AlterPublicationStmt", "AlterSeqStmt", "AlterStatsStmt", "AlterSubscriptionStmt", "AlterTSConfigurationStmt",
        "AlterTSDictionaryStmt", "AlterTableMoveAllStmt", "AlterTableSpaceOptionsStmt", "AlterTableStmt",
        "AlterTypeStmt", "AlterUserMappingStmt", "RenameStmt", "ReplicaIdentityStmt",
    ),
    _CREATE: (
        "CompositeTypeStmt", "CreateAmStmt", "CreateCastStmt", "CreateConversionStmt", "CreateDomainStmt",
        "CreateEnumStmt", "CreateEventTrigStmt", "CreateExtensionStmt", "CreateFdwStmt", "CreateForeignServerStmt",
        "CreateForeignTableStmt", "CreateFunctionStmt", "CreateOpClassStmt", "CreateOpFamilyStmt", "CreatePLangStmt",
        "CreatePolicyStmt", "CreatePublicationStmt", "CreateRangeStmt", "CreateSchemaStmt", "CreateSeqStmt",
        "CreateStatsStmt", "CreateSubscriptionStmt", "CreateTableSpaceStmt", "CreateTransformStmt", "CreateTrigStmt",
        "CreateUserMappingStmt", "CreatedbStmt", "DefineStmt", "ImportForeignSchemaStmt", "RuleStmt", "ViewStmt",
    ),
    _DROP: (
        "DropOwnedStmt", "DropSubscriptionStmt", "DropTableSpaceStmt", "DropUserMappingStmt", "DropdbStmt",
    ),
    "change privileges": ("AlterDefaultPrivilegesStmt", "GrantStmt", "ReassignOwnedStmt"),
    "describe objects": ("CommentStmt", "SecLabelStmt"),
}  # fmt: skip

FORBIDDEN: Mapping[str, tuple[str, str]] = {
    **{name: (what, MIGRATE) for what, names in _MIGRATIONS.items() for name in names},
    **dict.fromkeys(_WITHIN, ("use this statement", MIGRATE)),
    "DoStmt": ("execute code blocks", "Send the statements themselves."),
    "CallStmt": ("call procedures", "Send the statements of the procedure themselves."),
    "GrantRoleStmt": ("change roles", MIGRATE),
    "CreateRoleStmt": ("create roles", "Logins are made in the proxy's rule files."),
    "DropRoleStmt": ("drop roles", "Logins are made in the proxy's rule files."),
    "AlterRoleSetStmt": ("alter roles", SESSION),
    "AlterRoleStmt": ("alter roles", "Passwords are changed in the proxy's rule files."),
    "AlterDatabaseSetStmt": ("alter databases", SESSION),
    "AlterDatabaseStmt": ("alter databases", OPERATOR),
    "AlterDatabaseRefreshCollStmt": ("alter databases", OPERATOR),
    "AlterSystemStmt": ("alter the system", SESSION),
    "VacuumStmt": ("vacuum or analyze tables", OPERATOR),
    "ClusterStmt": ("cluster tables", OPERATOR),
    "ReindexStmt": ("reindex", OPERATOR),
    "RefreshMatViewStmt": ("refresh materialized views", OPERATOR),
    "CheckPointStmt": ("execute CHECKPOINT", OPERATOR),
    "LoadStmt": ("load libraries", OPERATOR),
}
