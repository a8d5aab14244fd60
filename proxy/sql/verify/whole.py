"""For a tenant with a database of its own: what is sent is what the client wrote, and cannot be a statement about the
server.

Shares nothing with whole/: the text is parsed afresh, and looked through for the statements that no role of a tenant
may run even by mistake.
"""

from __future__ import annotations

from proxy.errors import FeatureNotSupported
from proxy.sql.parse import parse, walk

HINT = "Send the statements one by one."
NEVER = frozenset({
    "AlterDatabaseStmt", "AlterForeignServerStmt", "AlterRoleSetStmt", "AlterRoleStmt", "AlterSubscriptionStmt",
    "AlterSystemStmt", "AlterTableSpaceOptionsStmt", "AlterUserMappingStmt", "CheckPointStmt", "CreateFdwStmt",
    "CreateForeignServerStmt", "CreateForeignTableStmt", "CreateRoleStmt", "CreateSubscriptionStmt",
    "CreateTableSpaceStmt", "CreateUserMappingStmt", "CreatedbStmt", "DropOwnedStmt", "DropRoleStmt",
    "DropSubscriptionStmt", "DropTableSpaceStmt", "DropdbStmt", "GrantRoleStmt", "ImportForeignSchemaStmt", "LoadStmt",
    "ReassignOwnedStmt",
})  # fmt: skip


def verify_whole(sent: bytes, text: bytes, begin: int, major: int) -> None:
    """FeatureNotSupported unless `sent` is one statement, stands in `text` at the offset `begin`, and stays in the
    database.
    """
    if text[begin : begin + len(sent)] != sent:
        raise FeatureNotSupported("statement cannot be sent as it is", hint=HINT)
    statements = parse(sent, size_limit=len(sent) + 1, server_major=major)
    if len(statements) != 1:
        raise FeatureNotSupported("statement cannot be sent as it is", hint=HINT)
    for name, body in walk(statements[0].tree):
        server_file = name == "CopyStmt" and ("filename" in body or body.get("is_program"))
        if name in NEVER or server_file:
            raise FeatureNotSupported("statement cannot be confined to the database", hint=HINT)
